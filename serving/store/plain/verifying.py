"""Whether stored weights are what their manifest says."""

import shlex
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from serving.store.errors import StoreError
from serving.store.manifest import files_in
from serving.store.plain.checksums import SMALL_BYTES, hashed, sample
from serving.store.plain.record import Record, StoredFile

_THREADS = 8
"""Hashing leaves the interpreter's lock; network disks answer several readers better than one."""


def verify_plain(folder: Path, *, whole: bool = False) -> Record:
    """Compares a folder with its manifest; StoreError names each file that differs, is missing or is new.

    By default as a server does before it loads: the manifest agrees with itself, all files are there with their sizes,
    those up to 16 MiB are hashed whole, of larger ones 64 blocks. That takes seconds for any model. Every byte was
    hashed when it was staged, from the volume and before the folder had its name, and servers mount it read-only;
    hashing 100 GB again would hold a GPU idle for minutes at each start. `whole` hashes everything.
    """
    record = Record.read(folder)
    present = files_in(folder)
    with ThreadPoolExecutor(_THREADS) as pool:
        futures = [
            pool.submit(_problem, name, present.get(name), expected, whole=whole)
            for name, expected in record.files.items()
        ]
        problems = [problem for future in futures if (problem := future.result())]
    problems += [f"{name}: not in the manifest" for name in present if name not in record.files]
    if problems:
        listed = "\n  ".join(problems)
        raise StoreError(f"{record.source} in {folder} is damaged:\n  {listed}\n{_way_out(record, folder)}")
    return record


def _problem(name: str, path: Path | None, expected: StoredFile, *, whole: bool) -> str | None:
    if path is None:
        return f"{name}: expected {expected.bytes} bytes with sha256 {expected.sha256}, found no such file"
    return next(_differences(name, path, expected, whole=whole), None)


def _differences(name: str, path: Path, expected: StoredFile, *, whole: bool) -> Iterator[str]:
    size = path.stat().st_size
    if size != expected.bytes:
        yield f"{name}: expected {expected.bytes} bytes, found {size}"
    if whole or size <= SMALL_BYTES:
        found = hashed(path).sha256
        if found != expected.sha256:
            yield f"{name}: expected sha256 {expected.sha256}, found {found}"
    elif (sampled := sample(path)) != expected.sample:
        yield f"{name}: expected the hash {expected.sample} of 64 blocks, found {sampled}"


def _way_out(record: Record, folder: Path) -> str:
    root = folder.parents[2] if len(folder.parents) > 2 else folder
    return f"Stage it again: python -m serving.store stage {shlex.quote(record.source)} --root {root}"
