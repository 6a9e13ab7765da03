"""Checksums: one known beforehand, or one from the vendor's list of a release."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from infra.toolchain.errors import WayError

_ALGORITHMS = {64: "sha256", 128: "sha512"}
_LISTED = re.compile(r"^([0-9a-fA-F]{64}|[0-9a-fA-F]{128})\s+\*?(\S+)\s*$")


@dataclass(frozen=True, slots=True)
class Checksum:
    """SHA-256 or SHA-512 in lower-case hex; which of the two follows from the length."""

    hex: str

    @property
    def algorithm(self) -> str:
        """`sha256` or `sha512`."""
        return _ALGORITHMS[len(self.hex)]

    def check(self, file: Path) -> None:
        """Raises WayError when the file is another one."""
        found = digest(file, self.algorithm)
        if found != self.hex:
            raise WayError(f"{file.name} is refused: its {self.algorithm} is {found}, expected {self.hex}")


def digest(file: Path, algorithm: str = "sha256") -> str:
    """The checksum of a file in lower-case hex."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def listed(listing: str, name: str) -> Checksum:
    """The checksum of the file `name` in a vendor's list (`HEX  FILE` lines; a PGP frame around them is passed over).

    Raises WayError when the list does not name the file.
    """
    for line in listing.splitlines():
        match = _LISTED.match(line.strip())
        if match and match[2].rpartition("/")[2] == name:
            return Checksum(match[1].lower())
    raise WayError(f"the vendor's list of checksums does not name {name}")
