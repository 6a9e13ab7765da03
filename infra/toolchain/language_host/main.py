"""What the executables do."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from infra.toolchain.language_host import interpreter
from infra.toolchain.language_host.interpreter import InterpreterError

# For this process alone, before gRPC is imported: it starts processes by exec, so gRPC need not prepare for forks, nor
# talk about them.
QUIET_GRPC = {"GRPC_ENABLE_FORK_SUPPORT": "0", "GRPC_VERBOSITY": "NONE"}
MODULES = {"dynamic": "pulumi.dynamic", "policy": "pulumi.policy"}


def main(arguments: list[str]) -> int:
    """`language`, `dynamic` or `policy`, then what the engine gave."""
    mode, *rest = arguments
    environment = dict(os.environ)
    if mode == "language":
        os.environ.update(QUIET_GRPC)
        from infra.toolchain.language_host import server  # noqa: PLC0415 - gRPC is imported only now

        return server.serve(_address(rest), environment)
    try:
        python = interpreter.choose(*_project(environment), environment)
    except InterpreterError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    command = python.command("module", MODULES[mode], *rest)
    # The engine watches this very process.
    return os.execve(command[0], command, python.environment(environment))  # noqa: S606


def _address(arguments: list[str]) -> str:
    """The engine's address: the last argument, behind flags for logging and tracing."""
    return arguments[-1] if arguments and not arguments[-1].startswith("-") else ""


def _project(environment: Mapping[str, str]) -> tuple[Path, dict[str, object]]:
    """Root and runtime options of the project, which the engine gives to plugins in variables."""
    options: dict[str, object] = {
        name.removeprefix("PULUMI_RUNTIME_").lower(): value
        for name, value in environment.items()
        if name.startswith("PULUMI_RUNTIME_")
    }
    here = Path.cwd()
    # The engine starts plugins in the folder of the program, which may lie below the project's root.
    roots = [folder for folder in (here, *here.parents) if (folder / "Pulumi.yaml").is_file()]
    return (roots[0] if roots else here), options
