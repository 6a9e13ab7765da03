"""The list of a stored version's files, with the hash of each, and what kind of model they are."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from serving.engines.base import Task
from serving.store.errors import StoreError

FILE_NAME = "manifest.json"
"""Written last: a folder without it was never finished."""
_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class File:
    """One file as it was when the version was staged."""

    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a version holds."""

    name: str
    version: str
    """First 12 hex digits of the hash over the files' paths and hashes."""
    family: str
    """gpt2, t5, bert or ngram: `model_type` of config.json."""
    task: Task
    context_tokens: int
    """Most tokens of one request: prompt and answer for decoders, each of them for encoder-decoders."""
    source: str
    """Hash over the source files and the recipe that converted them; equal sources are staged once."""
    files: Mapping[str, File]
    """By path relative to the version's folder, with forward slashes."""

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(file.bytes for file in self.files.values())

    def write(self, folder: Path) -> None:
        """Write it into `folder`."""
        text = json.dumps({"schema": _SCHEMA, **asdict(self)}, indent=2, sort_keys=True)
        (folder / FILE_NAME).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """The manifest in `folder`; StoreError when there is none or it cannot be understood."""
        path = folder / FILE_NAME
        try:
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if content["schema"] != _SCHEMA:
                raise StoreError(f"{path}: schema is {content['schema']}; this kit reads {_SCHEMA}. {_way_out(folder)}")
            return cls(
                name=str(content["name"]),
                version=str(content["version"]),
                family=str(content["family"]),
                task=Task(content["task"]),
                context_tokens=int(content["context_tokens"]),
                source=str(content["source"]),
                files={path: File(**file) for path, file in content["files"].items()},
            )
        except (FileNotFoundError, NotADirectoryError):
            raise StoreError(
                f"{folder} holds no {FILE_NAME}: not a stored model, or staging it never finished"
            ) from None
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(f"{path} cannot be understood ({error!r}). {_way_out(folder)}") from error


def files_in(folder: Path) -> dict[str, Path]:
    """All files below `folder` but the manifest, by relative path, sorted."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    found.pop(FILE_NAME, None)
    return dict(sorted(found.items()))


def hashed(path: Path) -> File:
    """Hash and size of a file."""
    with path.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256")
    return File(digest.hexdigest(), path.stat().st_size)


def combined(files: Mapping[str, File], *, salt: str = "") -> str:
    """One hash over paths and hashes."""
    lines = [f"{path}\0{file.sha256}\n" for path, file in sorted(files.items())]
    return hashlib.sha256("".join([salt, *lines]).encode()).hexdigest()


def verify(folder: Path) -> Manifest:
    """Hash every file of a stored version and compare; StoreError names each that differs, is missing or is new."""
    manifest = Manifest.read(folder)
    present = files_in(folder)
    problems = []
    for path, expected in manifest.files.items():
        if path not in present:
            problems.append(f"{path}: expected sha256 {expected.sha256}, found no such file")
            continue
        found = hashed(present[path])
        if found != expected:
            problems.append(
                f"{path}: expected sha256 {expected.sha256} ({expected.bytes} bytes), "
                f"found {found.sha256} ({found.bytes} bytes)"
            )
    problems += [f"{path}: not in the manifest" for path in present if path not in manifest.files]
    if not problems and combined(manifest.files)[: len(manifest.version)] != manifest.version:
        problems.append(f"{FILE_NAME}: version {manifest.version} is not the hash of the files it lists")
    if problems:
        listed = "\n  ".join(problems)
        raise StoreError(f"{manifest.name}@{manifest.version} in {folder} is damaged:\n  {listed}\n{_way_out(folder)}")
    return manifest


def _way_out(folder: Path) -> str:
    return f"Stage the model again: python -m serving.store stage --root {folder.parent.parent}"
