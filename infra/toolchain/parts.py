"""The lock file: which external programs there are, at which version, by which ways."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import yaml

from infra.toolchain.errors import ToolchainError
from infra.toolchain.fields import Fields
from infra.toolchain.ways import GETTING, OnPath, Way

LOCK_FILE = Path(__file__).with_name("parts.yaml")


@dataclass(frozen=True, slots=True)
class Part:
    """What one download or one build gives: one or several programs, or a folder of data."""

    name: str
    what: str
    """For a person: what it is here for."""
    version: str
    provides: dict[str, str]
    """Names that can be asked for, and where they lie in the installed folder."""
    reports: tuple[str, ...]
    """Arguments with which its programs print their version; empty when they are no programs."""
    on_path: OnPath | None
    """What must be true of programs that are there already; None: they are never looked for."""
    ways: tuple[Way, ...]
    """In the order in which they are tried."""
    advice: tuple[str, ...]
    """What a person can do where no way works."""

    @property
    def title(self) -> str:
        """Name and version."""
        return f"{self.name} {self.version}"


def load(file: Path = LOCK_FILE) -> dict[str, Part]:
    """Parts by name. Raises ToolchainError that names the place of a mistake."""
    try:
        return _load(file, file.stat().st_mtime_ns)
    except (OSError, yaml.YAMLError) as error:
        raise ToolchainError(f"{file}: {error}") from error


@lru_cache(maxsize=4)
def _load(file: Path, _changed: int) -> dict[str, Part]:
    """Reading it takes 30 ms, and `doctor` asks once a part."""
    document = Fields(file.name, yaml.safe_load(file.read_text()))
    parts = {
        name: _part(name, Fields(f"{file.name}: {name}", body)) for name, body in document.mapping("parts").items()
    }
    document.close()
    names = [name for part in parts.values() for name in part.provides]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ToolchainError(f"{file.name}: provided by more than one part: {', '.join(twice)}")
    return parts


def _part(name: str, fields: Fields) -> Part:
    version = fields.text("version")
    on_path = None
    ways: list[Way] = []
    for index, item in enumerate(fields.items("ways")):
        way = Fields(f"{fields.place}.ways[{index}]", item)
        kind = way.text("way")
        if kind == OnPath.kind:
            on_path = OnPath.read(way)
        elif kind in GETTING:
            ways.append(GETTING[kind].read(way))
        else:
            raise ToolchainError(f"{way.place}.way: {kind} is none of {', '.join([OnPath.kind, *GETTING])}")
        way.close()
    part = Part(
        name=name,
        what=fields.text("what"),
        version=version,
        provides=fields.table("provides"),
        reports=fields.texts("reports", ()),
        on_path=on_path,
        ways=tuple(ways),
        advice=fields.texts("advice"),
    )
    fields.close()
    return part
