"""The pinned external programs: where each comes from, how it is checked, how it is built where it must be.

`parts.yaml` is the one lock of them all.
"""

from pathlib import Path

from infra.toolchain import engine
from infra.toolchain.errors import ToolchainError
from infra.toolchain.parts import Part
from infra.toolchain.toolchain import Found, Missing, Toolchain

__all__ = ["Found", "Missing", "Part", "Toolchain", "ToolchainError", "engine_env", "ensure", "find"]


def ensure(name: str) -> Path:
    """The path of a part; fetched or built (with progress on standard error) when it is missing."""
    return Toolchain().ensure(name)


def find(name: str) -> Found | Missing:
    """Where a part is, or how it can be had. Fetches nothing."""
    return Toolchain().find(name)


def engine_env() -> dict[str, str]:
    """The variables to lay over one's own environment to run `pulumi`."""
    return engine.engine_env()
