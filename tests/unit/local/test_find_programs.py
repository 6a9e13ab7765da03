from pathlib import Path

import pulumi
import pytest

from infra.platforms import machine
from infra.platforms.local import find_programs
from infra.providers.local.daemon import Daemon


def test_missing_programs_are_all_named_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BERTH_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(pulumi.RunError, match=r"envoy, picker, prometheus; `make up` gets them, `make doctor` tells"):
        find_programs()


def test_a_full_disk_is_named_before_anything_starts(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "LEAST_DISK_BYTES", 10**18)
    (found,) = machine.obstacles(daemon, {}, {})
    assert "MB of disk left" in found
    assert "free some space" in found
