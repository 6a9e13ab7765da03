"""Versions of programs: read from what a program prints, compared with what is right."""

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.toolchain.errors import ToolchainError, WayError
from infra.toolchain.fields import Fields

# Long enough for a program of 100 MB on a cold disk, short enough not to hang on one that waits for input.
PROBE_SECONDS = 20
_NUMBER = re.compile(r"(?<![\w.])v?(\d+)\.(\d+)\.(\d+)")
_CLAUSE = re.compile(r"(==|>=|<=|<|>)(\d+(?:\.\d+){0,2})")


def numbers(text: str) -> tuple[int, int, int] | None:
    """The first `x.y.z` in a text, as numbers."""
    found = _NUMBER.search(text)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


@dataclass(frozen=True, slots=True)
class Range:
    """Versions that will do, written like `>=2.42 <4` (all clauses must hold)."""

    text: str

    def __post_init__(self) -> None:
        for clause in self.text.split():
            if not _CLAUSE.fullmatch(clause):
                raise ToolchainError(f"`{clause}` is no version clause; write ==, >=, <=, > or < and a version")

    @classmethod
    def read(cls, fields: Fields, key: str) -> "Range":
        """From the lock file."""
        text = fields.text(key)
        try:
            return cls(text)
        except ToolchainError as error:
            raise ToolchainError(f"{fields.place}.{key}: {error}") from error

    def allows(self, version: str) -> bool:
        """Whether the first `x.y.z` in `version` lies in the range."""
        have = numbers(version)
        return have is not None and all(_holds(clause, have) for clause in self.text.split())


def _holds(clause: str, have: tuple[int, int, int]) -> bool:
    match = _CLAUSE.fullmatch(clause)
    assert match is not None  # noqa: S101 - checked when the range was made
    parts = [int(part) for part in match[2].split(".")]
    want = (*parts, *[0] * (3 - len(parts)))
    return {
        "==": have == want,
        ">=": have >= want,
        "<=": have <= want,
        ">": have > want,
        "<": have < want,
    }[match[1]]


def report(program: Path, arguments: Sequence[str]) -> str:
    """The version that a program prints when it is run with `arguments`.

    Raises WayError when it does not start here (wrong machine, missing libraries), or prints no version.
    """
    command = [str(program), *arguments]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PROBE_SECONDS,
            check=False,
            env={**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise WayError(f"{program} does not run here: {error}") from error
    found = numbers(done.stdout) or numbers(done.stderr)
    if done.returncode != 0 or found is None:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise WayError(f"`{' '.join(command)}` tells no version: {said[-1] if said else f'exit {done.returncode}'}")
    return ".".join(map(str, found))
