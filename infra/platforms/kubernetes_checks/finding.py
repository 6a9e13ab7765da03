"""One thing that a check found."""

from dataclasses import dataclass

from infra.settings.messages import Path

CONTEXT: Path = ("kubernetes", "context")
NAMESPACE: Path = ("kubernetes", "namespace")
NODES: Path = ("kubernetes", "nodes")
STORAGE_CLASS: Path = ("kubernetes", "storage_class")


@dataclass(frozen=True, slots=True)
class Finding:
    """A value of the stack file and what the cluster says to it."""

    path: Path
    """Of the value that has to change, or that leads to what has to."""
    text: str
    """Value, rule and way out."""
    blocks: bool = True
    """Whether a deployment would fail or wait for ever. Otherwise it is worth knowing, or could not be looked at."""


def note(path: Path, text: str) -> Finding:
    """Something that stops nothing."""
    return Finding(path, text, blocks=False)
