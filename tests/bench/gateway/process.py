"""Processes of a measurement: pinned to a core, at raised priority where that is allowed, ended when it ends."""

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.bench.gateway import machine

PRIORITY = -8
"""Nice value of what is measured, so that other work on the machine disturbs it less. Needs root; else it stays 0."""


class BenchError(RuntimeError):
    """A measurement that cannot be made, with the reason and the way out."""


class Processes:
    """Everything that a measurement has started. Use as a context: what is left runs no longer than the context."""

    def __init__(self, folder: Path) -> None:
        """`folder` takes the logs."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._running: list[Process] = []

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._running):
            process.stop()

    def start(
        self, name: str, argv: Sequence[str | Path], *, core: str = "", env: Mapping[str, str] | None = None
    ) -> "Process":
        """Starts a program; `core`: the CPUs it may use, as taskset writes them, empty for any."""
        log = self.folder / f"{name.replace(' ', '-')}.log"
        pinned = ["taskset", "-c", core, *argv] if core else list(argv)
        with log.open("wb") as out:
            # A session of its own is a scheduling group of its own, whose priority can be raised.
            child = subprocess.Popen(
                [str(a) for a in pinned],
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )
        raise_priority(child.pid)
        process = Process(name, child, log)
        self._running.append(process)
        return process


class Process:
    """One of them."""

    def __init__(self, name: str, child: "subprocess.Popen[bytes]", log: Path) -> None:
        self.name = name
        self.log = log
        self._child = child

    @property
    def pid(self) -> int:
        """Its number."""
        return self._child.pid

    def cpu_seconds(self) -> float:
        """CPU time so far, with descendants."""
        return machine.cpu_seconds(self._child.pid)

    def rss_bytes(self) -> int:
        """Resident memory now, with descendants."""
        return machine.rss_bytes(self._child.pid)

    def check(self) -> None:
        """Raises BenchError with the end of its log when it has ended."""
        if self._child.poll() is not None:
            tail = self.log.read_text(errors="replace").splitlines()[-12:]
            lines = "\n".join(f"    {line}" for line in tail)
            raise BenchError(f"{self.name} ended ({self._child.returncode}); {self.log} says\n{lines}")

    def wait_http(self, url: str, seconds: float = 120.0) -> None:
        """Until the URL answers with anything but 503."""
        self._wait(lambda: _answers(url), url, seconds)

    def wait_port(self, port: int, seconds: float = 120.0) -> None:
        """Until the port of 127.0.0.1 takes connections."""
        self._wait(lambda: _connects(port), f"127.0.0.1:{port}", seconds)

    def _wait(self, ready: Callable[[], bool], what: str, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not ready():
            self.check()
            if time.monotonic() > end:
                raise BenchError(f"{self.name} does not answer on {what} after {seconds:g} s; see {self.log}")
            time.sleep(0.05)

    def wait(self, seconds: float) -> None:
        """Until it has ended. Raises BenchError when it fails or takes longer."""
        try:
            status = self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise BenchError(f"{self.name} has not ended after {seconds:g} s; see {self.log}") from None
        if status:
            self.check()

    def stop(self) -> None:
        """Ends it and what it has started: asked first, killed after 5 s."""
        if self._child.poll() is not None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGTERM)
        try:
            self._child.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()


def raise_priority(pid: int) -> None:
    """Raises the priority of a process that leads a session, as far as the user may."""
    with suppress(PermissionError, ProcessLookupError):
        os.setpriority(os.PRIO_PROCESS, pid, PRIORITY)
    # Where sessions are scheduled as groups, the nice value counts only inside of them.
    with suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(PRIORITY))


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that were free a moment ago."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for held in sockets:
            held.bind(("127.0.0.1", 0))
        return [held.getsockname()[1] for held in sockets]
    finally:
        for held in sockets:
            held.close()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.HTTPError as error:
        return error.code != 503
    except OSError:
        return False


def _connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
