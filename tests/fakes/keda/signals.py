"""What triggers say: by script, by Prometheus, by the clock."""

import json
import math
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from tests.fakes.keda import cron

SECONDS = 5.0
"""What an answer of Prometheus may take."""


class SignalError(RuntimeError):
    """A trigger that cannot be read."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """One of a ScaledObject's."""

    number: int
    kind: str
    name: str
    metadata: Mapping[str, str]

    @classmethod
    def of(cls, number: int, item: Mapping[str, Any]) -> "Trigger":
        """From the ScaledObject."""
        if item["type"] not in ("prometheus", "cron") or item.get("metricType", "AverageValue") != "AverageValue":
            raise NotImplementedError(f"trigger {item} (see tests/fakes/keda/README.md)")
        return cls(number, item["type"], item.get("name", ""), item["metadata"])

    @property
    def metric(self) -> str:
        """Name of its external metric (GenerateMetricNameWithIndex and what each scaler gives it)."""
        if self.kind == "prometheus":
            return f"s{self.number}-prometheus"
        times = "-".join(_spelled(self.metadata[key]) for key in ("start", "end"))
        return f"s{self.number}-cron-{self.metadata['timezone']}-{times}".replace("/", "-")

    @property
    def target(self) -> float:
        """What the HPA aims at, a replica."""
        return float(self.metadata["threshold"]) if self.kind == "prometheus" else 1.0

    @property
    def activation(self) -> float:
        """Active above it."""
        return float(self.metadata.get("activationThreshold", "0"))


Read = Callable[[Trigger], float | None]
"""The value of a trigger of kind prometheus; None: the answer is empty. Raises SignalError."""


@dataclass
class Script:
    """Values by the trigger's name, which a test changes as it goes."""

    values: dict[str, float | None] = field(default_factory=dict)

    def __call__(self, trigger: Trigger) -> float | None:
        return self.values[trigger.name]


def ask_prometheus(trigger: Trigger) -> float | None:
    """From the server that the trigger names."""
    query = urllib.parse.urlencode({"query": trigger.metadata["query"]})
    try:
        with urllib.request.urlopen(
            f"{trigger.metadata['serverAddress']}/api/v1/query?{query}", timeout=SECONDS
        ) as got:
            result = json.load(got)["data"]["result"]
    except OSError as error:
        raise SignalError(f"{trigger.name}: {error}") from error
    if len(result) > 1:
        raise SignalError(f"{trigger.name}: the query returned multiple elements")
    value = float(result[0]["value"][1]) if result else math.nan
    return value if math.isfinite(value) else None


def value_of(trigger: Trigger, read: Read, now: datetime) -> tuple[float, bool]:
    """A trigger's value, and whether it is active. Raises SignalError."""
    if trigger.kind == "cron":
        local = now.astimezone(ZoneInfo(trigger.metadata["timezone"]))
        inside = cron.upcoming(trigger.metadata["start"], local) > cron.upcoming(trigger.metadata["end"], local)
        return (float(trigger.metadata["desiredReplicas"]) if inside else 0.0), inside
    value = read(trigger)
    if value is None:
        if trigger.metadata.get("ignoreNullValues", "true") != "true":
            raise SignalError(f"{trigger.name}: the result is empty")
        value = 0.0
    return value, value > trigger.activation


def _spelled(text: str) -> str:
    for old, new in ((" ", ""), ("*", "x"), ("/", "Sl"), ("?", "Qm"), (",", "Cm")):
        text = text.replace(old, new)
    return text
