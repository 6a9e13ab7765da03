"""Which copy of a program is used."""

import os
from pathlib import Path
from typing import Any

import pytest

from infra.toolchain import Found, Missing, ToolchainError, toolchain
from infra.toolchain.ways import Notebook, outside

ON_PATH = {"way": "path", "accepts": ">=1.2 <2"}


def test_a_right_version_on_path_is_used_as_it_is(bench: Any, program: Any, vendor: Any) -> None:
    there = program("tool", "1.9.0")
    bench.part(ON_PATH, vendor.way(vendor.release()))
    found = bench.toolchain.find("tool")
    assert (found.path, found.version, found.way) == (there, "1.9.0", "path")
    assert bench.toolchain.ensure("tool") == there
    assert vendor.site.asked == []


def test_a_wrong_version_on_path_is_passed_over_and_said(bench: Any, program: Any, vendor: Any) -> None:
    there = program("tool", "2.0.0")
    bench.part(ON_PATH, vendor.way(vendor.release()))
    missing = bench.toolchain.find("tool")
    assert isinstance(missing, Missing)
    assert missing.blocked == (f"{there} is 2.0.0, wanted >=1.2 <2",)
    assert missing.ways[0].startswith("official release from 127.0.0.1")
    path = bench.toolchain.ensure("tool")
    assert path.is_relative_to(bench.cache.root)
    assert bench.toolchain.find("tool").version == "1.2.3"


def test_a_program_without_what_it_needs_beside_it_is_passed_over(bench: Any, program: Any) -> None:
    program("tool", "1.9.0")
    bench.part({**ON_PATH, "beside": ["tool-language-python"]})
    assert bench.toolchain.find("tool").blocked == ("`tool-language-python` is not on PATH",)
    program("tool-language-python", "1.0.0")
    assert bench.toolchain.find("tool").way == "path"


def test_all_programs_of_a_part_come_from_one_place(bench: Any, program: Any) -> None:
    program("tool", "1.9.0")
    bench.part(ON_PATH, provides={"tool": "bin/tool", "tooltool": "bin/tooltool"})
    assert bench.toolchain.find("tool").blocked == ("`tooltool` is not on PATH",)
    program("tooltool", "3.0.0")
    assert "wanted >=1.2 <2" in bench.toolchain.find("tool").blocked[0]


def test_a_program_is_asked_for_its_version_once(bench: Any, programs: Path, program: Any) -> None:
    there = program("tool", "1.9.0")
    diary = programs / "diary"
    there.write_text(f"#!/bin/sh\necho asked >> {diary}\necho 1.9.0\n")
    notebook = Notebook(bench.root / "versions.json")
    assert [notebook.version(there, ["--version"]) for _ in range(3)] == ["1.9.0"] * 3
    assert diary.read_text() == "asked\n"
    there.write_text(f"#!/bin/sh\necho asked >> {diary}\necho 1.10.0, newer\n")
    assert notebook.version(there, ["--version"]) == "1.10.0"


def test_own_copies_on_path_are_no_find() -> None:
    path = os.pathsep.join(["/cache/parts/x/bin", "/usr/bin", "/cache", "/bin"])
    assert outside(path, [Path("/cache")]) == "/usr/bin:/bin"


def test_a_copy_in_the_cache_is_found_without_asking_anyone(bench: Any, vendor: Any) -> None:
    bench.part(vendor.way(vendor.release()))
    first = bench.toolchain.ensure("tool")
    vendor.site.asked.clear()
    vendor.site.files.clear()
    assert bench.toolchain.ensure("tool") == first
    found = bench.toolchain.find("tool")
    assert isinstance(found, Found)
    assert (found.way, found.checked, found.version) == ("release", "pinned sha256", "1.2.3")
    assert vendor.site.asked == []


def test_another_recipe_is_another_copy(bench: Any, vendor: Any) -> None:
    old = bench.part(vendor.way(vendor.release())).toolchain.ensure("tool")
    new = bench.part(vendor.way(vendor.release("1.2.4")), version="1.2.4").toolchain.ensure("tool")
    assert old != new
    assert old.exists()
    assert new.exists()


def test_a_damaged_copy_does_not_count(bench: Any, vendor: Any) -> None:
    bench.part(vendor.way(vendor.release()))
    path = bench.toolchain.ensure("tool")
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    assert isinstance(bench.toolchain.find("tool"), Missing)
    assert bench.toolchain.ensure("tool") == path
    assert path.read_bytes() == whole


def test_an_unknown_name_is_answered_with_the_known_ones(bench: Any, vendor: Any) -> None:
    bench.part(vendor.way(vendor.release()))
    with pytest.raises(ToolchainError, match="there is no part tol; there are tool"):
        bench.toolchain.find("tol")


def test_the_cache_follows_the_users_wish(tmp_path: Path) -> None:
    root = toolchain.default_root
    assert root({"BERTH_CACHE": str(tmp_path)}) == tmp_path
    assert root({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "berth"
    assert root({"XDG_CACHE_HOME": "relative"}) == Path.home() / ".cache/berth"
    assert root({}) == Path.home() / ".cache/berth"
