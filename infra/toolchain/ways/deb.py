"""A Debian package, unpacked into the cache and not installed: the system stays as it is."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from infra.toolchain import archive, command
from infra.toolchain.errors import WayError
from infra.toolchain.fields import Fields
from infra.toolchain.version import Range
from infra.toolchain.ways.base import Bench, Costs

_REMEDY = "run this on Debian or a system made from it"


@dataclass(frozen=True, slots=True)
class Deb:
    """`apt-get download`, then `dpkg -x`. Which version there is depends on the release of Debian, hence `accepts`.

    Apt checks the package against the archive's signed index; a checksum cannot be pinned, as the archive replaces
    packages by their security updates.
    """

    kind: ClassVar[str] = "deb"

    costs: Costs
    package: str
    version: str
    accepts: Range | None
    takes: dict[str, str]

    @classmethod
    def read(cls, fields: Fields) -> "Deb":
        """From the lock file."""
        return cls(
            costs=Costs.read(fields),
            package=fields.text("package"),
            version=fields.text("version"),
            accepts=Range.read(fields, "accepts"),
            takes=fields.table("takes"),
        )

    def summary(self) -> str:
        """In a few words."""
        return f"Debian package {self.package}"

    def checked(self, machine: str) -> str:  # noqa: ARG002 - the same for all
        """Against what."""
        return "Debian's signed index"

    def require(self, machine: str) -> None:
        """Only where there is apt."""
        if not machine.startswith("linux"):
            raise WayError("Debian packages are for Linux")
        command.need("apt-get", _REMEDY)
        command.need("dpkg", _REMEDY)

    def recipe(self, bench: Bench) -> str:
        """Name, range and what is taken."""
        accepts = self.accepts.text if self.accepts else ""
        return repr((self.package, accepts, bench.machine, sorted(self.takes.items())))

    def take(self, bench: Bench, into: Path) -> None:
        """Downloads, unpacks, keeps the files that were asked for."""
        apt = command.need("apt-get", _REMEDY)
        dpkg = command.need("dpkg", _REMEDY)
        folder = bench.downloads / "deb"
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob("*.deb"):
            left.unlink()
        self._download(apt, bench, folder)
        packages = list(folder.glob("*.deb"))
        if len(packages) != 1:
            raise WayError(f"apt-get gave {len(packages)} packages of {self.package}")
        with tempfile.TemporaryDirectory(dir=into) as unpacked:
            self._run([dpkg, "-x", str(packages[0]), unpacked], "dpkg -x", bench, folder)
            archive.move(Path(unpacked), self.takes, into)
        packages[0].unlink()

    def _download(self, apt: str, bench: Bench, folder: Path) -> None:
        """With the system's package lists; where there are none (a fresh container), with lists of our own."""
        try:
            self._apt(apt, [], ["download", self.package], bench, folder)
        except WayError:
            bench.progress.say("the system has no list of Debian packages; fetching one for this only")
            lists = bench.downloads / "lists"
            (lists / "partial").mkdir(parents=True, exist_ok=True)
            own = [
                f"--option=Dir::State::Lists={lists}/",
                "--option=Dir::Cache::pkgcache=",
                "--option=Dir::Cache::srcpkgcache=",
            ]
            self._apt(apt, own, ["update"], bench, folder)
            self._apt(apt, own, ["download", self.package], bench, folder)

    def _apt(self, apt: str, options: list[str], arguments: list[str], bench: Bench, folder: Path) -> None:
        # Apt would warn that its own user cannot write to the folder; the download needs no user of its own.
        quiet = ["--quiet", "--option=APT::Sandbox::User=root", "--option=Acquire::http::Timeout=15"]
        self._run([apt, *quiet, *options, *arguments], f"apt-get {' '.join(arguments)}", bench, folder)

    @staticmethod
    def _run(argv: list[str], what: str, bench: Bench, folder: Path) -> None:
        command.run(
            argv,
            cwd=folder,
            log=bench.log,
            progress=bench.progress,
            what=what,
            describe=lambda _, line: line.strip(),
        )
