"""A wheel of the Python package index, unpacked into the cache and not installed anywhere."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from infra.toolchain import archive, command
from infra.toolchain.checksum import Checksum, digest
from infra.toolchain.errors import WayError
from infra.toolchain.fields import Fields
from infra.toolchain.version import Range
from infra.toolchain.ways.base import Bench, Costs


@dataclass(frozen=True, slots=True)
class Wheel:
    """`pip download` of exactly one wheel: its hash must be one of `sha256` (one a machine it is made for).

    `contents` are checksums of single files in it, by their place among the installed ones.
    """

    kind: ClassVar[str] = "wheel"

    costs: Costs
    package: str
    version: str
    sha256: tuple[str, ...]
    takes: dict[str, str]
    contents: dict[str, str]
    accepts: Range | None = None

    @classmethod
    def read(cls, fields: Fields) -> "Wheel":
        """From the lock file."""
        return cls(
            costs=Costs.read(fields),
            package=fields.text("package"),
            version=fields.text("version", ""),
            sha256=fields.texts("sha256"),
            takes=fields.table("takes"),
            contents=fields.table("contents", {}),
        )

    def summary(self) -> str:
        """In a few words."""
        return f"Python package {self.package}"

    def checked(self, machine: str) -> str:  # noqa: ARG002 - the same for all
        """Against what."""
        return "pinned sha256"

    def require(self, machine: str) -> None:
        """Nothing: pip belongs to Python, and knows best for which machines there is a wheel."""

    def recipe(self, bench: Bench) -> str:
        """Which wheel, what of it."""
        return repr((self.package, bench.version, bench.machine, self.sha256, sorted(self.takes.items())))

    def take(self, bench: Bench, into: Path) -> None:
        """Downloads, checks, unpacks."""
        folder = bench.downloads / "wheel"
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob("*.whl"):
            left.unlink()
        self._download(bench, folder)
        wheels = list(folder.glob("*.whl"))
        if len(wheels) != 1:
            raise WayError(f"pip gave {len(wheels)} wheels of {self.package}")
        # Pip checked already; this does not depend on which pip that was.
        if (found := digest(wheels[0])) not in self.sha256:
            raise WayError(f"{wheels[0].name} is refused: its sha256 is {found}, none of those expected")
        archive.unpack(wheels[0], self.takes, into)
        wheels[0].unlink()
        for name, expected in self.contents.items():
            Checksum(expected).check(into / name)

    def _download(self, bench: Bench, folder: Path) -> None:
        requirements = folder / "requirements.txt"
        hashes = " ".join(f"--hash=sha256:{value}" for value in self.sha256)
        requirements.write_text(f"{self.package}=={bench.version} {hashes}\n")
        pip = [*_pip(), "download", "--no-deps", "--only-binary=:all:", "--require-hashes", "--no-input"]
        patience = ["--disable-pip-version-check", "--retries=2", "--timeout=15", "--progress-bar=off"]
        command.run(
            [*pip, *patience, f"--dest={folder}", f"--requirement={requirements}"],
            log=bench.log,
            progress=bench.progress,
            what=f"pip downloads {self.package} {bench.version}",
            describe=lambda _, line: line.strip(),
        )


def _pip() -> list[str]:
    """Pip of this Python, else of the Python that its environment was made from (`uv venv` leaves pip out)."""
    for python in dict.fromkeys((sys.executable, str(Path(sys.base_prefix) / "bin/python3"))):
        try:
            subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return [python, "-m", "pip"]
    raise WayError(f"{sys.executable} has no pip", "give this Python a pip: `python -m ensurepip`")
