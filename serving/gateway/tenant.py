"""Who may call, and how much."""

from dataclasses import dataclass, field
from enum import StrEnum


class Priority(StrEnum):
    """Who is refused first when a model is full."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class Tenant:
    """Who may call, and how much."""

    name: str
    key_digests: tuple[str, ...] = field(repr=False)
    """SHA-256 of each valid key, in hexadecimal: one, or two while clients change over."""
    requests_per_minute: int | None = None
    """Of this gateway: with several replicas, each has its own count."""
    tokens_per_minute: int | None = None
    """Prompt and generated tokens: reserved before a request, settled with what the engine counted."""
    priority: Priority = Priority.NORMAL
