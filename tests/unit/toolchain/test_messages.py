"""What a person reads when something is missing."""

import re
from pathlib import Path
from typing import Any

import pytest

from infra.toolchain import ToolchainError, download
from infra.toolchain.progress import Progress, duration


@pytest.fixture
def bare_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without any tool."""
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))


WAYS = (
    {"way": "path", "accepts": ">=1.2"},
    {
        "way": "release",
        "url": "http://127.0.0.1:9/tool.tar.gz",
        "platforms": {"linux-x86_64": "x", "linux-arm64": "x", "darwin-arm64": "x", "darwin-x86_64": "x"},
        "checksums": "http://127.0.0.1:9/SUMS",
        "takes": {"tool": "bin/tool"},
    },
    {"way": "deb", "package": "tool", "version": "debian", "accepts": ">=1", "takes": {"usr/bin/tool": "bin/tool"}},
    {"way": "go", "module": "go/tool", "packages": ["example.com/tool"], "go": "1.26"},
    {"way": "crate", "crate": "crate", "library": "tool"},
)


@pytest.fixture
def module(tmp_path: Path) -> None:
    """What the recipe of the Go way is made of."""
    (tmp_path / "go/tool").mkdir(parents=True)
    for name in ("go.mod", "go.sum"):
        (tmp_path / "go/tool" / name).write_text("")


@pytest.mark.usefixtures("bare_path", "module")
def test_where_nothing_works_every_way_and_every_way_out_is_named(bench: Any) -> None:
    bench.part(*WAYS)
    with pytest.raises(ToolchainError) as caught:
        bench.toolchain.ensure("tool")
    said = str(caught.value)
    assert said.startswith("tool 1.2.3 (the tool of a test) could not be had.\n")
    for line in (
        "`tool` is not on PATH",
        "official release from 127.0.0.1:9: 127.0.0.1:9 cannot be reached",
        "Debian package tool: `apt-get` is not on PATH",
        "built from its Go module (go/tool): `go` is not on PATH",
        "built by cargo from crate: `cargo` is not on PATH",
        "install Go 1.26 or later",
        "install Rust",
        "put tool on PATH",
    ):
        assert line in said
    assert not (bench.cache.root / "parts").exists()


@pytest.mark.usefixtures("bare_path", "module")
def test_find_tells_the_same_without_trying(bench: Any) -> None:
    missing = bench.part(*WAYS).toolchain.find("tool")
    assert [way.partition(" from")[0] for way in missing.ways] == ["official release"]
    assert "built from its Go module (go/tool): `go` is not on PATH" in missing.blocked
    assert not bench.cache.root.exists()


def test_too_little_disk_is_told_before_anything_starts(bench: Any, vendor: Any) -> None:
    bench.part(vendor.way(vendor.release(), disk_mb=10**9))
    with pytest.raises(ToolchainError, match=r"needs 1000000000 MB of disk, .* has \d+ MB left") as caught:
        bench.toolchain.ensure("tool")
    assert "set BERTH_CACHE to a folder with" in str(caught.value)
    assert vendor.site.asked == []


def test_a_disk_that_fills_up_is_told_in_words(
    bench: Any, vendor: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """/dev/full answers every write as a full disk does."""
    bench.part(vendor.way(vendor.release(ballast=1_000_000)))
    partial = bench.cache.root / "downloads/tool/tool.tar.gz.part"
    partial.parent.mkdir(parents=True)
    monkeypatch.setattr(download._Partial, "begin", lambda self, headers: self.data.symlink_to("/dev/full"))
    with pytest.raises(ToolchainError, match="cannot be written: No space left on device") as caught:
        bench.toolchain.ensure("tool")
    assert "set BERTH_CACHE" in str(caught.value)


def test_a_cache_that_is_no_folder_is_told_in_words(bench: Any, vendor: Any) -> None:
    bench.part(vendor.way(vendor.release()))
    bench.cache.root.write_text("a file")
    with pytest.raises(ToolchainError, match="cannot be written"):
        bench.toolchain.ensure("tool")


def test_the_command_line_says_it_without_a_traceback(bench: Any, vendor: Any) -> None:
    bench.part(vendor.way("0" * 64))
    run = bench.process("ensure", "tool")
    out, errors = run.communicate(timeout=30)
    assert (run.returncode, out) == (1, "")
    assert "Traceback" not in errors
    assert "could not be had" in errors


def test_progress_in_a_log_is_a_line_now_and_then(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    progress = Progress(bench.output)
    for percent in range(100):
        progress.tick(f"{percent} %")
    assert bench.said == ""
    monkeypatch.setattr("infra.toolchain.progress.QUIET_SECONDS", 0.0)
    progress.tick("100 %")
    assert bench.said == "toolchain: 100 %\n"


def test_progress_on_a_terminal_is_written_over(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.output, "isatty", lambda: True, raising=False)
    progress = Progress(bench.output)
    progress.tick("a long line of state")
    progress.tick("short")
    progress.say("done")
    assert re.fullmatch(r"\rtoolchain: a long[^\r]*\rtoolchain: short *\r *\rtoolchain: done\n", bench.said)


def test_durations_read_like_speech() -> None:
    assert [duration(value) for value in (0.42, 48.2, 250)] == ["0.4 s", "48 s", "4 min 10 s"]
