"""Files out of a Go module: nothing is built."""

import base64
import hashlib
import json
import os
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from infra.toolchain import archive, command
from infra.toolchain.errors import WayError
from infra.toolchain.fields import Fields
from infra.toolchain.version import Range
from infra.toolchain.ways.base import Bench, Costs

_REMEDY = "install Go 1.21 or later (https://go.dev/dl/): it fetches the module"


@dataclass(frozen=True, slots=True)
class GoFiles:
    """`go mod download` of one module; its archive must have the checksum `sum`, written as in a go.sum (`h1:…`)."""

    kind: ClassVar[str] = "go-files"

    costs: Costs
    module: str
    sum: str
    takes: dict[str, str]
    version: str = ""
    accepts: Range | None = None

    @classmethod
    def read(cls, fields: Fields) -> "GoFiles":
        """From the lock file."""
        return cls(
            costs=Costs.read(fields),
            module=fields.text("module"),
            sum=fields.text("sum"),
            takes=fields.table("takes"),
        )

    def summary(self) -> str:
        """In a few words."""
        return f"files of the Go module {self.module}"

    def checked(self, machine: str) -> str:  # noqa: ARG002 - the same for all
        """Against what."""
        return "pinned go.sum line"

    def require(self, machine: str) -> None:  # noqa: ARG002 - the same files for all
        """Only where there is a Go."""
        command.need("go", _REMEDY)

    def recipe(self, bench: Bench) -> str:
        """Which module, what of it."""
        return repr((self.module, bench.version, self.sum, sorted(self.takes.items())))

    def take(self, bench: Bench, into: Path) -> None:
        """Downloads, checks, unpacks."""
        module = f"{self.module}@v{bench.version}"
        zipped = self._download(module, bench)
        if (found := module_sum(zipped)) != self.sum:
            raise WayError(f"{module} is refused: its sum is {found}, expected {self.sum}")
        archive.unpack(zipped, {f"{module}/{source}": target for source, target in self.takes.items()}, into)

    def _download(self, module: str, bench: Bench) -> Path:
        """The module's archive in Go's own cache."""
        bench.downloads.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [command.need("go", _REMEDY), "mod", "download", "-json", module],
            # Outside of any module, so that it is just this one that is asked for.
            cwd=bench.downloads,
            env={**os.environ, "GOWORK": "off", "GOSUMDB": "off", "GOFLAGS": ""},
            capture_output=True,
            text=True,
            check=False,
        )
        try:
            answer: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            answer = {}
        # A module for a newer Go than this one is an error to it, but its files are there all the same.
        if "Zip" not in answer:
            raise WayError(f"`go mod download {module}` failed: {answer.get('Error') or done.stderr.strip()}")
        return Path(answer["Zip"])


def module_sum(zipped: Path) -> str:
    """The `h1:` checksum of a module's archive: over the names and SHA-256 of all its files."""
    total = hashlib.sha256()
    with zipfile.ZipFile(zipped) as file:
        for name in sorted(file.namelist()):
            total.update(f"{hashlib.sha256(file.read(name)).hexdigest()}  {name}\n".encode())
    return f"h1:{base64.b64encode(total.digest()).decode()}"
