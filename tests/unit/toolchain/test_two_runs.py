"""Two runs at once, runs that are stopped, and runs that are killed."""

import signal
import time
from pathlib import Path
from typing import Any

from infra.toolchain import Found, Missing

BALLAST = 3_000_000


def _wait(condition: Any) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _half_there(bench: Any) -> bool:
    return any(path.stat().st_size > BALLAST // 8 for path in bench.cache.root.rglob("*.part"))


def test_the_second_of_two_runs_waits_and_finds_it_done(bench: Any, vendor: Any) -> None:
    bench.part(vendor.way(vendor.release(ballast=BALLAST)))
    vendor.site.pause_seconds = 0.02
    first = bench.process("ensure", "tool")
    _wait(lambda: _half_there(bench))
    second = bench.process("ensure", "tool")
    told = [run.communicate(timeout=60) for run in (first, second)]
    assert [run.returncode for run in (first, second)] == [0, 0]
    assert told[0][0] == told[1][0]
    assert f"tool: process {first.pid} is getting it already; waiting" in told[1][1]
    assert len(vendor.site.asked) == 1


def test_ctrl_c_stops_a_download_and_the_next_run_goes_on_with_it(bench: Any, vendor: Any) -> None:
    bench.part(vendor.way(vendor.release(ballast=BALLAST)))
    vendor.site.pause_seconds = 0.05
    run = bench.process("ensure", "tool")
    _wait(lambda: _half_there(bench))
    run.send_signal(signal.SIGINT)
    _, errors = run.communicate(timeout=30)
    assert run.returncode == 130
    assert "Interrupted." in errors
    assert "Traceback" not in errors
    assert isinstance(bench.toolchain.find("tool"), Missing)
    vendor.site.pause_seconds = 0
    assert bench.toolchain.ensure("tool").exists()
    (_, first), (_, again) = vendor.site.asked
    assert first == ""
    assert again.startswith("bytes=")


def test_a_run_that_is_killed_leaves_no_lock_and_nothing_that_counts(bench: Any, vendor: Any) -> None:
    bench.part(vendor.way(vendor.release(ballast=BALLAST)))
    vendor.site.pause_seconds = 0.05
    run = bench.process("ensure", "tool")
    _wait(lambda: _half_there(bench))
    run.kill()
    run.communicate(timeout=30)
    assert isinstance(bench.toolchain.find("tool"), Missing)
    vendor.site.pause_seconds = 0
    assert bench.toolchain.ensure("tool").exists()
    assert "waiting" not in bench.said
    assert list((bench.cache.root / "staging").iterdir()) == []


def test_a_run_that_is_told_to_end_ends(bench: Any, vendor: Any) -> None:
    bench.part(vendor.way(vendor.release(ballast=BALLAST)))
    vendor.site.pause_seconds = 0.05
    run = bench.process("ensure", "tool")
    _wait(lambda: _half_there(bench))
    run.terminate()
    run.communicate(timeout=30)
    assert run.returncode == 143


def test_a_second_run_takes_over_when_the_first_is_killed(bench: Any, vendor: Any) -> None:
    bench.part(vendor.way(vendor.release(ballast=BALLAST)))
    vendor.site.pause_seconds = 0.05
    first = bench.process("ensure", "tool")
    _wait(lambda: _half_there(bench))
    second = bench.process("ensure", "tool")
    time.sleep(0.5)
    vendor.site.pause_seconds = 0
    first.kill()
    path, _ = second.communicate(timeout=60)
    assert second.returncode == 0
    assert Path(path.strip()).exists()
    first.communicate()


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
