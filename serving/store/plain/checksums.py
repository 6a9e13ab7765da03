"""Hashes of files: what origins say of them, and what the store keeps."""

import hashlib
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

_READ_BYTES = 2**20
_SAMPLES, _SAMPLE_BYTES = 64, 2**16
SMALL_BYTES = 2**24
"""Files up to this size are always hashed whole: configurations, tokenizers and templates decide what runs."""


class Kind(StrEnum):
    """How an origin hashes its files."""

    SHA256 = "sha256"
    GIT = "git blob"
    """SHA-1 over a header and the content, as git names its objects."""
    MD5 = "md5"
    PARTS = "md5 of parts"
    """MD5 over the MD5 of each part, with their number: ETags of uploads in several parts."""


@dataclass(frozen=True, slots=True)
class Checksum:
    """What an origin says of a file."""

    kind: Kind
    value: str
    part_bytes: int = 0
    """Size of all parts but the last, for PARTS."""


@dataclass(frozen=True, slots=True)
class Hashed:
    """What a file turned out to be."""

    bytes: int
    sha256: str
    said: str
    """The same hash that the origin gave; empty when it gave none."""


def hashed(path: Path, checksum: Checksum | None = None) -> Hashed:
    """Reads a file once for its own hash and the origin's."""
    size = path.stat().st_size
    own = hashlib.sha256()
    other = _Other(checksum, size) if checksum and checksum.kind is not Kind.SHA256 else None
    buffer = bytearray(_READ_BYTES)
    view = memoryview(buffer)
    with path.open("rb", buffering=0) as opened:
        while count := opened.readinto(buffer):
            own.update(view[:count])
            if other:
                other.update(view[:count])
    said = other.value() if other else own.hexdigest() if checksum else ""
    return Hashed(size, own.hexdigest(), said)


def sample(path: Path) -> str:
    """Hash over 64 blocks of 64 KiB, spread evenly from the first byte to the last.

    It costs 4 MiB of reading for a file of any size and tells other weights of the same size, and files of which a
    crash or a full disk left a part without content; it does not tell single flipped bits.
    """
    size = path.stat().st_size
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as opened:
        if size <= _SAMPLES * _SAMPLE_BYTES:
            return hashlib.file_digest(opened, "sha256").hexdigest()
        for number in range(_SAMPLES):
            digest.update(os.pread(opened.fileno(), _SAMPLE_BYTES, (size - _SAMPLE_BYTES) * number // (_SAMPLES - 1)))
    return digest.hexdigest()


class _Other:
    """The hash of an origin that is not SHA-256."""

    def __init__(self, checksum: Checksum, size: int) -> None:
        self._kind, self._part_bytes = checksum.kind, checksum.part_bytes
        self._parts: list[bytes] = []
        self._in_part = 0
        if self._kind is Kind.GIT:
            self._digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        else:
            self._digest = hashlib.md5(usedforsecurity=False)

    def update(self, content: memoryview) -> None:
        """Takes the next bytes."""
        while self._kind is Kind.PARTS and self._in_part + len(content) >= self._part_bytes:
            taken = self._part_bytes - self._in_part
            self._digest.update(content[:taken])
            content = content[taken:]
            self._end_part()
        self._digest.update(content)
        self._in_part += len(content)

    def value(self) -> str:
        """Of all bytes."""
        if self._kind is not Kind.PARTS:
            return self._digest.hexdigest()
        if self._in_part:
            self._end_part()
        whole = hashlib.md5(b"".join(self._parts), usedforsecurity=False).hexdigest()
        return f"{whole}-{len(self._parts)}"

    def _end_part(self) -> None:
        self._parts.append(self._digest.digest())
        self._digest = hashlib.md5(usedforsecurity=False)
        self._in_part = 0
