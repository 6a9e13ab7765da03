"""Programs of the bench in C and Rust: built on demand into the cache, once per version of their text."""

import hashlib
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from infra.toolchain.cache import default_root
from tests.bench.gateway.process import BenchError

_HERE = Path(__file__).parent
PICKER = _HERE.parents[2] / "serving/gateway/picker/src"


def cache() -> Path:
    """The folder for what the bench builds and downloads."""
    return default_root() / "bench"


def program(name: str) -> Path:
    """The program built from native/<name>.c."""
    source = _HERE / "native" / f"{name}.c"
    built = cache() / "native" / f"{name}-{_digest([source])}"
    if not built.exists():
        _need("gcc", "install a C compiler (Debian: apt-get install gcc libc6-dev)")
        new = built.with_suffix(".new")
        new.parent.mkdir(parents=True, exist_ok=True)
        _run(["gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-D_GNU_SOURCE", "-o", str(new), str(source)])
        new.rename(built)
    return built


def pool_library() -> Path:
    """The picker's own choice of backends as a shared library (native/pool), for the simulator."""
    crate = _HERE / "native/pool"
    sources = [*sorted(crate.rglob("*.rs")), crate / "Cargo.toml", *sorted(PICKER.glob("*.rs"))]
    built = cache() / "native" / f"pool-{_digest(sources)}.so"
    if not built.exists():
        _need("cargo", "install Rust 1.85 or later (https://rustup.rs)")
        target = cache() / "native/target"
        manifest = crate / "Cargo.toml"
        flags = ["--quiet", "--release", "--offline", f"--manifest-path={manifest}", f"--target-dir={target}"]
        _run(["cargo", "build", *flags])
        new = built.with_suffix(".new")
        shutil.copy2(target / "release/libpool.so", new)
        new.rename(built)
    return built


def wrk() -> Path:
    """The HTTP load generator wrk."""
    return Path(
        _need("wrk", "install wrk (Debian: apt-get install wrk; macOS: brew install wrk; https://github.com/wg/wrk)")
    )


def _digest(sources: Sequence[Path]) -> str:
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()[:12]


def _need(name: str, remedy: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise BenchError(f"`{name}` is not on PATH: {remedy}")
    return found


def _run(argv: Sequence[str]) -> None:
    result = subprocess.run(argv, capture_output=True, text=True, check=False)
    if result.returncode:
        raise BenchError(f"`{' '.join(argv)}` failed:\n{result.stderr.strip()}")
