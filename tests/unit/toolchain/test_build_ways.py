"""Builds by the real go and cargo, of programs that compile in a moment."""

import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from infra.toolchain import Missing, ToolchainError

GO = {
    "way": "go",
    "module": "go/tool",
    "packages": ["example.com/tool/cmd/tool"],
    "go": "1.26",
    "ldflags": "-s -w -X main.version={version}",
}
CRATE = {"way": "crate", "crate": "crate", "library": "adder"}


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A Go module without dependencies, whose program prints the version it was linked with."""
    folder = tmp_path / "go/tool"
    (folder / "cmd/tool").mkdir(parents=True)
    (folder / "go.mod").write_text("module example.com/tool\n\ngo 1.21\n")
    (folder / "go.sum").write_text("")
    (folder / "cmd/tool/main.go").write_text(
        'package main\n\nvar version string\n\nfunc main() { println("v" + version) }\n'
    )
    return folder


@pytest.fixture
def crate(tmp_path: Path) -> Path:
    """A crate without dependencies that makes a shared library."""
    folder = tmp_path / "crate"
    (folder / "src").mkdir(parents=True)
    (folder / "Cargo.toml").write_text(
        '[package]\nname = "adder"\nversion = "0.1.0"\nedition = "2021"\n[lib]\ncrate-type = ["cdylib"]\n'
    )
    (folder / "Cargo.lock").write_text('version = 4\n\n[[package]]\nname = "adder"\nversion = "0.1.0"\n')
    (folder / "src/lib.rs").write_text('#[no_mangle]\npub extern "C" fn add(a: i32, b: i32) -> i32 { a + b }\n')
    return folder


def library(bench: Any) -> Any:
    """The part that the crate gives."""
    way = {**CRATE, "crate": str(bench.root / "crate")}
    return bench.part(way, name="adder", provides={"adder": "lib/libadder.so"}, reports=[], version="source")


def test_a_go_program_is_built_with_its_version(bench: Any, module: Path) -> None:
    path = bench.part(GO).toolchain.ensure("tool")
    assert subprocess.run([path], capture_output=True, text=True, check=True).stderr == "v1.2.3\n"
    found = bench.toolchain.find("tool")
    assert (found.way, found.checked) == ("go", "go.sum")


def test_other_sources_of_a_go_module_are_another_copy(bench: Any, module: Path) -> None:
    first = bench.part(GO).toolchain.ensure("tool")
    (module / "go.mod").write_text("module example.com/tool\n\ngo 1.22\n")
    assert isinstance(bench.toolchain.find("tool"), Missing)
    assert bench.toolchain.ensure("tool") != first


def test_a_go_module_without_its_sums_is_named(bench: Any, module: Path) -> None:
    (module / "go.sum").unlink()
    with pytest.raises(ToolchainError, match=rf"tool: there is no go\.sum in {module}"):
        bench.part(GO).toolchain.find("tool")


def test_a_build_that_fails_shows_the_compilers_words_and_leaves_nothing(bench: Any, module: Path) -> None:
    (module / "cmd/tool/main.go").write_text("package main\n\nfunc main() { nonsense() }\n")
    with pytest.raises(ToolchainError, match="undefined: nonsense") as caught:
        bench.part(GO).toolchain.ensure("tool")
    assert str(bench.cache.root / "logs/tool.log") in str(caught.value)
    assert list((bench.cache.root / "staging").iterdir()) == []
    assert not (bench.cache.root / "parts").exists()


def test_a_crate_is_built_once_for_its_sources(bench: Any, crate: Path) -> None:
    first = library(bench).toolchain.ensure("adder")
    assert first.name == "libadder.so"
    assert first.read_bytes().startswith(b"\x7fELF")
    bench.output.truncate(0)
    assert bench.toolchain.ensure("adder") == first
    assert bench.said == ""
    (crate / "src/lib.rs").write_text('#[no_mangle]\npub extern "C" fn add(a: i32, b: i32) -> i32 { b + a + 0 }\n')
    assert bench.toolchain.ensure("adder") != first
    assert not (crate / "target").exists()


def test_a_crate_whose_lock_is_not_committed_is_told(bench: Any, crate: Path) -> None:
    (crate / "Cargo.lock").unlink()
    with pytest.raises(ToolchainError, match="--locked"):
        library(bench).toolchain.ensure("adder")
    assert not (crate / "Cargo.lock").exists()


def _runs(pid: int) -> bool:
    """Whether a process still does anything: one that ended may wait for its parent to take note."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_ctrl_c_ends_a_build_with_all_its_processes(bench: Any, crate: Path) -> None:
    """The build script tells its pid and then takes its time."""
    (crate / "build.rs").write_text(
        'fn main() { std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/pid"), std::process::id().to_string())'
        ".unwrap(); std::thread::sleep(std::time::Duration::from_secs(600)); }\n"
    )
    run = library(bench).process("ensure", "adder")
    pid = crate / "pid"
    deadline = time.monotonic() + 120
    while not (pid.exists() and pid.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    run.send_signal(signal.SIGINT)
    _, errors = run.communicate(timeout=60)
    assert run.returncode == 130
    assert errors.rstrip().endswith("Nothing half-done counts; run it again and it goes on where it was.")
    deadline = time.monotonic() + 10
    while _runs(int(pid.read_text())):  # it has its signal, and may not have had its turn since
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert isinstance(bench.toolchain.find("adder"), Missing)
    (crate / "build.rs").unlink()
    assert bench.toolchain.ensure("adder").exists()
