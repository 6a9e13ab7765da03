"""A plan: what will run where, and why. Plain values that become JSON and come back, kept among a stack's outputs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from infra.planning.errors import PlanError, problem
from serving.engines.base import Limits

SCHEMA = 1
"""Raised when a field changes its meaning; a plan of another schema is not compared with."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One step between asking for a replica and its first answer."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Startup:
    """How long a replica takes to be ready, and what probes and timeouts follow."""

    stages: tuple[Stage, ...]
    cold_seconds: float
    """With a new node, image and weights to fetch."""
    warm_seconds: float
    """On a node that has image and weights."""
    probe_period_seconds: int
    probe_failures: int
    """Startup probe: period x failures is the longest start that is not a failure."""

    @property
    def limit_seconds(self) -> int:
        """Return the longest start that is not a failure."""
        return self.probe_period_seconds * self.probe_failures


@dataclass(frozen=True, slots=True)
class Performance:
    """What clients will see at the planned traffic, on the planned replicas."""

    requests_per_second: float
    ttft_p50: float
    ttft_p95: float
    itl_p95: float
    """Seconds; 0 for embeddings."""
    utilisation: float
    """Share of the replicas' saturation rate that the traffic takes."""
    replica_saturation: float
    """Requests a second at which one replica is saturated."""
    replica_capacity: float
    """Requests a second that one replica takes and keeps the objectives."""
    error: float
    """Stated relative error of the times."""
    origin: str
    """What the times rest on: default factors, or a calibration file."""


@dataclass(frozen=True, slots=True)
class GpuNeed:
    """What one replica takes of accelerators."""

    type: str
    """Name in the catalogue; `h100:3g.40gb` is a slice."""
    shards: int
    weights_bytes: int
    """On each device."""
    kv_tokens: int
    """Tokens that the replica's KV cache is planned to hold."""
    memory_bytes: int
    """Of each device."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Dollars. Per million tokens counts prompt and generated tokens together."""

    hourly: float
    per_million_tokens: float | None
    """At the planned traffic; None without traffic."""
    per_million_at_saturation: float | None
    idle_share: float
    """Share of the hourly cost that buys capacity the traffic does not use."""

    @property
    def monthly(self) -> float:
        """Return dollars a month of 730 hours."""
        return self.hourly * 730.0


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """One model: how it runs, how often, and why so."""

    model: str
    engine: str
    task: str
    """generate or embed."""
    source: str
    weights_bytes: int
    limits: Limits
    replicas: int
    """Needed at the planned traffic. An autoscaler moves between floor and ceiling."""
    floor: int
    ceiling: int
    memory_bytes: int
    """Host memory of one replica, shared memory included."""
    startup: Startup
    cpu_millis: int = 0
    shm_bytes: int = 0
    disk_bytes: int = 0
    """Image, weights and logs on the node."""
    gpu: GpuNeed | None = None
    performance: Performance | None = None
    cost: Cost | None = None
    options: dict[str, str] = field(default_factory=dict)
    """What the engine is started with, besides limits: the stack file's options, `dtype` and `quantize`."""
    why: tuple[str, ...] = ()
    """What decides: the binding limit, and what the next cheaper way would break."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """Replicas of a model on one kind of node."""

    model: str
    node_type: str
    purchase: str
    """reserved, on_demand or spot."""
    gpu: str
    shards: int
    replicas: int


@dataclass(frozen=True, slots=True)
class NodeGroup:
    """Nodes of one type bought in one way."""

    node_type: str
    purchase: str
    count: int
    hourly: float
    """Dollars of all of them."""
    gpu: str
    gpus: int
    """Accelerators of one node."""
    gpus_used: float
    """Of all of them together; slices count as their share."""
    layout: tuple[str, ...] = ()
    """Slices that each node's GPUs are cut into, empty for whole GPUs."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a stack will run."""

    stack: str
    platform: str
    models: tuple[ModelPlan, ...]
    assignments: tuple[Assignment, ...] = ()
    nodes: tuple[NodeGroup, ...] = ()
    hourly: float = 0.0
    memory_bytes: int = 0
    """Host memory of all replicas at their ceiling; counts on the local platform."""
    region: str = ""
    prices_of: str = ""
    """Date and source of the prices."""
    notes: tuple[str, ...] = ()
    schema: int = field(default=SCHEMA)

    def model(self, name: str) -> ModelPlan:
        """Return the plan of one model. Raises KeyError."""
        for planned in self.models:
            if planned.model == name:
                return planned
        raise KeyError(name)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values: dicts, lists, strings, numbers."""
        values: dict[str, Any] = _adapter().dump_python(self, mode="json")
        return values

    def to_json(self, indent: int | None = None) -> str:
        """Return JSON with a stable order of keys."""
        return json.dumps(self.to_dict(), indent=indent)


@cache
def _adapter() -> TypeAdapter[Plan]:
    return TypeAdapter(Plan)


def parse_plan(content: str | Mapping[str, Any]) -> Plan:
    """Return a plan from its JSON or plain values. Raises PlanError for anything else or another schema."""
    values = json.loads(content) if isinstance(content, str) else dict(content)
    schema = values.get("schema") if isinstance(values, dict) else None
    if schema != SCHEMA:
        raise PlanError([problem("plan: schema", schema, f"is not {SCHEMA}", "make the plan again with this version")])
    try:
        return _adapter().validate_python(values)
    except ValidationError as error:
        raise PlanError([problem("plan", None, f"cannot be read: {error}", "make the plan again")]) from error
