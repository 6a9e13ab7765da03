"""Ports of one test process: a block of its own, so that two runs on one machine cannot meet."""

import fcntl
import tempfile
from functools import cache
from pathlib import Path
from typing import IO

from infra.providers.local import ports

FIRST, LAST, SIZE = 24000, 24999, 100
"""Below the ephemeral range, where outgoing connections take ports at random."""

_taken: set[int] = set()


def free_port() -> int:
    """A free port that this process has not been given before."""
    port = ports.take(block(), _taken)
    _taken.add(port)
    return port


def block() -> tuple[int, int]:
    """First and last port of this process's block."""
    first, _ = _lease()
    return first, first + SIZE - 1


@cache
def _lease() -> tuple[int, IO[str]]:
    """The first block that no other process holds; the lock goes with the process."""
    for first in range(FIRST, LAST, SIZE):
        file = (Path(tempfile.gettempdir()) / f"berth-test-ports-{first}.lock").open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            continue
        return first, file
    raise RuntimeError(f"all blocks of ports between {FIRST} and {LAST} are held by other test runs")
