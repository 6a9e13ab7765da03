"""One running copy of a service: its folder, its program section, its ports, whether it answers."""

import http.client
import json
import shlex
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.providers.local import ports
from infra.providers.local.daemon import ALIVE, Daemon
from infra.providers.local.spec import AUTO, ServiceSpec, fill

LOG_TAIL_LINES = 20
SCRIPT = "run.sh"
POLL_SECONDS = 0.05
SHORT_CUT_STATES = frozenset({"BACKOFF", "EXITED", "FATAL", "STOPPED"})
"""A first start that ends in one of these will not become healthy by waiting."""


class ProcessError(RuntimeError):
    """A process did not start, did not become healthy, or its drain command failed."""


@dataclass(frozen=True, slots=True)
class Process:
    """An instance laid out on disk: `instances/<name>.<digest>/` with its record and its files."""

    daemon: Daemon
    spec: ServiceSpec
    ports: Mapping[str, int]

    @property
    def name(self) -> str:
        """The program's name under supervisord."""
        return self.spec.instance

    @property
    def directory(self) -> Path:
        """Folder of this instance."""
        return folder(self.daemon) / self.name

    @property
    def log(self) -> Path:
        """Standard output and error of the process."""
        return self.daemon.logs / f"{self.name}.log"

    def pid(self) -> int:
        """Process id; 0 when there is no process."""
        program = self.daemon.program(self.name)
        return program.pid if program else 0

    def start(self) -> None:
        """Writes the program section and has supervisord start it; does nothing where it runs already."""
        self.daemon.start()
        found = self.daemon.program(self.name)
        if found is not None and found.state in ALIVE:
            return
        if found is not None:
            self.daemon.remove(self.name)
        section = self.daemon.programs / f"{self.name}.conf"
        draft = section.with_suffix(".draft")
        draft.write_text(self._section())
        draft.rename(section)
        self.daemon.add(self.name)

    def wait_healthy(self) -> None:
        """Returns once the health path answers 200. Raises `ProcessError` with the last lines of the log."""
        deadline = time.monotonic() + self.spec.health.seconds
        while not self.healthy():
            program = self.daemon.program(self.name)
            state = program.state if program else "gone"
            if state in SHORT_CUT_STATES or state == "gone":
                raise ProcessError(f"{self.name} ended before it was healthy (state {state}){self._log_tail()}")
            if time.monotonic() > deadline:
                raise ProcessError(
                    f"{self.name} did not answer 200 on {self.spec.health.path} within "
                    f"{self.spec.health.seconds:g} s (state {state}){self._log_tail()}"
                )
            time.sleep(POLL_SECONDS)

    def healthy(self) -> bool:
        """Whether the health path answers 200 now."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[self.spec.health.port], timeout=5)
        try:
            connection.request("GET", self.spec.health.path)
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def stop(self) -> None:
        """Runs the drain command, stops the process and removes what lies on disk but the log."""
        program = self.daemon.program(self.name)
        if program is not None and program.state in ALIVE:
            self._run_drain_command()
        if program is not None:
            self.daemon.remove(self.name)
        self.forget()

    def forget(self) -> None:
        """Removes the program section and the folder of an instance that supervisord does not run."""
        (self.daemon.programs / f"{self.name}.conf").unlink(missing_ok=True)
        shutil.rmtree(self.directory, ignore_errors=True)

    def state(self) -> str:
        """`running` when it answers, else supervisord's word in lower case, `gone` when there is no process."""
        program = self.daemon.program(self.name)
        if program is None:
            return "gone"
        if program.state in ALIVE:
            return "running" if self.healthy() else "unhealthy"
        return program.state.lower()

    def _run_drain_command(self) -> None:
        command = [fill(word, self.ports, str(self.directory)) for word in self.spec.drain.command]
        if not command:
            return
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ProcessError(f"{self.name}: drain command failed ({done.returncode}): {done.stderr.strip()}")

    def _section(self) -> str:
        """supervisord's view; the command itself is a script, so that no word of it needs supervisord's quoting."""
        directory = str(self.directory).replace("%", "%%")
        return f"""\
[program:{self.name}]
command=/bin/sh "{directory}/{SCRIPT}"
directory={directory}
autostart=true
autorestart=true
startsecs=1
startretries=30
stopsignal=TERM
stopwaitsecs={self.spec.drain.seconds}
killasgroup=true
redirect_stderr=true
stdout_logfile={str(self.log).replace("%", "%%")}
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=1
"""

    def script(self) -> str:
        """A shell script that becomes the process."""
        exports = [f"export {name}={self._quoted(value)}\n" for name, value in sorted(self.spec.env.items())]
        return "".join(exports) + "exec " + " ".join(map(self._quoted, self.spec.command)) + "\n"

    def _quoted(self, text: str) -> str:
        return shlex.quote(fill(text, self.ports, str(self.directory)))

    def _log_tail(self) -> str:
        try:
            lines = self.log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
        except OSError:
            lines = []
        if not lines:
            return f"; its log {self.log} is empty"
        return f"; last lines of {self.log}:\n  " + "\n  ".join(lines)


def folder(daemon: Daemon) -> Path:
    """Where the instances of a stack lie."""
    return daemon.root / "instances"


def lay_out(daemon: Daemon, spec: ServiceSpec) -> Process:
    """Gives the instance its ports and writes its files. The same spec gets the same ports again."""
    with daemon.lock("ports"):
        process = _read(daemon, folder(daemon) / spec.instance)
        if process is None:
            reserved = {port for other in instances(daemon) for port in other.ports.values()}
            numbers: dict[str, int] = {}
            for name, number in sorted(spec.ports.items()):
                numbers[name] = number if number != AUTO else ports.take(spec.port_range, reserved)
                reserved.add(numbers[name])
            process = Process(daemon, spec, numbers)
            _write(process)
    return process


def instances(daemon: Daemon, service: str | None = None) -> list[Process]:
    """Every instance on disk, or those of one service, in the order of their names."""
    found = (_read(daemon, directory) for directory in sorted(folder(daemon).glob("*.*")))
    return [process for process in found if process and service in (None, process.spec.name)]


def _write(process: Process) -> None:
    process.directory.mkdir(parents=True, exist_ok=True)
    for name, content in process.spec.files.items():
        (process.directory / name).write_text(fill(content, process.ports, str(process.directory)))
    (process.directory / SCRIPT).write_text(process.script())
    record = {"spec": process.spec.plain(), "ports": dict(process.ports)}
    # The record goes last: a folder without one is half made and is made again.
    draft = process.directory / "record.draft"
    draft.write_text(json.dumps(record, indent=1))
    draft.rename(process.directory / "record.json")


def _read(daemon: Daemon, directory: Path) -> Process | None:
    try:
        record = json.loads((directory / "record.json").read_text())
    except FileNotFoundError:
        return None
    return Process(daemon, ServiceSpec.parse(record["spec"]), record["ports"])
