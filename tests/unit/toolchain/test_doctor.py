"""The table of `make doctor`."""

from typing import Any

from infra.toolchain import doctor


def test_the_table_says_where_each_part_is_from(bench: Any, vendor: Any, program: Any) -> None:
    there = program("other", "1.5.0")
    bench.part(vendor.way(vendor.release())).part({"way": "path", "accepts": ">=1"}, name="other")
    path = bench.toolchain.ensure("tool")
    text, good = doctor.report(bench.toolchain)
    rows = {line.split()[0]: line for line in text.splitlines() if line}
    assert rows["tool"].split("  ")[-1] == str(path)
    assert "official release from 127.0.0.1" in rows["tool"]
    assert "pinned sha256" in rows["tool"]
    assert rows["other"].endswith(str(there))
    assert "on PATH" in rows["other"]
    assert good


def test_a_missing_part_comes_with_the_ways_to_get_it(bench: Any, vendor: Any) -> None:
    bench.part({"way": "path", "accepts": ">=1"}, vendor.way(vendor.release()))
    text, good = doctor.report(bench.toolchain)
    assert "MISSING" in text
    assert "`python -m infra.toolchain ensure tool` gets it" in text
    assert "    - official release from 127.0.0.1" in text
    assert "  not here: `tool` is not on PATH" in text
    assert good
    assert vendor.site.asked == []


def test_a_part_that_cannot_be_had_here_makes_the_doctor_fail(bench: Any) -> None:
    bench.part({"way": "path", "accepts": ">=1"})
    run = bench.process("doctor")
    out, _ = run.communicate(timeout=30)
    assert run.returncode == 1
    assert "  way out: put tool on PATH" in out
