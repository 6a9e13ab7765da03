"""KEDA's ScaledObject of a model: what replicas follow, how fast, and what holds when nothing can be seen.

Semantics are those of KEDA 2.21: it makes a HorizontalPodAutoscaler for 1 to `max` replicas, and itself changes between
0 and 1 (pkg/scaling/executor, pkg/fallback).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.components.kubernetes import names, scaling_queries
from infra.components.kubernetes.arguments import refuse
from infra.components.kubernetes.scaling_args import ScalingFloor, ServerScaling

COOLDOWN_SECONDS = 600
STABILIZATION_SECONDS = 600
_UP_SECONDS, _DOWN_SECONDS, _POLLING_SECONDS = 15, 60, 10
_FAILURES = 3
"""Failed looks in a row before the fallback's number counts; until then the scaler stands still."""
_NEVER = 1_000_000
"""A target so high that the signal can keep one replica, and never asks for a second."""


_BOUNDS = (("stabilization_seconds", 0, 3600), ("up_period_seconds", 1, 1800), ("down_period_seconds", 1, 1800))
"""Of the API server, for an autoscaler's behavior."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is scaled: anything with a `scale` subresource."""

    name: str
    kind: str = "Deployment"
    api_version: str = "apps/v1"


def scaled_object(
    name: str,
    namespace: str,
    labels: Mapping[str, str],
    target: Target,
    model: str,
    queue_metric: str,
    scaling: ServerScaling,
) -> dict[str, Any]:
    """The ScaledObject `name`. `queue_metric` is the engine's gauge of waiting requests (`MetricNames.waiting`).

    Raises ArgumentsError.
    """
    refuse(f"scaler {name}", problems(scaling))
    least = scaling["min"]
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels)},
        "spec": {
            "scaleTargetRef": {"apiVersion": target.api_version, "kind": target.kind, "name": target.name},
            "minReplicaCount": least,
            "maxReplicaCount": scaling["max"],
            "pollingInterval": scaling.get("polling_seconds", _POLLING_SECONDS),
            "cooldownPeriod": scaling.get("cooldown_seconds", COOLDOWN_SECONDS),
            # A new model keeps the replicas it was made with for a while: its first request is on its way.
            "initialCooldownPeriod": scaling.get("cooldown_seconds", COOLDOWN_SECONDS),
            "fallback": {
                "failureThreshold": _FAILURES,
                # With 0 an error would let the last replica stop.
                "replicas": scaling.get("blind_replicas", max(least, 1)),
                "behavior": "currentReplicasIfHigher",
            },
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": _behavior(scaling)}},
            "triggers": _triggers(namespace, model, queue_metric, scaling),
        },
    }


def _triggers(namespace: str, model: str, queue_metric: str, scaling: ServerScaling) -> list[dict[str, Any]]:
    server = scaling.get("prometheus", f"http://{names.host('prometheus', namespace)}:{names.PROMETHEUS_PORT}")
    matchers = scaling.get("matchers", {})
    demand = scaling_queries.demand(model, matchers)
    triggers = [_prometheus("demand", server, demand, scaling["in_flight"])]
    if "queue" in scaling:
        queue = scaling_queries.queue(model, queue_metric, matchers)
        triggers.append(_prometheus("queue", server, queue, scaling["queue"]))
    if scaling["min"] == 0:
        triggers.append(_prometheus("activity", server, scaling_queries.activity(model, matchers), _NEVER))
    return triggers + [_cron(number, floor) for number, floor in enumerate(scaling.get("floors", []))]


def _prometheus(name: str, server: str, query: str, threshold: float) -> dict[str, Any]:
    return {
        "type": "prometheus",
        "name": name,
        "metricType": "AverageValue",
        "metadata": {
            "serverAddress": server,
            "query": query,
            # KEDA keeps three decimals.
            "threshold": f"{threshold:.3f}".rstrip("0").rstrip("."),
            # Anything above it wakes a model that stopped, and keeps its last replica.
            "activationThreshold": "0",
            # An empty answer is an error, not 0: the fallback holds then, and nothing scales down.
            "ignoreNullValues": "false",
        },
    }


def _cron(number: int, floor: ScalingFloor) -> dict[str, Any]:
    return {
        "type": "cron",
        "name": f"floor-{number}",
        "metricType": "AverageValue",
        "metadata": {
            "timezone": floor["timezone"],
            "start": floor["start"],
            "end": floor["end"],
            "desiredReplicas": str(floor["replicas"]),
        },
    }


def _behavior(scaling: ServerScaling) -> dict[str, Any]:
    """Up at once, since a replica takes minutes to start; down slowly, one after the other."""
    up = scaling.get("up_period_seconds", _UP_SECONDS)
    down = scaling.get("down_period_seconds", _DOWN_SECONDS)
    return {
        "scaleUp": {
            "stabilizationWindowSeconds": 0,
            "selectPolicy": "Max",
            "policies": [
                {"type": "Percent", "value": 100, "periodSeconds": up},
                {"type": "Pods", "value": 4, "periodSeconds": up},
            ],
        },
        "scaleDown": {
            "stabilizationWindowSeconds": scaling.get("stabilization_seconds", STABILIZATION_SECONDS),
            "selectPolicy": "Max",
            "policies": [{"type": "Pods", "value": 1, "periodSeconds": down}],
        },
    }


def problems(scaling: ServerScaling) -> list[str]:
    """Every reason why these make no scaler."""
    least, most = scaling["min"], scaling["max"]
    found = []
    if not 0 <= least < most:
        found.append(f"min is {least} and max {most}; give 0 <= min < max, or no scaler for a fixed number")
    for key in ("in_flight", "queue"):
        if (value := float(scaling.get(key, 1))) <= 0:  # type: ignore[arg-type]
            found.append(f"{key} is {value:g}; it must be more than 0")
    for key, low, high in _BOUNDS:
        if not low <= (value := float(scaling.get(key, low))) <= high:  # type: ignore[arg-type]
            found.append(f"{key} is {value:g}; Kubernetes takes {low} to {high}")
    if not 1 <= (blind := scaling.get("blind_replicas", 1)) <= max(most, 1):
        found.append(f"blind_replicas is {blind}; it must be from 1 to max, {most}: 0 would let an error stop all")
    for floor in scaling.get("floors", []):
        if not max(least, 1) <= floor["replicas"] <= most:
            found.append(f"a floor has {floor['replicas']} replicas; it must be between min and max, and at least 1")
        if floor["start"] == floor["end"]:
            found.append(f"a floor starts and ends at {floor['start']!r}; give two times")
    return found
