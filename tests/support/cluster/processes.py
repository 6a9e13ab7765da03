"""The server processes of one cluster: started, watched, killed, stopped."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

STOP_SECONDS = 10.0
POLL_SECONDS = 0.05
_TIED = Path(__file__).with_name("tied.py")


class ProcessError(RuntimeError):
    """A server that ended by itself, or did not come up in time; the message holds the end of its log."""


class Processes:
    """By name; each writes to `<folder>/<name>.log`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        """Starts a server that ends when this process does."""
        # Isolated and without site packages it is up in a few milliseconds.
        command = [sys.executable, "-I", "-S", str(_TIED), str(os.getpid()), *argv]
        with (self._folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )

    def names(self) -> list[str]:
        """Those that were started and not stopped, in the order of their start."""
        return list(self._running)

    def pids(self) -> dict[str, int]:
        """Process ids by name."""
        return {name: process.pid for name, process in self._running.items()}

    def kill(self, name: str) -> None:
        """SIGKILL, as a machine that fails."""
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def stop(self, name: str) -> None:
        """SIGTERM, then SIGKILL after a while."""
        process = self._running.pop(name)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def stop_all(self) -> None:
        """Last started first."""
        for name in reversed(self.names()):
            self.stop(name)

    def kill_all(self) -> None:
        """At once: for data that nobody wants any more."""
        for name in reversed(self.names()):
            self.kill(name)

    def wait(self, what: str, check: Callable[[], bool], seconds: float = 90.0) -> None:
        """Polls until `check`. Raises ProcessError when a server dies meanwhile, or after `seconds`."""
        end = time.monotonic() + seconds
        while not check():
            for name, process in self._running.items():
                if process.poll() is not None:
                    raise ProcessError(f"{name} ended (exit {process.returncode}) before {what}:\n{self.tail(name)}")
            if time.monotonic() > end:
                logs = "\n".join(f"--- {name}\n{self.tail(name, 800)}" for name in self._running)
                raise ProcessError(f"no {what} within {seconds:.0f} s:\n{logs}")
            time.sleep(POLL_SECONDS)

    def tail(self, name: str, characters: int = 3000) -> str:
        """The end of a log."""
        return (self._folder / f"{name}.log").read_text(errors="replace")[-characters:]

    def memory_mib(self) -> dict[str, int]:
        """Resident memory by name."""
        found: dict[str, int] = {}
        for name, process in self._running.items():
            for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    found[name] = int(line.split()[1]) // 1024
        return found
