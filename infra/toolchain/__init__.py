"""The pinned external programs: where each comes from, how it is checked, how it is built where it must be.

`parts.yaml` is the one lock of them all.
"""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infra.toolchain.errors import ToolchainError
    from infra.toolchain.parts import Part
    from infra.toolchain.toolchain import Found, Missing, Toolchain

__all__ = ["Found", "Missing", "Part", "Toolchain", "ToolchainError", "engine_env", "ensure", "find"]

# Imported when asked for: the language host lives in this package, starts several times in every run of the engine, and
# needs none of it, while YAML and HTTP take 0.15 s to load.
_HOMES = {
    "Found": "toolchain",
    "Missing": "toolchain",
    "Part": "parts",
    "Toolchain": "toolchain",
    "ToolchainError": "errors",
}


def ensure(name: str) -> Path:
    """The path of a part; fetched or built (with progress on standard error) when it is missing.

    Raises ToolchainError when no way works; it says of each why, and what a person can do.
    """
    from infra.toolchain.toolchain import Toolchain  # noqa: PLC0415 - see above

    return Toolchain().ensure(name)


def find(name: str) -> "Found | Missing":
    """Where a part is, or how it can be had. Fetches nothing."""
    from infra.toolchain.toolchain import Toolchain  # noqa: PLC0415 - see above

    return Toolchain().find(name)


def engine_env() -> dict[str, str]:
    """The variables to lay over one's own environment to run `pulumi`, which is got when it is missing."""
    from infra.toolchain import engine  # noqa: PLC0415 - see above

    return engine.engine_env()


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__} has no attribute {name}")
