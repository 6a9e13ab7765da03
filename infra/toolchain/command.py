"""Long commands: their output kept in a log, their state shown, nothing of them left behind after Ctrl-C."""

import os
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from infra.toolchain.errors import WayError
from infra.toolchain.progress import Progress, duration

# What a compiler gets to clean up in before it is killed.
GRACE_SECONDS = 5.0
SHOWN_LINES = 12


def need(program: str, remedy: str) -> str:
    """The path of a program that a way cannot do without. Raises WayError with the remedy when it is missing."""
    found = shutil.which(program)
    if found is None:
        raise WayError(f"`{program}` is not on PATH", remedy)
    return found


def run(
    argv: Sequence[str],
    *,
    log: Path,
    progress: Progress,
    what: str,
    describe: Callable[[int, str], str],
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> None:
    """Runs a command to its end; `env` is laid over this process's environment.

    While it runs, `describe(lines so far, last line)` is shown behind `what` and the time. Raises WayError with the
    last lines of its output when it fails. On Ctrl-C (any exception) the command and all its children are ended first.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with log.open("w") as kept:
        kept.write(f"$ {' '.join(argv)}\n")
        with subprocess.Popen(
            argv,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,
        ) as process:
            try:
                tail = _follow(
                    process, kept.write, lambda n, line: progress.tick(_state(what, started, describe(n, line)))
                )
            except BaseException:
                _end(process)
                raise
    if process.returncode != 0:
        shown = "\n".join(f"      {line}" for line in tail)
        how = f"exit {process.returncode}" if process.returncode > 0 else f"signal {-process.returncode}"
        raise WayError(f"`{' '.join(argv[:3])} …` failed ({how}); all of its output is in {log}\n{shown}")


def _follow(
    process: "subprocess.Popen[bytes]", keep: Callable[[str], int], show: Callable[[int, str], None]
) -> list[str]:
    """Reads until the command closes its output; a sign of life at least every second. Returns the last lines."""
    assert process.stdout is not None  # noqa: S101 - opened above
    tail: list[str] = []
    rest = b""
    count = 0
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            if selector.select(timeout=1.0):
                chunk = os.read(process.stdout.fileno(), 1 << 16)
                if not chunk:
                    break
                keep(chunk.decode("utf-8", "replace"))
                *lines, rest = (rest + chunk).split(b"\n")
                count += len(lines)
                tail = [*tail, *(line.decode("utf-8", "replace") for line in lines)][-SHOWN_LINES:]
            show(count, tail[-1] if tail else "")
    process.wait()
    return [*tail, rest.decode("utf-8", "replace")] if rest else tail


def _state(what: str, started: float, detail: str) -> str:
    return f"{what}: {duration(time.monotonic() - started)}{f', {detail}' if detail else ''}"


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ends a command with all its children, which share its process group."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=GRACE_SECONDS)
        # Whoever is left of the group did not heed the first signal.
        os.killpg(process.pid, signal.SIGKILL)
