"""Which Python runs a project's code: the one of its virtual environment."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CHILD = Path(__file__).with_name("child.py")
# Where `uv` puts a project's environment unless told otherwise.
UV_DEFAULT = ".venv"


class InterpreterError(Exception):
    """The project's options name no Python that could run it; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python; `virtualenv` is its environment, None when the project names none."""

    python: str
    virtualenv: Path | None

    def command(self, *arguments: str) -> list[str]:
        """Runs the child script of this host, unbuffered so that output is seen when it is written."""
        return [self.python, "-u", str(CHILD), *arguments]

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """The variables of a process in which the virtual environment is active."""
        values = dict(base)
        if self.virtualenv is not None:
            values["VIRTUAL_ENV"] = str(self.virtualenv)
            values["PATH"] = f"{self.virtualenv / 'bin'}:{base.get('PATH', '')}"
            values.pop("PYTHONHOME", None)
        return values


def choose(root: Path, options: Mapping[str, object], environment: Mapping[str, str]) -> Interpreter:
    """By the runtime options of Pulumi.yaml, PulumiPlugin.yaml or PulumiPolicy.yaml; relative paths start at `root`.

    Without `virtualenv` it is `$PULUMI_PYTHON_CMD`, else the Python of this host, which has the SDK: the official host
    takes any `python3` on PATH.
    """
    toolchain = options.get("toolchain") or "pip"
    named = options.get("virtualenv") or (UV_DEFAULT if toolchain == "uv" else "")
    if toolchain not in ("pip", "uv") and not named:
        raise InterpreterError(
            f"runtime option toolchain: {toolchain} in {root}: this host does not ask {toolchain} where its "
            "environment is. Name it (virtualenv: PATH), or use an official installation of Pulumi."
        )
    if not named:
        return Interpreter(environment.get("PULUMI_PYTHON_CMD") or sys.executable, None)
    virtualenv = (root / str(named)).absolute()
    python = virtualenv / "bin/python"
    if not python.exists():
        what = "is not a virtual environment" if virtualenv.is_dir() else "does not exist"
        raise InterpreterError(
            f"runtime option virtualenv: {named} in {root}: {virtualenv} {what}.\n"
            f"Make it: python3 -m venv {virtualenv} && {python} -m pip install pulumi"
        )
    return Interpreter(str(python), virtualenv)
