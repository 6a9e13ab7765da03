"""What the planner is asked: plain values, apart from how stack files spell them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from infra.planning.shapes import Shape


@dataclass(frozen=True, slots=True)
class Demand:
    """Peak traffic of one model."""

    requests_per_second: float
    prompt_tokens: float
    output_tokens: float
    """Mean; 0 for embeddings."""
    prefix_hit_share: float = 0.0


@dataclass(frozen=True, slots=True)
class Objectives:
    """What clients are promised; None for nothing."""

    ttft_p95: float | None = None
    itl_p95: float | None = None
    availability: float | None = None
    """Percent."""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One model that a stack asks for."""

    name: str
    engine: str
    source: str
    shape: Shape
    context: int
    concurrency: int
    floor: int = 1
    ceiling: int = 1
    gpu: str = "auto"
    shards: int | None = None
    dtype: str | None = None
    quantize: str | None = None
    spot: bool = False
    objectives: Objectives = field(default_factory=Objectives)
    demand: Demand | None = None
    max_output_tokens: int | None = None
    memory_bytes: int | None = None
    """Asked host memory of a process, local only."""
    options: Mapping[str, str] = field(default_factory=dict)
    extra_replicas: int = 0
    """Of a canary and a shadow; they run the same engine on the same kind of node."""
    rollout: str = "surge"

    @property
    def place(self) -> str:
        """Return the model's path in a stack file."""
        return f"models.{self.name}"
