"""Ports of one test process: blocks of its own, so that two runs on one machine cannot meet."""

import fcntl
import tempfile
from pathlib import Path
from typing import IO

from infra.providers.local import ports

FIRST, LAST, SIZE = 24000, 27999, 100
"""Below the ephemeral range, where outgoing connections take ports at random."""

_taken: set[int] = set()
_locks: list[IO[str]] = []
_single: list[tuple[int, int]] = []
"""Blocks that single ports are taken from; of the last one some may be left."""


def free_port() -> int:
    """A free port that this process has not been given before."""
    while True:
        try:
            port = ports.take(_single[-1], _taken) if _single else None
        except ports.PortError:
            port = None
        if port is not None:
            _taken.add(port)
            return port
        _single.append(lease())


def lease() -> tuple[int, int]:
    """First and last port of one more block that nobody else takes ports from while this process lives."""
    first, lock = _locked()
    _locks.append(lock)
    return first, first + SIZE - 1


def _locked() -> tuple[int, IO[str]]:
    """The first block that is not leased; the lock goes with its file, and so with the process."""
    for first in range(FIRST, LAST, SIZE):
        file = (Path(tempfile.gettempdir()) / f"berth-test-ports-{first}.lock").open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            continue
        return first, file
    raise RuntimeError(f"all blocks of ports between {FIRST} and {LAST} are held by other test runs")
