"""Built by cargo from a crate of this checkout."""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from infra.toolchain import command
from infra.toolchain.errors import WayError
from infra.toolchain.fields import Fields
from infra.toolchain.version import Range
from infra.toolchain.ways.base import Bench, Costs

_REMEDY = "install Rust 1.85 or later (https://rustup.rs)"
_SOURCES = ("Cargo.toml", "Cargo.lock", "build.rs", "src/**/*")


@dataclass(frozen=True, slots=True)
class Crate:
    """`cargo build --release` of the crate in the folder `crate`; its shared library goes to `lib/lib<library>.so`.

    Offline and with its Cargo.lock as it is: the crate depends on nothing that would have to be fetched.
    """

    kind: ClassVar[str] = "crate"

    costs: Costs
    crate: str
    library: str
    version: str = ""
    accepts: Range | None = None

    @classmethod
    def read(cls, fields: Fields) -> "Crate":
        """From the lock file."""
        return cls(costs=Costs.read(fields), crate=fields.text("crate"), library=fields.text("library"))

    def summary(self) -> str:
        """In a few words."""
        return f"built by cargo from {self.crate}"

    def checked(self, machine: str) -> str:  # noqa: ARG002 - the same for all
        """Against what."""
        return "sources in this checkout"

    def require(self, machine: str) -> None:  # noqa: ARG002 - cargo builds for all
        """Only where there is a cargo."""
        command.need("cargo", _REMEDY)

    def recipe(self, bench: Bench) -> str:
        """All sources: a changed line is another library."""
        folder = bench.root / self.crate
        files = sorted(path for pattern in _SOURCES for path in folder.glob(pattern) if path.is_file())
        sources = [(str(path.relative_to(folder)), hashlib.sha256(path.read_bytes()).hexdigest()) for path in files]
        return repr((sources, self.library, bench.machine))

    def take(self, bench: Bench, into: Path) -> None:
        """Builds. Cargo's target folder is kept in the cache, so that the next build does only what changed."""
        cargo = command.need("cargo", _REMEDY)
        manifest = bench.root / self.crate / "Cargo.toml"
        if not manifest.is_file():
            raise WayError(f"there is no crate in {manifest.parent}")
        command.run(
            [
                cargo,
                "build",
                "--release",
                "--locked",
                "--offline",
                f"--manifest-path={manifest}",
                f"--target-dir={bench.work}",
            ],
            log=bench.log,
            progress=bench.progress,
            what=f"cargo build of {self.library}",
            describe=lambda _, line: line.strip(),
        )
        # Envoy looks for lib<name>.so on every system.
        suffix = "dylib" if bench.machine.startswith("darwin") else "so"
        built = bench.work / f"release/lib{self.library}.{suffix}"
        if not built.is_file():
            raise WayError(f"cargo built no {built.name}; [lib] of {manifest} must name it and be a cdylib")
        library = into / f"lib/lib{self.library}.so"
        library.parent.mkdir()
        shutil.copy2(built, library)
