"""The processes that the host has started, so that none is left when it goes."""

import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

# What a process gets to close in before it is killed.
GRACE_SECONDS = 3.0


class Processes:
    """Children of the host. They share its process group, which the engine signals as a whole."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()

    @contextmanager
    def start(
        self, command: Sequence[str], cwd: str, env: Mapping[str, str], stdin: int, pipes: bool = False
    ) -> "Iterator[subprocess.Popen[bytes]]":
        """A running process; it is ended when the block is left."""
        output = subprocess.PIPE if pipes else None
        with subprocess.Popen(command, cwd=cwd, env=dict(env), stdin=stdin, stdout=output, stderr=output) as process:
            with self._lock:
                self._running.add(process)
            try:
                yield process
            finally:
                end(process)
                with self._lock:
                    self._running.discard(process)

    def end_all(self) -> None:
        """Ends every process that still runs."""
        with self._lock:
            running = list(self._running)
        for process in running:
            process.terminate()
        for process in running:
            end(process)


def end(process: "subprocess.Popen[bytes]") -> None:
    """Ends a process, by force when it does not heed."""
    process.terminate()
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
