"""What KEDA decides itself: whether there are replicas at all, and what counts while signals are lost."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.fakes.keda.hpa import autoscaler, triggers
from tests.fakes.keda.signals import Read, SignalError, Trigger, value_of
from tests.support.kubernetes_api import ApiError, Client, Object
from tests.support.kubernetes_api.transport import Transport

SCALED = "keda.sh/v1alpha1", "ScaledObject"
_MANAGER = "keda"
Key = tuple[str, str]
"""Namespace and name of a ScaledObject."""


@dataclass
class _Memory:
    """Of one ScaledObject."""

    seen: float
    """When it was first seen, `time.monotonic()`."""
    looked: float = float("-inf")
    active: float | None = None
    """When a trigger was last active."""
    failures: dict[str, int] = field(default_factory=dict)
    """Looks of the HPA that failed in a row, by metric."""


class Operator:
    """One for a cluster; `look` is to be called often."""

    def __init__(self, api: Client, read: Read, clock: Callable[[], datetime]) -> None:
        self._api = api
        self._transport = Transport(api.access)
        self._read = read
        self._clock = clock
        self._memory: dict[Key, _Memory] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Closes its connections."""
        self._transport.close()

    def look(self) -> None:
        """At every ScaledObject whose time has come."""
        for scaled in self._api.items(*SCALED):
            key = scaled["metadata"]["namespace"], scaled["metadata"]["name"]
            with self._lock:
                memory = self._memory.setdefault(key, _Memory(time.monotonic()))
            if time.monotonic() - memory.looked < scaled["spec"].get("pollingInterval", 30):
                continue
            memory.looked = time.monotonic()
            try:
                self._api.apply(autoscaler(scaled), _MANAGER, force=True)
                self._decide(scaled, memory)
            except ApiError as error:
                if not error.not_found:
                    raise  # else the target, or the ScaledObject itself, has gone meanwhile

    def value(self, namespace: str, name: str, metric: str) -> float:
        """What the HPA gets: the trigger's value, or the fallback's (pkg/fallback)."""
        scaled = self._api.find(*SCALED, name, namespace)
        # The controller asks in small letters, and KEDA does not care.
        mine = (each for each in (triggers(scaled) if scaled else ()) if each.metric.lower() == metric.lower())
        trigger = next(mine, None)
        if scaled is None or trigger is None:
            raise LookupError(f"no metric {metric} of a ScaledObject {namespace}/{name}")
        with self._lock:
            failures = self._memory.setdefault((namespace, name), _Memory(time.monotonic())).failures
        try:
            value, _ = value_of(trigger, self._read, self._clock())
        except SignalError:
            failures[metric] = failures.get(metric, 0) + 1
            fallback = scaled["spec"].get("fallback")
            if fallback is None or failures[metric] <= fallback["failureThreshold"]:
                raise
            return trigger.target * self._blind(scaled, fallback)
        failures[metric] = 0
        return value

    def _blind(self, scaled: Object, fallback: dict[str, Any]) -> int:
        current, given = int(self._scale(scaled)["spec"].get("replicas", 0)), int(fallback["replicas"])
        match fallback.get("behavior", "static"):
            case "static":
                return given
            case "currentReplicas":
                return current
            case "currentReplicasIfHigher":
                return max(current, given)
            case "currentReplicasIfLower":
                return min(current, given)
            case other:
                raise NotImplementedError(f"fallback behavior {other} (see tests/fakes/keda/README.md)")

    def _decide(self, scaled: Object, memory: _Memory) -> None:
        """From none to some and back (pkg/scaling/executor, RequestScale); the HPA does the rest."""
        spec = scaled["spec"]
        active, failed = self._state(triggers(scaled))
        current, least = int(self._scale(scaled)["spec"].get("replicas", 0)), spec.get("minReplicaCount", 0)
        if active:
            if current == 0:
                self._set(scaled, max(least, 1))
            if current == 0 or not failed:
                memory.active = time.monotonic()
        elif failed and spec.get("fallback", {"replicas": 1})["replicas"] != 0:
            return  # a fallback of 0 replicas does let an error stop the last one
        elif current > 0 and least == 0:
            if self._cool(spec, memory):
                self._set(scaled, 0)
        elif current < least:
            self._set(scaled, least)

    def _state(self, all_of: list[Trigger]) -> tuple[bool, bool]:
        """Whether a trigger is active, and whether one cannot be read."""
        active = failed = False
        for trigger in all_of:
            try:
                active |= value_of(trigger, self._read, self._clock())[1]
            except SignalError:
                failed = True
        return active, failed

    @staticmethod
    def _cool(spec: dict[str, Any], memory: _Memory) -> bool:
        now = time.monotonic()
        if memory.active is None:
            return now - memory.seen > spec.get("initialCooldownPeriod", 0)
        return now - memory.active > spec.get("cooldownPeriod", 300)

    def _path(self, scaled: Object) -> str:
        target = scaled["spec"]["scaleTargetRef"]
        resource = self._api.discovery.find(target.get("apiVersion", "apps/v1"), target.get("kind", "Deployment"))
        return f"{resource.path(scaled['metadata']['namespace'], target['name'])}/scale"

    def _scale(self, scaled: Object) -> Object:
        return dict(self._transport.request("GET", self._path(scaled)))

    def _set(self, scaled: Object, replicas: int) -> None:
        scale = self._scale(scaled)
        scale["spec"]["replicas"] = replicas
        self._transport.request("PUT", self._path(scaled), scale, fieldManager=_MANAGER)
