"""What goes wrong on one machine: a clear message, nothing lost, and a second `up` converges."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from infra.places import store_root
from infra.platforms import weights
from infra.providers.local.daemon import ALIVE, Daemon
from infra.settings import load
from infra.tasks.engine import clear_dead_locks, select, untouched
from serving.store.kit import KIT
from tests.engine.conftest import CHAT
from tests.support.project import STACK, Project


def running(project: Project) -> list[str]:
    daemon = Daemon(project.session.stack_dir(STACK))
    return sorted(program.name.split(".")[0] for program in daemon.list() if program.state in ALIVE)


def chat(**changes: Any) -> dict[str, Any]:
    return {"chat": {**CHAT, **changes}}


def start_up(project: Project) -> "subprocess.Popen[str]":
    """`pulumi up` in a process group of its own, as a shell would start it."""
    project.session.open()
    with untouched(project.session.stack_file(STACK)):
        select(project.session, STACK)
    return subprocess.Popen(
        ["pulumi", "up", "--stack", STACK, "--yes", "--skip-preview", "--non-interactive"],
        cwd=project.root,
        env=project.session.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )


def wait_for_first_replica(project: Project) -> None:
    deadline = time.monotonic() + 120
    while "chat-1" not in running(project):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_ctrl_c_in_the_middle_of_up_and_a_second_up_converges(project: Project) -> None:
    project.write(chat(replicas=3))
    first = start_up(project)
    wait_for_first_replica(project)
    os.killpg(first.pid, signal.SIGINT)
    output, _ = first.communicate(timeout=120)
    assert first.returncode != 0, output
    project.up()
    assert running(project) == ["chat-1", "chat-2", "chat-3", "gateway", "prometheus"]
    assert project.pulumi("preview", "--expect-no-changes").returncode == 0


def test_up_killed_outright_and_a_second_up_converges(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.write(chat(replicas=3))
    first = start_up(project)
    wait_for_first_replica(project)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate(timeout=120)
    # A file that the engine writes in place could be found half written, at another moment of the kill.
    assert not list((project.session.home / "state").rglob("*.attrs"))
    clear_dead_locks(project.session, STACK)
    assert f"process {first.pid}" in capsys.readouterr().err
    project.up()
    assert running(project) == ["chat-1", "chat-2", "chat-3", "gateway", "prometheus"]
    assert project.pulumi("preview", "--expect-no-changes").returncode == 0


def test_a_damaged_weight_file_is_named_and_the_old_replicas_go_on(project: Project, tmp_path: Path) -> None:
    project.write(chat(replicas=1))
    project.up()
    folder = tmp_path / "own-model"
    shutil.copytree(KIT / "tiny-gpt2", folder)
    project.write(chat(replicas=1, source=f"file://{folder}"))
    settings = load(STACK, project.root)
    weights.stage(settings, lambda _: None)
    stored = weights.find(settings)[str(settings.models["chat"].source)]
    damaged = stored / "ct2" / "model.bin"
    try:
        content = bytearray(damaged.read_bytes())
        content[1000] ^= 1
        damaged.chmod(0o644)
        damaged.write_bytes(content)
        done = project.pulumi("up", "--yes", "--skip-preview")
        text = done.stdout + done.stderr
        assert done.returncode != 0
        assert "model.bin" in text, text
        assert "sha256" in text, text
        assert running(project) == ["chat-1", "gateway", "prometheus"]

        weights.stage(settings, lambda _: None)  # as `make up` does: what is damaged is replaced
        project.up()
        assert running(project) == ["chat-1", "gateway", "prometheus"]
    finally:
        shutil.rmtree(store_root() / stored.parent.name)
