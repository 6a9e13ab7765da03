"""What a planner refuses, and how it says so: place, value, rule, way out, all at once."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that keeps a plan from being made."""

    place: str
    """Where the value stands, e.g. `models.chat.context`."""
    value: str
    """The value as the reader knows it, with its unit."""
    rule: str
    """What it breaks, and by how much."""
    way_out: str
    """The nearest thing that works."""

    def __str__(self) -> str:
        """Return the problem as one line."""
        value = f" = {self.value}" if self.value else ""
        return f"{self.place}{value}: {self.rule}; {self.way_out}"


class PlanError(Exception):
    """No plan can keep what was asked. Holds every problem found, not only the first."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class ShapeError(PlanError):
    """A model whose shape cannot be known."""


def problem(place: str, value: object, rule: str, way_out: str) -> Problem:
    """Return a problem; `value` may be anything that prints."""
    return Problem(place, "" if value is None else str(value), rule, way_out)
