"""Two runs at once, runs that are stopped, and runs that are killed, each in the middle of a download."""

import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from infra.toolchain import Found, Missing

BALLAST = 3_000_000
HALF = BALLAST // 2


@pytest.fixture
def run(bench: Any, vendor: Any) -> Any:
    """A run of `ensure tool` that has half of its download and gets no more until the site goes on."""
    bench.part(vendor.way(vendor.release(ballast=BALLAST)))
    vendor.site.hold_at = HALF
    started = bench.process("ensure", "tool")
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size >= HALF // 2 for path in bench.cache.root.rglob("*.part")):
        assert started.poll() is None, started.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    yield started
    started.kill()
    started.communicate()


def _end(run: "subprocess.Popen[str]") -> str:
    """What a run still had to say."""
    return run.communicate(timeout=60)[1]


def test_the_second_of_two_runs_waits_and_finds_it_done(bench: Any, vendor: Any, run: Any) -> None:
    second = bench.process("ensure", "tool")
    assert second.stderr.readline() == f"toolchain: tool: process {run.pid} is getting it already; waiting\n"
    vendor.site.go_on.set()
    paths = [one.communicate(timeout=60)[0] for one in (run, second)]
    assert [one.returncode for one in (run, second)] == [0, 0]
    assert paths[0] == paths[1]
    assert len(vendor.site.asked) == 1


def test_ctrl_c_stops_a_download_and_the_next_run_goes_on_with_it(bench: Any, vendor: Any, run: Any) -> None:
    run.send_signal(signal.SIGINT)
    said = _end(run)
    assert run.returncode == 130
    assert "Interrupted." in said
    assert "Traceback" not in said
    assert isinstance(bench.toolchain.find("tool"), Missing)
    vendor.site.go_on.set()
    assert bench.toolchain.ensure("tool").exists()
    (_, first), (_, again) = vendor.site.asked
    assert first == ""
    assert again.startswith("bytes=")


def test_a_run_that_is_killed_leaves_no_lock_and_nothing_that_counts(bench: Any, vendor: Any, run: Any) -> None:
    run.kill()
    _end(run)
    assert isinstance(bench.toolchain.find("tool"), Missing)
    vendor.site.go_on.set()
    assert bench.toolchain.ensure("tool").exists()
    assert "waiting" not in bench.said
    assert list((bench.cache.root / "staging").iterdir()) == []


def test_a_run_that_is_told_to_end_ends(bench: Any, run: Any) -> None:
    run.terminate()
    _end(run)
    assert run.returncode == 143
    assert list((bench.cache.root / "staging").iterdir()) == []


def test_a_second_run_takes_over_when_the_first_is_killed(bench: Any, vendor: Any, run: Any) -> None:
    second = bench.process("ensure", "tool")
    assert "waiting" in second.stderr.readline()
    run.kill()
    vendor.site.go_on.set()
    path, _ = second.communicate(timeout=60)
    assert second.returncode == 0
    assert Path(path.strip()).exists()


def test_left_over_staging_folders_are_cleared(bench: Any, vendor: Any) -> None:
    left = bench.cache.root / "staging/tool.killed"
    left.mkdir(parents=True)
    (left / "half").write_text("half")
    other = bench.cache.root / "staging/toolbox.running"
    other.mkdir()
    bench.part(vendor.way(vendor.release())).toolchain.ensure("tool")
    assert not left.exists()
    assert other.exists()
    assert isinstance(bench.toolchain.find("tool"), Found)
