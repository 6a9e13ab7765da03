"""Roots with stack files for the tests of settings."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# Runs share a machine with builds; a slow one says nothing about the code.
settings.register_profile("shared-machine", deadline=None)
settings.load_profile("shared-machine")


@pytest.fixture
def root(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder with the given stack files: `root(x="config: …")` writes stacks/Pulumi.x.yaml."""

    def write(defaults: str = "config: {}\n", **stacks: str) -> Path:
        folder = tmp_path / "stacks"
        folder.mkdir(exist_ok=True)
        (folder / "defaults.yaml").write_text(defaults, encoding="utf-8")
        for stack, text in stacks.items():
            (folder / f"Pulumi.{stack}.yaml").write_text(text, encoding="utf-8")
        return tmp_path

    return write
