"""The vendor's own release, by its URL."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from infra.toolchain import archive, download
from infra.toolchain.checksum import Checksum, listed
from infra.toolchain.errors import ToolchainError, WayError
from infra.toolchain.fields import Fields
from infra.toolchain.version import Range
from infra.toolchain.ways.base import Bench, Costs

_ARCHIVES = (".tar.gz", ".tgz", ".tar.xz", ".zip")


@dataclass(frozen=True, slots=True)
class Release:
    """`url`, `checksums` and `takes` may hold `{version}` and `{platform}`, the vendor's name of this machine.

    A file is checked against `sha256`, by machine, where it is known. Otherwise against `checksums`, the vendor's list
    of the same release: that guards against a damaged or truncated file, not against a vendor's site in wrong hands.
    """

    kind: ClassVar[str] = "release"

    costs: Costs
    url: str
    platforms: dict[str, str]
    sha256: dict[str, str]
    checksums: str
    takes: dict[str, str]
    version: str
    accepts: Range | None = None

    @classmethod
    def read(cls, fields: Fields) -> "Release":
        """From the lock file."""
        way = cls(
            costs=Costs.read(fields),
            url=fields.text("url"),
            platforms=fields.table("platforms"),
            sha256=fields.table("sha256", {}),
            checksums=fields.text("checksums", ""),
            takes=fields.table("takes"),
            version=fields.text("version", ""),
        )
        unchecked = [name for name in way.platforms if name not in way.sha256 and not way.checksums]
        if unchecked:
            raise ToolchainError(f"{fields.place}: nothing to check {', '.join(unchecked)} against")
        return way

    def summary(self) -> str:
        """In a few words."""
        return f"official release from {urlsplit(self.url).netloc or 'a folder'}"

    def checked(self, machine: str) -> str:
        """Against what."""
        return "pinned sha256" if machine in self.sha256 else "the vendor's list of checksums (none pinned)"

    def require(self, machine: str) -> None:
        """Not released for every machine."""
        if machine not in self.platforms:
            raise WayError(f"there is no release for {machine}")

    def recipe(self, bench: Bench) -> str:
        """URL, checksum and what is taken."""
        return repr((self._fill(self.url, bench), self.sha256.get(bench.machine), sorted(self.takes.items())))

    def take(self, bench: Bench, into: Path) -> None:
        """Downloads, checks, unpacks."""
        url = self._fill(self.url, bench)
        name = url.rpartition("/")[2]
        pinned = self.sha256.get(bench.machine)
        expected = Checksum(pinned) if pinned else listed(download.text(self._fill(self.checksums, bench)), name)
        file = bench.downloads / name
        download.fetch(url, file, bench.progress)
        try:
            expected.check(file)
            takes = {self._fill(source, bench): target for source, target in self.takes.items()}
            if name.endswith(_ARCHIVES):
                archive.unpack(file, takes, into)
            else:
                self._place(file, takes, into)
        finally:
            # Wrong or used: neither is worth keeping.
            file.unlink(missing_ok=True)

    def _fill(self, text: str, bench: Bench) -> str:
        return text.format(version=bench.version, platform=self.platforms[bench.machine])

    @staticmethod
    def _place(file: Path, takes: dict[str, str], into: Path) -> None:
        if list(takes) != [file.name]:
            raise WayError(f"{file.name} is no archive: `takes` must name just this file")
        to = into / takes[file.name]
        to.parent.mkdir(parents=True, exist_ok=True)
        file.replace(to)
        to.chmod(archive.PROGRAM)
