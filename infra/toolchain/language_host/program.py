"""Running a program for the engine: one process, its end put into the words of the protocol."""

import json
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from infra.toolchain.language_host import interpreter
from infra.toolchain.language_host.child import EXIT_SHOWN
from infra.toolchain.language_host.interpreter import InterpreterError
from infra.toolchain.language_host.processes import Processes
from infra.toolchain.language_host.protocol import language_pb2


def run(
    request: language_pb2.RunRequest,
    engine: str,
    environment: Mapping[str, str],
    processes: Processes,
    on_end: Callable[[Callable[[], None]], object],
) -> language_pb2.RunResponse:
    """Runs the program to its end. What it prints goes where this host prints, which the engine shows.

    `on_end` takes what is to be done when the engine ends the call.
    """
    info = request.info
    if request.attach_debugger:
        return language_pb2.RunResponse(error="this language host has no debugger; the one of an official Pulumi has")
    try:
        python = interpreter.choose(Path(info.root_directory), options(info), environment)
    except InterpreterError as error:
        return language_pb2.RunResponse(error=str(error))
    # By standard input, as configuration holds secrets and may be larger than a command line or a variable.
    message = json.dumps(_request(request, engine)).encode() + b"\n"
    with processes.start(
        python.command("program"),
        cwd=request.pwd or info.root_directory,
        env=python.environment(environment),
        stdin=subprocess.PIPE,
    ) as process:
        on_end(process.terminate)
        process.communicate(message)
    return _response(process.returncode)


def options(info: language_pb2.ProgramInfo) -> dict[str, Any]:
    """Runtime options of the project file."""
    return dict(info.options.items())


def _request(request: language_pb2.RunRequest, engine: str) -> dict[str, Any]:
    info = request.info
    return {
        "project": request.project,
        "stack": request.stack,
        "organization": request.organization,
        "monitor": request.monitor_address,
        "engine": engine,
        "dry_run": request.dryRun,
        "parallel": request.parallel,
        "root_directory": info.root_directory,
        "program": str(Path(info.program_directory, info.entry_point)),
        "args": list(request.args),
        "config": dict(request.config),
        "config_secret_keys": list(request.configSecretKeys),
    }


def _response(status: int) -> language_pb2.RunResponse:
    if status == 0:
        return language_pb2.RunResponse()
    if status == EXIT_SHOWN:
        return language_pb2.RunResponse(bail=True)
    if status < 0:
        return language_pb2.RunResponse(error=f"Program was ended by {signal.Signals(-status).name}")
    return language_pb2.RunResponse(error=f"Program exited with non-zero exit code: {status}")
