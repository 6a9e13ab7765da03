"""Python environments of peers, one each, made on demand from a lock file and kept in the cache."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from tests.bench.gateway.native import cache
from tests.bench.gateway.process import BenchError

LOCKS = Path(__file__).parent / "peers"
"""<name>.lock: every package with its version and hashes. None of them is ever a dependency of the kit."""


def environment(name: str) -> Path:
    """The environment of peers/<name>.lock, complete. Some hundred MB, a minute the first time."""
    lock = LOCKS / f"{name}.lock"
    home = cache() / "environments" / f"{name}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    whole = home / "berth-complete"
    if not whole.exists():
        sys.stderr.write(f"{name}: making its environment in {home}\n")
        shutil.rmtree(home, ignore_errors=True)
        _uv("venv", "--python", sys.executable, str(home))
        # The lock is complete, and some of these packages ask for more than they use here.
        _uv("pip", "install", "--python", str(home), "--no-deps", "--require-hashes", "-r", str(lock))
        whole.touch()
    return home


def _uv(*arguments: str) -> None:
    command = [sys.executable, "-m", "uv", "--quiet", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise BenchError(f"`{' '.join(command)}` failed:\n{result.stderr.strip()}")
