"""How a backend is chosen."""

from dataclasses import dataclass
from enum import StrEnum


class Policy(StrEnum):
    """How a backend is chosen among the healthy ones of a model."""

    ESTIMATED_TTFT = "estimated_ttft"
    """The one that will give the first token first, by its outstanding prompt work and the prefixes it has cached."""
    ROUND_ROBIN = "round_robin"
    WEIGHTED = "weighted"
    """In turn, by the weights of the endpoints."""
    LEAST_REQUEST = "least_request"
    CONSISTENT_HASH = "consistent_hash"


class HashOn(StrEnum):
    """What consistent_hash is taken of."""

    SESSION = "session"
    """The header x-session-id; requests without one by tenant."""
    TENANT = "tenant"
    CLIENT_ADDRESS = "client_address"
    HEADER = "header"
    """The header that `Routing.header` names; requests without it go anywhere."""


@dataclass(frozen=True, slots=True)
class Routing:
    """A policy with its parameters."""

    policy: Policy = Policy.ESTIMATED_TTFT
    on: HashOn = HashOn.SESSION
    """Only with consistent_hash."""
    header: str | None = None
    """Only with `on=header`, in small letters."""
    bounded_load: float | None = None
    """consistent_hash leaves a backend that has more than this many times the mean load; None: it never does."""
