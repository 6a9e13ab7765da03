"""The lock file of the kit, and what is refused in one."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.toolchain import ToolchainError, parts
from infra.toolchain.ways.go_module import GoModule
from infra.toolchain.ways.release import Release
from infra.toolchain.ways.wheel import Wheel

ROOT = Path(__file__).parents[3]


def test_engine_is_the_version_of_the_sdk() -> None:
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    pins = [line.partition("==")[2] for line in dependencies if re.match(r"pulumi==", line)]
    assert pins == [parts.load()["pulumi"].version]


def test_engine_is_built_from_the_module_of_its_version() -> None:
    engine = parts.load()["pulumi"]
    (way,) = [way for way in engine.ways if isinstance(way, GoModule)]
    modules = (parts.LOCK_FILE.parent / way.module / "go.mod").read_text()
    assert f"github.com/pulumi/pulumi/pkg/v3 v{engine.version}" in modules


def test_prometheus_module_is_the_version_of_the_release() -> None:
    """Prometheus 3.15.0 is the Go module v0.315.0."""
    part = parts.load()["prometheus"]
    (way,) = [way for way in part.ways if isinstance(way, GoModule)]
    major, minor, patch = part.version.split(".")
    modules = (parts.LOCK_FILE.parent / way.module / "go.mod").read_text()
    assert f"github.com/prometheus/prometheus v0.{int(major) * 100 + int(minor)}.{patch}" in modules


def test_every_name_the_kit_asks_for_is_provided() -> None:
    names = {name for part in parts.load().values() for name in part.provides}
    assert {"pulumi", "envoy", "prometheus", "promtool", "picker", "minilm"} <= names


def test_every_download_is_checked_against_something() -> None:
    for part in parts.load().values():
        for way in part.ways:
            if isinstance(way, Release):
                assert all(re.fullmatch("[0-9a-f]{64}", value) for value in way.sha256.values())
                assert way.checksums.startswith("https://") or set(way.sha256) == set(way.platforms)
            if isinstance(way, Wheel):
                assert way.sha256
                assert all(re.fullmatch("[0-9a-f]{64}", value) for value in (*way.sha256, *way.contents.values()))


def test_every_part_tells_a_person_what_to_do() -> None:
    assert all(part.advice and part.what for part in parts.load().values())


def _document() -> dict[str, Any]:
    return dict(yaml.safe_load(parts.LOCK_FILE.read_text()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p["envoy"].update(verison="1"), "envoy.verison: no such key; did you mean version?"),
        (lambda p: p["envoy"].pop("version"), "envoy.version: is missing"),
        (lambda p: p["envoy"].update(version=1.4), "envoy.version: expected a text, got 1.4; quote it"),
        (lambda p: p["envoy"].update(ways=[]), "envoy.ways: expected a list with something in it"),
        (lambda p: p["envoy"]["ways"].append({"way": "brew"}), "ways[3].way: brew is none of path, release"),
        (lambda p: p["envoy"]["ways"][0].update(accepts="~1.4"), "envoy.ways[0].accepts: `~1.4` is no version clause"),
        (
            lambda p: p["envoy"]["ways"][2].pop("checksums"),
            "envoy.ways[2]: nothing to check linux-arm64, linux-x86_64 against",
        ),
        (lambda p: p["envoy"].update(provides={"promtool": "x"}), "provided by more than one part: promtool"),
    ],
)
def test_mistakes_are_named_with_their_place(tmp_path: Path, change: Any, message: str) -> None:
    document = _document()
    change(document["parts"])
    file = tmp_path / "parts.yaml"
    file.write_text(yaml.safe_dump(document))
    with pytest.raises(ToolchainError, match=re.escape(message)):
        parts.load(file)
