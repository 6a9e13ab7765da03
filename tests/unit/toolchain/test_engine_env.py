"""The environment of `pulumi`, for every way an engine can come by."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.toolchain.engine import HOST_PROGRAMS, engine_env
from infra.toolchain.toolchain import HOSTS

SKIP_ONLY = {"PULUMI_SKIP_UPDATE_CHECK": "1"}


def test_an_engine_of_the_machine_is_left_alone(bench: Any, program: Any) -> None:
    program("pulumi", "3.300.0")
    bench.part({"way": "path", "accepts": ">=1"}, name="pulumi")
    assert engine_env(bench.toolchain) == SKIP_ONLY


def test_a_release_goes_first_on_path_and_fetches_its_plugins(bench: Any, vendor: Any) -> None:
    way = vendor.way(vendor.release(), takes={"tool-{version}/tool": "bin/pulumi"})
    bench.part(way, name="pulumi")
    values = engine_env(bench.toolchain)
    folder = bench.toolchain.ensure("pulumi").parent
    assert values == {**SKIP_ONLY, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture
def built(bench: Any, tmp_path: Path) -> Any:
    """A bench whose `pulumi` is built by the real go."""
    folder = tmp_path / "go/pulumi"
    folder.mkdir(parents=True)
    (folder / "go.mod").write_text("module example.com/pulumi\n\ngo 1.21\n")
    (folder / "go.sum").write_text("")
    (folder / "main.go").write_text('package main\n\nfunc main() { println("v1.2.3") }\n')
    way = {"way": "go", "module": "go/pulumi", "packages": ["example.com/pulumi"], "go": "1.26"}
    return bench.part(way, name="pulumi")


def test_a_source_built_engine_gets_the_hosts_of_this_checkout(built: Any) -> None:
    values = engine_env(built.toolchain)
    folder = Path(values["PATH"].split(os.pathsep)[0])
    assert values["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] == "1"
    assert values["BERTH_HOST_PYTHON"] == sys.executable
    engine = built.toolchain.ensure("pulumi")
    assert (folder / "pulumi").samefile(engine)
    for name in HOST_PROGRAMS:
        assert (folder / name).resolve() == HOSTS / name
        assert os.access(folder / name, os.X_OK)


def test_asking_twice_does_not_grow_the_path(built: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = engine_env(built.toolchain)
    monkeypatch.setenv("PATH", first["PATH"])
    assert engine_env(built.toolchain) == first


def test_a_shell_can_read_it(built: Any) -> None:
    out, _ = built.process("env").communicate(timeout=180)
    shown = subprocess.run(
        ["sh", "-c", f"{out}\ncommand -v pulumi; pulumi"], capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip().startswith(str(built.cache.root / "engines"))
    assert shown.stderr == "v1.2.3\n"
