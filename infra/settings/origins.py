"""Where each value of a stack's settings was written, through the merge of two files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from infra.settings.messages import Path


@dataclass(frozen=True, slots=True)
class Origin:
    """A line of a file."""

    file: str
    """Relative to the repository, such as `stacks/defaults.yaml`."""
    line: int
    """Counted from 1."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(slots=True)
class Tree:
    """Plain values (mappings, lists, text, numbers, booleans, SecretRef) and the origin of each."""

    value: Any
    origins: dict[Path, Origin] = field(default_factory=dict)
    """By path; every value below the root has one."""


def merge(lower: Tree, upper: Tree) -> Tree:
    """`upper` laid over `lower`: mappings merge key by key, everything else, lists too, replaces."""
    merged = Tree(None)
    merged.value = _merge(lower, upper, lower.value, upper.value, (), merged.origins)
    return merged


def nearest(origins: Mapping[Path, Origin], path: Path) -> tuple[Path, Origin | None]:
    """The longest prefix of a path that was written in a file, and where; None for a value that is built in."""
    while path:
        if path in origins:
            return path, origins[path]
        path = path[:-1]
    return (), None


def place(origins: Mapping[Path, Origin], path: Path, file: str) -> Origin:
    """Where to speak of a value: its own line or, if it was not written, the closest line of the stack's own file."""
    at, origin = nearest(origins, path)
    while at and at != path and origin is not None and origin.file != file:
        at, origin = nearest(origins, at[:-1])
    return origin or origins.get((), Origin(file, 1))


def _merge(lower: Tree, upper: Tree, low: Any, high: Any, path: Path, into: dict[Path, Origin]) -> Any:
    if not (isinstance(low, dict) and isinstance(high, dict)):
        into.update({at: origin for at, origin in upper.origins.items() if at[: len(path)] == path})
        return high
    if path in upper.origins:
        into[path] = upper.origins[path]
    result = {}
    for key in [*low, *(key for key in high if key not in low)]:
        below = (*path, key)
        if key not in high:
            result[key] = low[key]
            into.update({at: origin for at, origin in lower.origins.items() if at[: len(below)] == below})
        elif key not in low:
            result[key] = high[key]
            into.update({at: origin for at, origin in upper.origins.items() if at[: len(below)] == below})
        else:
            result[key] = _merge(lower, upper, low[key], high[key], below, into)
    return result
