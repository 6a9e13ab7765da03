"""The manifest of weights that were stored as they are."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from serving.store.errors import StoreError
from serving.store.manifest import FILE_NAME

SCHEMA = 2
"""1 is the manifest of converted models."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file as it was when it was staged."""

    bytes: int
    sha256: str
    sample: str
    """Hash over 64 blocks of it (`checksums.sample`)."""


@dataclass(frozen=True, slots=True)
class Record:
    """What a folder of plain weights holds."""

    source: str
    """As it was asked for, with its commit."""
    state: str
    """Hash over what the origin said of the files; another one means that the source was written again."""
    files: Mapping[str, StoredFile]
    """By path relative to the folder, with forward slashes."""

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(file.bytes for file in self.files.values())

    def digest(self) -> str:
        """Over all paths and hashes."""
        lines = [f"{path}\0{file.sha256}\n" for path, file in sorted(self.files.items())]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def write(self, folder: Path) -> None:
        """Write it into `folder`."""
        text = json.dumps({"schema": SCHEMA, "digest": self.digest(), **asdict(self)}, indent=2, sort_keys=True)
        (folder / FILE_NAME).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "Record":
        """The manifest in `folder`; StoreError when there is none or it cannot be understood."""
        path = folder / FILE_NAME
        try:
            text = path.read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            raise StoreError(f"{folder} holds no {FILE_NAME}: no stored weights, or staging never finished") from None
        return cls.parse(text, str(path))

    @classmethod
    def parse(cls, text: str, where: str) -> "Record":
        """From the text of a manifest; `where` is named in errors."""
        try:
            content: dict[str, Any] = json.loads(text)
            if content["schema"] != SCHEMA:
                raise StoreError(f"{where}: schema is {content['schema']}; weights stored as they are have {SCHEMA}")
            files = {path: StoredFile(**file) for path, file in content["files"].items()}
            found = cls(str(content["source"]), str(content["state"]), files)
            digest = str(content["digest"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StoreError(f"{where} cannot be understood ({error!r})") from error
        if found.digest() != digest:
            raise StoreError(f"{where}: digest {digest} is not the hash of the files it lists, {found.digest()}")
        return found
