"""Built from a Go module: the go.mod and go.sum of a folder here name every source and its hash."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from infra.toolchain import command
from infra.toolchain.errors import ToolchainError
from infra.toolchain.fields import Fields
from infra.toolchain.version import Range
from infra.toolchain.ways.base import Bench, Costs

_MODULE_FILES = ("go.mod", "go.sum")


@dataclass(frozen=True, slots=True)
class GoModule:
    """`go build` of `packages` in the folder `module` (beside the lock file) into `bin/`.

    The name of a program is the last part of its package path.
    """

    kind: ClassVar[str] = "go"

    costs: Costs
    module: str
    packages: tuple[str, ...]
    go: str
    ldflags: str
    tags: tuple[str, ...]
    env: dict[str, str]
    version: str
    accepts: Range | None = None

    @classmethod
    def read(cls, fields: Fields) -> "GoModule":
        """From the lock file."""
        return cls(
            costs=Costs.read(fields),
            module=fields.text("module"),
            packages=fields.texts("packages"),
            go=fields.text("go"),
            ldflags=fields.text("ldflags", "-s -w"),
            tags=fields.texts("tags", ()),
            env=fields.table("env", {}),
            version=fields.text("version", ""),
        )

    def summary(self) -> str:
        """In a few words."""
        return f"built from its Go module ({self.module})"

    def checked(self, machine: str) -> str:  # noqa: ARG002 - the same for all
        """Against what."""
        return "go.sum"

    def require(self, machine: str) -> None:  # noqa: ARG002 - Go builds for all
        """Only where there is a Go."""
        command.need("go", self._remedy())

    def _remedy(self) -> str:
        return f"install Go {self.go} or later (https://go.dev/dl/): it is then built from source"

    def recipe(self, bench: Bench) -> str:
        """Sources (by go.sum), packages and flags. The Go that compiles is left out, as any new enough one will do."""
        folder = bench.lock / self.module
        if absent := [name for name in _MODULE_FILES if not (folder / name).is_file()]:
            raise ToolchainError(f"{bench.part}: there is no {' and no '.join(absent)} in {folder}")
        sources = [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in _MODULE_FILES]
        return repr((sources, self.packages, self.ldflags, self.tags, sorted(self.env.items()), bench.machine))

    def take(self, bench: Bench, into: Path) -> None:
        """Builds. Go keeps what it compiled, so a build that was stopped goes on from there."""
        go = command.need("go", self._remedy())
        programs = into / "bin"
        programs.mkdir()
        command.run(
            [
                *(go, "build", "-v", f"-ldflags={self.ldflags.format(version=bench.version)}"),
                *([f"-tags={','.join(self.tags)}"] if self.tags else []),
                *(f"-o={programs}/", *self.packages),
            ],
            cwd=bench.lock / self.module,
            # A go.work of the user above this checkout is not about this module.
            env={"GOWORK": "off", **self.env},
            log=bench.log,
            progress=bench.progress,
            what="go build",
            describe=lambda lines, last: f"{last.strip()}" if last.startswith("go:") else f"{lines} packages compiled",
        )
