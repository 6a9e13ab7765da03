"""A program that the machine has already: the first way, as it costs nothing and is what its owner chose."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from infra.toolchain import version
from infra.toolchain.errors import WayError
from infra.toolchain.fields import Fields
from infra.toolchain.version import Range


@dataclass(frozen=True, slots=True)
class OnPath:
    """Every program of the part must be on PATH at a version that `accepts` allows, and all of `beside` too."""

    kind: ClassVar[str] = "path"

    accepts: Range
    beside: tuple[str, ...]

    @classmethod
    def read(cls, fields: Fields) -> "OnPath":
        """From the lock file."""
        return cls(accepts=Range.read(fields, "accepts"), beside=fields.texts("beside", ()))

    def look(
        self, names: Sequence[str], reports: Sequence[str], path: str, notebook: "Notebook"
    ) -> dict[str, tuple[Path, str]]:
        """Path and version of every program. Raises WayError that says what is not right."""
        for name in (*names, *self.beside):
            if shutil.which(name, path=path) is None:
                raise WayError(f"`{name}` is not on PATH")
        found: dict[str, tuple[Path, str]] = {}
        for name in names:
            program = Path(shutil.which(name, path=path) or name)
            have = notebook.version(program, reports)
            if not self.accepts.allows(have):
                raise WayError(f"{program} is {have}, wanted {self.accepts.text}")
            found[name] = (program, have)
        return found


@dataclass(frozen=True, slots=True)
class Notebook:
    """Remembers what a program said of its version, as long as its file stays the same: asking takes up to 0.3 s."""

    file: Path

    def version(self, program: Path, arguments: Sequence[str]) -> str:
        """What the program reports. Raises WayError when it does not run."""
        status = program.stat()
        key = f"{program.resolve()} {status.st_size} {status.st_mtime_ns}"
        known = self._read()
        if key in known:
            return known[key]
        found = version.report(program, arguments)
        # Only saves time: where the cache cannot be written, the program is asked again.
        with suppress(OSError):
            self._write({**known, key: found})
        return found

    def _read(self) -> Mapping[str, str]:
        try:
            return dict(json.loads(self.file.read_text()))
        except (OSError, ValueError):
            return {}

    def _write(self, known: Mapping[str, str]) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.file.with_name(f"{self.file.name}.{os.getpid()}")
        fresh.write_text(json.dumps(known, indent=1))
        fresh.replace(self.file)


def outside(path: str, folders: Sequence[Path]) -> str:
    """A PATH without the entries that lie in one of the folders: our own copies are no find."""
    entries = [entry for entry in path.split(os.pathsep) if entry]
    return os.pathsep.join(entry for entry in entries if not any(Path(entry).is_relative_to(own) for own in folders))
