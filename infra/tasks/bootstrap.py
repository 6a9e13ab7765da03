"""Makes `.venv` from `requirements.lock`, with nothing but Python: `python3 infra/tasks/bootstrap.py`.

It does nothing where `.venv` is current already. Two runs at once are safe: the second waits.
"""

import fcntl
import hashlib
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements.lock"
STAMP = VENV / "berth-installed"
HELD = "bootstrap.lock"
"""In `.venv`, locked by the run that works on it."""
OLDEST_PYTHON = (3, 11)


def main() -> int:
    """Brings `.venv` up to date. 1 with a message where that is not possible."""
    if sys.version_info < OLDEST_PYTHON:
        wanted = ".".join(map(str, OLDEST_PYTHON))
        return fail(
            f"Python {wanted} or later is needed, this is {sys.version.split()[0]}; try `make PYTHON=python3.12`"
        )
    wanted = digest()
    if installed() == wanted:
        return 0
    VENV.mkdir(exist_ok=True)
    with (VENV / HELD).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another run is making .venv; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if installed() == wanted:
            return 0
        try:
            install()
        except subprocess.CalledProcessError as error:
            return fail(f"{error}; check the network and the disk, then run it again: it goes on where it stopped")
        STAMP.write_text(wanted)
    return 0


def install() -> None:
    """The steps, each with what it does and how long it took."""
    python = str(VENV / "bin/python")
    installer = VENV / "installer.txt"
    if not usable(python):
        step("virtual environment .venv", create)
    installer.write_text(pinned("uv"))
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    step("the installer (uv)", lambda: run([*pip, "--require-hashes", "-r", str(installer)]))
    uv = [str(VENV / "bin/uv"), "pip"]
    sync = [*uv, "sync", "--quiet", "--python", python, "--require-hashes", str(LOCK)]
    step("the packages in requirements.lock (about 600 MB on disk, a minute or less)", lambda: run(sync))
    editable = [*uv, "install", "--quiet", "--python", python, "--no-deps", "--no-build-isolation", "-e", str(ROOT)]
    step("berth itself, as it lies here", lambda: run(editable))


def create() -> None:
    """An environment of this Python. What another Python has left is removed: the two together would not work."""
    for item in VENV.iterdir():
        if item.name == HELD:
            continue  # others wait for this very file
        if item.is_dir() and not item.is_symlink():
            shutil.rmtree(item)
        else:
            item.unlink()
    venv.create(VENV, with_pip=True, symlinks=True)


def usable(python: str) -> bool:
    """Whether `.venv` is a whole environment of this very Python, so that it need not be made again."""
    ask = "import pip, sys; print(sys.version)"
    try:
        done = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return done.returncode == 0 and done.stdout.strip() == sys.version.strip()


def pinned(package: str) -> str:
    """The lines of the lock that pin one package."""
    lines = LOCK.read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"{package}=="))
    end = next(number for number in range(start, len(lines)) if not lines[number].endswith("\\"))
    return "\n".join(lines[start : end + 1]) + "\n"


def installed() -> str | None:
    """What `.venv` was last made from."""
    return STAMP.read_text() if STAMP.exists() else None


def digest() -> str:
    """Changes whenever `.venv` must change: another lock, another Python, another place."""
    parts = (LOCK.read_bytes(), (ROOT / "pyproject.toml").read_bytes(), sys.version.encode(), str(ROOT).encode())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def step(what: str, do: Callable[[], None]) -> None:
    """Does one step and tells how long it took."""
    say(f"installing {what} …")
    started = time.monotonic()
    do()
    say(f"  done in {time.monotonic() - started:.1f} s")


def run(command: list[str]) -> None:
    """Runs a program, its errors shown as they are."""
    subprocess.run(command, check=True)


def say(text: str) -> None:
    """A line for the person who waits."""
    print(f"berth: {text}", file=sys.stderr, flush=True)  # noqa: T201


def fail(text: str) -> int:
    """Says what is wrong."""
    say(text)
    return 1


if __name__ == "__main__":
    sys.exit(main())
