"""What all sections of the settings share."""

from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict

from infra.settings.frozen import FrozenDict
from infra.settings.kinds import Name

Value = TypeVar("Value")


class Section(BaseModel):
    """A mapping of a stack file: unknown keys are errors, values never change.

    Below each field stands what it means, with its unit and default: editors show that text through the schema.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


ByName = Annotated[dict[Name, Value], AfterValidator(FrozenDict)]
"""A mapping with a name for each entry."""
