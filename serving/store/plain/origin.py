"""Where weights come from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from serving.store.plain.checksums import Checksum


@dataclass(frozen=True, slots=True)
class Remote:
    """A file at its origin."""

    path: str
    """Relative, with forward slashes."""
    bytes: int
    checksum: Checksum | None
    """What the origin says of its content; None when it says nothing that can be checked."""
    state: str = ""
    """What changes when the file is written again, such as an ETag."""


class Origin(Protocol):
    """A hub, a bucket or a folder."""

    mutable: bool
    """Whether the source could come to hold other files under the same name."""

    def files(self) -> list[Remote]:
        """All files that there are. Raises StoreError; RefusedError when trying again is in vain."""

    def detailed(self, file: Remote) -> Remote:
        """The same file with its checksum, where that takes a request for each file."""

    def tidy(self, folder: Path) -> None:
        """Removes what an interrupted transfer left in `folder` and cannot be taken up again."""

    def fetch(self, file: Remote, folder: Path) -> None:
        """Completes `folder/<path>`; an interrupted transfer is taken up again where that is possible.

        A file that is there is left as it is: it is hashed afterwards. Raises StoreError or OSError.
        """
