"""What every way to a part has in common."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from infra.toolchain.fields import Fields
from infra.toolchain.progress import Progress
from infra.toolchain.version import Range


@dataclass(frozen=True, slots=True)
class Bench:
    """What a way works with while it gets a part."""

    part: str
    version: str
    machine: str
    root: Path
    """Checkout that a part of our own is built from."""
    lock: Path
    """Folder of the lock file, where the go.mod folders are."""
    downloads: Path
    """Kept between runs until the part is there."""
    work: Path
    """Kept between builds."""
    log: Path
    progress: Progress


@dataclass(frozen=True, slots=True)
class Costs:
    """What to tell and to check before a way is taken."""

    usually: str
    """How long it takes, for the person who waits."""
    disk_mb: int
    """Free space that it needs, including what is thrown away after."""

    @classmethod
    def read(cls, fields: Fields) -> "Costs":
        """From `usually` and `disk_mb`."""
        return cls(fields.text("usually"), fields.number("disk_mb", 0))


class Way(Protocol):
    """A way that fetches or builds. Implementations are frozen dataclasses with a `read(fields)` class method."""

    kind: ClassVar[str]

    @property
    def costs(self) -> Costs:
        """Time and space."""
        ...

    @property
    def version(self) -> str:
        """The version that it gives when that is not the part's own; else empty."""
        ...

    @property
    def accepts(self) -> Range | None:
        """What the program may report; None: exactly the version."""
        ...

    def summary(self) -> str:
        """The way in a few words, for the table and the messages."""
        ...

    def checked(self, machine: str) -> str:
        """What the bytes are checked against, in words."""
        ...

    def require(self, machine: str) -> None:
        """Raises WayError when it cannot work on this machine, as a tool is missing; cheap, and asks no network."""
        ...

    def recipe(self, bench: Bench) -> str:
        """Everything that decides the bytes it gives, as one text: another text is another part."""
        ...

    def take(self, bench: Bench, into: Path) -> None:
        """Puts the part's files below `into`. Raises WayError when it does not work here."""
        ...
