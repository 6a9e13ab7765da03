"""Life of a local stack under the real engine: changes under load, faults, mistakes, and the end."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from infra.providers.local.daemon import ALIVE, Daemon
from infra.providers.local.process import instances
from tests.engine.conftest import CHAT
from tests.gateway.harness import until
from tests.support.portblock import lease
from tests.support.project import STACK, Project
from tests.support.streams import History, Load

CLIENTS = 20


def chat(**changes: Any) -> dict[str, Any]:
    slow = {"token-delay-ms": "10"}
    return {"chat": {**CHAT, "concurrency": 32, "options": slow, **changes}}


def daemon(project: Project) -> Daemon:
    return Daemon(project.session.stack_dir(STACK))


def replicas(project: Project) -> dict[str, int]:
    """Process id by name of every chat replica that runs."""
    return {p.name: p.pid for p in daemon(project).list() if p.name.startswith("chat-") and p.state in ALIVE}


def serving(project: Project) -> bool:
    """Whether every process of the stack answers."""
    return all(process.state() == "running" for process in instances(daemon(project)))


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    project = Project.make(tmp_path_factory.mktemp("loaded"), lease())
    project.write(chat())
    project.up()
    yield project
    project.down()


def under_load(project: Project, change: Any) -> History:
    """Runs `change` in a thread while 20 clients stream; every client streams before, during and after."""

    async def run() -> History:
        outputs = project.outputs()
        async with Load(outputs["endpoints"]["chat"]["native"], outputs["api_key"], CLIENTS) as load:
            await load.finished(CLIENTS)
            await asyncio.to_thread(change)
            await load.finished(CLIENTS)
        return load.history

    return asyncio.run(run())


def test_more_replicas_cut_nothing(loaded: Project) -> None:
    loaded.write(chat(replicas=3))
    assert under_load(loaded, loaded.up).failures() == []
    assert len(replicas(loaded)) == 3


def test_fewer_replicas_cut_nothing(loaded: Project) -> None:
    loaded.write(chat(replicas=3))
    loaded.up()
    loaded.write(chat(replicas=1))
    assert under_load(loaded, loaded.up).failures() == []
    assert len(replicas(loaded)) == 1


def test_a_changed_limit_rolls_one_replica_at_a_time_and_cuts_nothing(loaded: Project) -> None:
    loaded.write(chat(replicas=2))
    loaded.up()
    before = replicas(loaded)
    loaded.write(chat(replicas=2, context=384))
    assert under_load(loaded, loaded.up).failures() == []
    after = replicas(loaded)
    assert len(after) == 2
    assert not before.keys() & after.keys()


def test_a_killed_replica_fails_only_its_own_streams_and_comes_back(loaded: Project) -> None:
    loaded.write(chat(replicas=2))
    loaded.up()
    name, pid = next(iter(replicas(loaded).items()))

    killed_at = 0.0

    def kill() -> None:
        nonlocal killed_at
        os.kill(pid, signal.SIGKILL)
        killed_at = time.monotonic()

    history = under_load(loaded, kill)
    failed = history.failures()
    # Cut where tokens had been sent, an error status where none had; nothing that was asked afterwards.
    assert len(failed) <= CLIENTS
    assert all(stream.started <= killed_at and stream.detail for stream in failed), failed
    assert history.counts()["doubled"] == 0
    # supervisord sees the end of a process within a second, and the next one has a model to load.
    until(lambda: replicas(loaded).get(name, pid) != pid, f"another {name}", 60)
    until(lambda: serving(loaded), "all replicas answer", 60)
    loaded.pulumi("refresh", "--yes", "--skip-preview")
    assert loaded.pulumi("preview", "--expect-no-changes").returncode == 0


def test_preview_after_up_shows_no_change(loaded: Project) -> None:
    loaded.up()
    done = loaded.pulumi("preview", "--expect-no-changes")
    assert done.returncode == 0, done.stdout


def test_up_restores_everything_after_a_reboot(loaded: Project) -> None:
    loaded.up()
    before = replicas(loaded)
    pid = daemon(loaded).pid()
    assert pid is not None
    for process in (*before.values(), pid):
        os.kill(process, signal.SIGKILL)
    for process in daemon_children(loaded):
        with suppress(ProcessLookupError):  # gone by itself meanwhile
            os.kill(process, signal.SIGKILL)
    loaded.up()
    assert replicas(loaded).keys() == before.keys()
    assert not under_load(loaded, lambda: None).failures()


def daemon_children(project: Project) -> list[int]:
    """Processes of the stack that outlived their supervisord."""
    root = os.fsencode(project.root)
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if root in (entry / "cmdline").read_bytes() and int(entry.name) != os.getpid():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def test_six_mistakes_are_six_errors_and_nothing_is_created(project: Project) -> None:
    broken = chat(engine="locl", replicas={"min": 3, "max": 1}, contxt=512)
    broken["-bad-"] = {"engine": "local", "source": "tiny-gpt2"}
    project.write(broken, gateway={"routing": "fastest"}, monitoring={"retention": 15})
    done = project.pulumi("up", "--yes")
    text = done.stdout + done.stderr
    assert done.returncode != 0
    for place in ("engine", "replicas", "contxt", "-bad-", "gateway.routing", "monitoring.retention"):
        assert place in text, text
    assert not project.session.stack_dir(STACK).exists()


def test_a_busy_port_is_named_with_its_holder(project: Project) -> None:
    project.write(chat())
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", project.gateway_port))
        other.listen()
        done = project.pulumi("up", "--yes")
    text = done.stdout + done.stderr
    assert done.returncode != 0
    assert f"port {project.gateway_port} is in use by" in text
    assert daemon(project).pid() is None


def test_down_leaves_nothing(project: Project) -> None:
    project.write(chat(replicas=1))
    project.up()
    assert daemon_children(project)
    project.down()
    assert daemon_children(project) == []
    assert not project.session.home.exists()
    assert sorted(path.name for path in project.root.iterdir()) == [".venv", "Pulumi.yaml", "infra", "stacks"]
