"""The supervisord of one stack: started when first needed, asked over its own unix socket."""

import fcntl
import hashlib
import os
import subprocess
import sys
import tempfile
import time
import xmlrpc.client
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from supervisor.xmlrpc import Faults, SupervisorTransport

LONGEST_SOCKET_PATH = 100
"""Bytes; the kernel's limit is 108, and supervisord binds a temporary name beside it first."""
START_SECONDS = 20
STOP_SECONDS = 120
INHERITED = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "TZ", "USER")
"""All that model servers get of the environment of whoever ran `pulumi`: passphrases and cloud keys stay out."""

ALIVE = frozenset({"RUNNING", "STARTING"})


class DaemonError(RuntimeError):
    """supervisord could not be started or asked."""


@dataclass(frozen=True, slots=True)
class Program:
    """One process as supervisord sees it. State: RUNNING, STARTING, BACKOFF, STOPPED, EXITED, FATAL …"""

    name: str
    state: str
    pid: int
    """0 when there is no process."""


class Daemon:
    """supervisord over the folder `root`: its configuration, programs, logs and pid file all lie in there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.programs = root / "programs"
        self.logs = root / "logs"
        self._pid_file = root / "supervisord.pid"

    @property
    def socket(self) -> Path:
        """The control socket: in `root`, or for deep folders in the temporary folder under a name made from it."""
        inside = self.root / "supervisor.sock"
        if len(os.fsencode(inside)) <= LONGEST_SOCKET_PATH:
            return inside
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"berth-{os.getuid()}-{digest}.sock"

    def pid(self) -> int | None:
        """Process id of the running supervisord, None when there is none."""
        try:
            pid = int(self._pid_file.read_text())
        except (OSError, ValueError):
            return None
        return pid if self._is_supervisord(pid) else None

    def start(self) -> None:
        """Starts supervisord unless it runs, and with it every program it was told of."""
        with self.lock("daemon"):
            if self.pid() is not None and self._answers():
                return
            for folder in (self.programs, self.logs):
                folder.mkdir(parents=True, exist_ok=True)
            config = self.root / "supervisord.conf"
            config.write_text(self._config())
            self.socket.unlink(missing_ok=True)
            done = subprocess.run(
                [sys.executable, "-m", "supervisor.supervisord", "-c", str(config)],
                capture_output=True,
                text=True,
                check=False,
                cwd=self.root,
                env={name: os.environ[name] for name in INHERITED if name in os.environ},
            )
            deadline = time.monotonic() + START_SECONDS
            while not self._answers():
                if done.returncode or time.monotonic() > deadline:
                    raise DaemonError(
                        f"supervisord did not start: {done.stderr.strip() or done.stdout.strip() or 'no answer'}; "
                        f"see {self.root / 'supervisord.log'}"
                    )
                time.sleep(0.05)

    def stop(self) -> None:
        """Stops supervisord and every process under it; returns once they are gone."""
        with self.lock("daemon"):
            pid = self.pid()
            if pid is None:
                return
            os.kill(pid, 15)
            deadline = time.monotonic() + STOP_SECONDS
            # The process, not its file, which it removes a moment before it ends.
            while self._is_supervisord(pid):
                if time.monotonic() > deadline:
                    raise DaemonError(f"supervisord (pid {pid}) did not stop within {STOP_SECONDS} s; stop it by hand")
                time.sleep(0.05)
            self.socket.unlink(missing_ok=True)

    def _is_supervisord(self, pid: int) -> bool:
        """Whether the process is this folder's: a pid file outlives a reboot, and numbers are given anew."""
        try:
            return os.fsencode(self.root) in Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False

    def add(self, name: str) -> None:
        """Takes up the program whose section lies in `programs/<name>.conf`, and starts it."""
        self._call("reloadConfig")
        try:
            self._call("addProcessGroup", name)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != Faults.ALREADY_ADDED:
                raise DaemonError(f"supervisord refused {name}: {fault.faultString}") from fault

    def remove(self, name: str) -> None:
        """Stops the program (SIGTERM, then SIGKILL after its own time) and forgets it."""
        for method in ("stopProcess", "removeProcessGroup"):
            try:
                self._call(method, name)
            except xmlrpc.client.Fault as fault:
                if fault.faultCode not in (Faults.BAD_NAME, Faults.NOT_RUNNING):
                    raise DaemonError(f"supervisord could not stop {name}: {fault.faultString}") from fault

    def program(self, name: str) -> Program | None:
        """The program of that name, None where supervisord is not there or does not know it."""
        return next((found for found in self.list() if found.name == name), None)

    def list(self) -> list[Program]:
        """All programs; empty where supervisord does not run."""
        if self.pid() is None:
            return []
        try:
            rows = cast(list[dict[str, Any]], self._call("getAllProcessInfo"))
        except OSError:
            return []
        return [Program(row["name"], row["statename"], row["pid"]) for row in rows]

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Holds a lock file of this stack, shared by all processes of the kit."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / f"{name}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _answers(self) -> bool:
        try:
            self._call("getState")
        except OSError:
            return False
        return True

    def _call(self, method: str, *args: Any) -> Any:
        # One connection a call: providers run in threads and the transport is not made for that.
        transport = SupervisorTransport(serverurl=f"unix://{self.socket}")
        try:
            proxy = xmlrpc.client.ServerProxy("http://localhost", transport=transport)
            return getattr(proxy.supervisor, method)(*args)
        finally:
            transport.close()

    def _config(self) -> str:
        root = str(self.root).replace("%", "%%")
        return f"""\
[unix_http_server]
file={str(self.socket).replace("%", "%%")}
chmod=0700

[supervisord]
logfile={root}/supervisord.log
logfile_maxbytes=5MB
logfile_backups=1
pidfile={root}/supervisord.pid
directory={root}
nodaemon=false
minfds=1024
umask=077

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[include]
files={root}/programs/*.conf
"""
