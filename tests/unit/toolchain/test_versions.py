"""Versions as programs print them."""

from pathlib import Path

import pytest

from infra.toolchain.errors import ToolchainError, WayError
from infra.toolchain.version import Range, numbers, report


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("v3.259.0\n", (3, 259, 0)),
        ("envoy  version: 6f9ae1b2c3d4e5f60718293a4b5c6d7e8f901234/1.40.0/Clean/RELEASE/BoringSSL", (1, 40, 0)),
        ("prometheus, version 2.42.0+ds (branch: debian/sid, revision: 2.42.0+ds-5)", (2, 42, 0)),
        ("no number here", None),
    ],
)
def test_first_version_of_a_text(text: str, expected: tuple[int, int, int] | None) -> None:
    assert numbers(text) == expected


@pytest.mark.parametrize(
    ("clauses", "version", "allowed"),
    [
        (">=2.42 <4", "2.42.0", True),
        (">=2.42 <4", "3.15.0", True),
        (">=2.42 <4", "4.0.0", False),
        (">=2.42 <4", "2.41.9", False),
        ("==1.40.0", "1.40.0", True),
        ("==1.40.0", "1.40.1", False),
        (">3 <=3.1", "3.1.0", True),
        (">=1", "none", False),
    ],
)
def test_ranges(clauses: str, version: str, allowed: bool) -> None:
    assert Range(clauses).allows(version) is allowed


def test_a_range_must_be_one() -> None:
    with pytest.raises(ToolchainError, match="no version clause"):
        Range("1.40.0")


def test_a_program_for_another_machine_is_said_to_be_one(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF and no more")
    program.chmod(0o755)
    with pytest.raises(WayError, match="does not run here"):
        report(program, ["--version"])


def test_a_program_that_fails_tells_its_last_line(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho libfoo.so: missing >&2\nexit 127\n")
    program.chmod(0o755)
    with pytest.raises(WayError, match=r"tells no version: libfoo\.so: missing"):
        report(program, ["--version"])
