"""How many copies of a server run."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from infra.settings.kinds import whole
from infra.settings.section import Section

MOST = 1000
"""More replicas than this is a slip of the finger."""


class Replicas(Section):
    """Least and most replicas; equal numbers, or one number alone, keep it fixed."""

    min: Annotated[int, whole(0, MOST, 1)] = Field(examples=[1])
    """Least replicas. 0 lets an idle model stop; the gateway holds requests until it is back (gateway.hold)."""
    max: Annotated[int, whole(1, MOST, 4)] = Field(examples=[4])
    """Most replicas the scaler may run."""

    @property
    def fixed(self) -> bool:
        """Whether nothing scales them."""
        return self.min == self.max


def _expand(value: Any) -> Any:
    return {"min": value, "max": value} if isinstance(value, int | float | str) else value


ReplicasField = Annotated[
    Replicas,
    BeforeValidator(_expand),
    Field(
        examples=["{min: 1, max: 4}"],
        json_schema_extra={"shorthand": {"type": "integer", "minimum": 1, "maximum": MOST}},
    ),
]
"""Replicas as a field: one number, or a mapping."""
