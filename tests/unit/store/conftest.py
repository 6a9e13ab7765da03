from pathlib import Path

import pytest


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Of an empty store."""
    (tmp_path / "store").mkdir()
    return tmp_path / "store"
