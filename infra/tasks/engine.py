"""Running `pulumi` for a task: one at a time, stack files left as the operator wrote them, locks that died cleared."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from infra.tasks.session import Session

PROJECT = "berth"
INTERRUPTED = 130


class TaskError(RuntimeError):
    """A task that could not be done; the message says what to do."""


@contextmanager
def exclusive(session: Session, stack: str) -> Iterator[None]:
    """Only one task at a time changes a stack; a second one waits and says so."""
    session.home.mkdir(exist_ok=True)
    with (session.home / f"{stack}.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            say(f"stack {stack} is being changed by process {file.read().strip()}; waiting for it to finish")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        clear_dead_locks(session, stack)
        yield


def pulumi(session: Session, *args: str, capture: bool = False) -> subprocess.CompletedProcess[str]:
    """Runs `pulumi`. Ctrl-C reaches it and it ends in its own time; this process stays to tidy up after it."""
    command = ["pulumi", *args, "--non-interactive"]
    try:
        with _interrupts_left_to_child():
            return subprocess.run(
                command,
                cwd=session.root,
                env=session.environment(),
                text=True,
                check=False,
                stdout=subprocess.PIPE if capture else None,
                stderr=subprocess.PIPE if capture else None,
            )
    except FileNotFoundError as error:
        raise TaskError("`pulumi` is not there; `make doctor` says how to get it") from error


@contextmanager
def _interrupts_left_to_child() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # signals go to the main thread alone
        return
    # A handler, not SIG_IGN: the child then starts with the default and hears the signal itself.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def untouched(stack_file: Path) -> Iterator[None]:
    """Takes back the one line that the engine adds to a stack file, the salt of this machine's passphrase.

    Any other change to the file (`pulumi config set` in another shell) stays.
    """
    before = stack_file.read_bytes()
    try:
        yield
    finally:
        after = stack_file.read_bytes()
        if after != before and _without_salt(after) == _without_salt(before):
            stack_file.write_bytes(before)


def select(session: Session, stack: str) -> None:
    """Makes the stack where it does not exist yet."""
    done = pulumi(session, "stack", "select", "--create", stack, capture=True)
    if done.returncode:
        raise TaskError(f"stack {stack}: {done.stderr.strip()}")


def clear_dead_locks(session: Session, stack: str) -> None:
    """Removes the state's lock when the process that took it on this machine is gone (killed, or a reboot)."""
    for lock in (session.home / "state/.pulumi/locks/organization" / PROJECT / stack).glob("*.json"):
        owner = json.loads(lock.read_text())
        if owner.get("hostname") == socket.gethostname() and not Path(f"/proc/{owner['pid']}").exists():
            say(f"an earlier run (process {owner['pid']}) was killed while it changed stack {stack}; clearing its lock")
            lock.unlink()


def say(text: str) -> None:
    """A line for the person who waits."""
    print(f"berth: {text}", file=sys.stderr, flush=True)  # noqa: T201


def _without_salt(content: bytes) -> object:
    values = yaml.safe_load(content) or {}
    values.pop("encryptionsalt", None)
    return values
