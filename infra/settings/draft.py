"""Settings on their way: as much as is valid, so that one mistake does not hide the next."""

import copy
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from infra.settings.frozen import FrozenDict
from infra.settings.messages import Path
from infra.settings.origins import Tree
from infra.settings.settings import Platform, Settings, stack_file
from infra.settings.translate import FOLLOWS, Finding, findings, path_of


@dataclass(frozen=True, slots=True)
class Draft:
    """What the rules that look at several values work on."""

    stack: str
    settings: Settings
    """Without the values that were refused; a default may stand in their place, so ask `sound` before comparing."""
    platform: Platform | None
    """None where it is missing or unknown."""
    tree: Tree
    """Everything that was written, valid or not."""
    others: Tree
    """Config keys of providers, such as `aws:region`."""
    broken: frozenset[Path]
    """Where something is wrong."""

    def finish(self) -> Settings:
        """The settings, complete: to be called when nothing was refused."""
        self.settings._stack, self.settings._origins = self.stack, FrozenDict(self.tree.origins)
        return self.settings

    def sound(self, *path: str | int) -> bool:
        """Whether nothing was refused at a path, above it or below it."""
        return not touches(path, self.broken)

    def written(self, *path: str | int) -> bool:
        """Whether the stack file itself, not the defaults below it, says something at a path."""
        origin = self.tree.origins.get(path)
        return origin is not None and origin.file == stack_file(self.stack)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all models that were written, valid or not."""
        models = self.tree.value.get("models")
        return tuple(models) if isinstance(models, dict) else ()


def draft(tree: Tree, stack: str, others: Tree, broken: frozenset[Path]) -> tuple[Draft, list[Finding]]:
    """Validates what was written, and again without what was refused.

    Args:
        tree: The merged sections.
        stack: The stack's name.
        others: Config keys of providers.
        broken: Where something is known to be wrong; nothing more is said about those places.
    """
    found: list[Finding] = []
    data = copy.deepcopy(tree.value)
    platform_known = True
    while True:
        try:
            settings = Settings.model_validate(data)
            break
        except ValidationError as error:
            details = error.errors(include_url=False)
        fresh = findings(details, tree, stack)
        found += [(path, text) for path, text in fresh if not touches(path, broken)]
        broken |= {path_of(detail, tree) for detail in details if detail["type"] != FOLLOWS}
        platform_known &= not any(detail["loc"][0] == "platform" for detail in details)
        _prune(data, details)
    platform = settings.platform if platform_known else None
    return Draft(stack, settings, platform, tree, others, broken), found


def touches(path: Path, broken: frozenset[Path]) -> bool:
    """Whether one of the broken places is at a path, above it or below it."""
    return any(path[: len(bad)] == bad or bad[: len(path)] == path for bad in broken)


# Stand in for a required value that was refused, so that the rules still see the rest of its section.
_STAND_INS: dict[tuple[str, ...], Any] = {
    ("platform",): "local",
    ("models",): {},
    ("models", "*", "engine"): "local",
    ("models", "*", "source"): "store://refused",
    ("models", "*", "context"): 8192,
}


def _prune(data: dict[str, Any], details: list[ErrorDetails]) -> None:
    """Takes out what was refused; what lacks a required value is taken out whole, unless something can stand in."""
    for detail in details:
        at = [str(part) for part in detail["loc"] if part != "[key]"]
        stand_in = _STAND_INS.get((*at[:1], "*", *at[2:]) if len(at) > 1 else tuple(at))
        if detail["type"] == "missing" and stand_in is None:
            at.pop()
        holder: Any = data
        # The place in the data may be less deep than the error: `replicas: x` is read as {min: x, max: x}; and a list
        # with a wrong item goes as a whole.
        for part in at[:-1]:
            if not isinstance(holder.get(part), dict):
                holder.pop(part, None)
                break
            holder = holder[part]
        else:
            holder.pop(at[-1], None)
            if stand_in is not None:
                holder[at[-1]] = copy.deepcopy(stand_in)
