"""The AWS account a stack is deployed to."""

from typing import Annotated

from pydantic import AfterValidator, Field

from infra.settings.frozen import FrozenDict
from infra.settings.gpus import GPU_TYPES
from infra.settings.kinds import choice, text, whole
from infra.settings.section import Section

Gpu = Annotated[str, choice(GPU_TYPES, "a GPU type")]
InstanceType = Annotated[str, text(r"[a-z0-9-]+\.[a-z0-9-]+", "is not an instance type; write one such as g6.12xlarge")]
Count = Annotated[int, whole(0, 10_000, 8)]


class Aws(Section):
    """The AWS account a stack is deployed to."""

    region: Annotated[
        str, text(r"[a-z]{2}(-[a-z]+)+-[0-9]", "is not a region; write one such as us-east-1, without a zone's letter")
    ] = Field(examples=["us-east-1"])
    """Region of everything the stack makes, such as us-east-1."""
    gpus: tuple[Gpu, ...] = Field(default=(), examples=["[l4, a10g]"])
    """GPU types the plan may choose among where a model says auto. Default: all."""
    quotas: Annotated[dict[Gpu, Count], AfterValidator(FrozenDict)] = Field(default=FrozenDict(), examples=["{l4: 8}"])
    """Most GPUs of a type that the account may run. Default: no limit known."""
    reserved: Annotated[dict[InstanceType, Count], AfterValidator(FrozenDict)] = Field(
        default=FrozenDict(), examples=["{g6.12xlarge: 1}"]
    )
    """Instances paid for already, by type; the plan fills them first. Default: none."""
