"""How the gateway chooses among the replicas of a model."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from infra.settings.kinds import choice, real, text, whole
from infra.settings.section import Section


class Policy(StrEnum):
    """Routing policies."""

    ESTIMATED_TTFT = "estimated_ttft"
    ROUND_ROBIN = "round_robin"
    WEIGHTED = "weighted"
    LEAST_REQUEST = "least_request"
    CONSISTENT_HASH = "consistent_hash"


class HashOn(StrEnum):
    """What a consistent hash is taken of."""

    SESSION = "session"
    TENANT = "tenant"
    CLIENT_ADDRESS = "client_address"
    HEADER = "header"


def _on(data: dict[str, Any]) -> HashOn | None:
    return HashOn.SESSION if data.get("policy") is Policy.CONSISTENT_HASH else None


class Routing(Section):
    """A routing policy with its parameters; a policy that needs none can be written as one word."""

    policy: Annotated[Policy, choice(Policy, "a routing policy")] = Policy.ESTIMATED_TTFT
    """estimated_ttft (default): the replica that will answer first, by its prompt work and the prefixes it has cached.
    round_robin, least_request: in turn; fewest requests in flight. weighted: in turn, by weight.
    consistent_hash: the same replica for the same key."""
    on: Annotated[HashOn, choice(HashOn, "something to hash")] | None = Field(default_factory=_on)
    """What consistent_hash is taken of: session (the header x-session-id, without it the tenant), tenant,
    client_address, or header (then `header` names it). Default: session."""
    header: (
        Annotated[
            str, text(r"[a-z][a-z0-9-]{0,63}", "is not a header name; write one such as x-session-id, in small letters")
        ]
        | None
    ) = None
    """The request header to hash, in small letters. Only with `on: header`."""
    bounded_load: Annotated[float, real(1, 10, 1.25, above=True)] | None = None
    """consistent_hash leaves a replica that has more than this many times the mean load. Default: no bound."""
    weights: tuple[Annotated[int, whole(1, 1000, 3)], ...] | None = None
    """One weight for each replica of a fixed number, in order; only with weighted. Default: each replica's speed."""


def _expand(value: Any) -> Any:
    return {"policy": value} if isinstance(value, str) else value


RoutingField = Annotated[
    Routing,
    BeforeValidator(_expand),
    Field(examples=["estimated_ttft"], json_schema_extra={"shorthand": {"enum": [str(policy) for policy in Policy]}}),
]
"""Routing as a field: a policy's name, or a mapping."""
