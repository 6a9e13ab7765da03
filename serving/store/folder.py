"""The folder of a store: <root>/<name>/<version>/, and which version a name means."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from serving.engines.base import suggestion
from serving.store.errors import StoreError
from serving.store.manifest import FILE_NAME, Manifest

_CURRENT = "current"
_REFERENCE = re.compile(r"(?P<name>[a-z0-9][a-z0-9._-]*)(?:@(?P<version>[0-9a-f]{4,12}))?")


@dataclass(frozen=True, slots=True)
class Version:
    """One stored version of a model."""

    manifest: Manifest
    path: Path
    """Its folder, as an engine's `weights`."""

    def __str__(self) -> str:
        return f"{self.manifest.name}@{self.manifest.version}"


def resolve(root: Path, reference: str) -> Version:
    """The version that `name` (the one staged last) or `name@version` (a prefix of 4 digits will do) means.

    Reads the manifest only; `verify` hashes the files. Raises StoreError when there is no such model or version.
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise StoreError(
            f"{reference!r} is not a stored model; write name or name@version, as in tiny-gpt2@0123456789ab"
        )
    name, wanted = match["name"], match["version"]
    known = _names(root)
    if name not in known:
        raise StoreError(
            f"no model {name!r} in the store {root}{suggestion(name, known)}. "
            f"Stage the kit's models: python -m serving.store stage --root {root}"
        )
    staged = [folder.name for folder in finished(root / name)]
    if wanted is None:
        wanted = _current(root / name) or ""
    found = [version for version in staged if version.startswith(wanted)] if wanted else []
    if len(found) != 1:
        problem = (
            f"{len(found)} versions of {name!r} start with {wanted!r}" if wanted else f"{name!r} has no current one"
        )
        raise StoreError(f"{problem} in the store {root}; it holds {', '.join(staged) or 'none'}")
    folder = root / name / found[0]
    return Version(Manifest.read(folder), folder)


def versions(root: Path) -> list[Version]:
    """Everything staged, by name and version."""
    folders = (folder for name in _names(root) for folder in finished(root / name))
    return [Version(Manifest.read(folder), folder) for folder in folders]


def finished(folder: Path) -> list[Path]:
    """Folders of one model's versions that have a manifest."""
    return sorted(path.parent for path in folder.glob(f"*/{FILE_NAME}"))


def make_current(root: Path, version: Version) -> None:
    """Let the bare name mean `version`; readers see the old or the new one."""
    folder = root / version.manifest.name
    if _current(folder) == version.manifest.version:
        return
    temporary = folder / f".{_CURRENT}.{os.getpid()}"
    temporary.write_text(version.manifest.version + "\n", encoding="utf-8")
    temporary.replace(folder / _CURRENT)


def _names(root: Path) -> list[str]:
    if not root.is_dir():
        return []
    return sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def _current(folder: Path) -> str | None:
    try:
        return (folder / _CURRENT).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
