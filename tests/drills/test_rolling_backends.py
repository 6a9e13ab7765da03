"""D5: model servers are replaced one by one under load, the kit's own engine behind the gateway."""

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.places import store_root
from infra.settings import load
from infra.tasks.prepare import prepare
from infra.tasks.session import ROOT
from serving.engines import Limits, Replica, engine
from serving.gateway import Backend
from serving.store import resolve
from tests.drills.harness import KEY, Drill, answers, until, within
from tests.gateway.harness import Gateway
from tests.support.portblock import free_port
from tests.support.streams import History, Load

CLIENTS = 20
SETTLE_SECONDS = 1.0
"""Between the new backend's place in the registry and the old one's SIGTERM: the gateway reads a file."""


@pytest.fixture
def servers(drill: Drill) -> Iterator["Servers"]:
    prepare(load("local", ROOT))
    servers = Servers(drill.folder, str(resolve(store_root(), "tiny-gpt2").path))
    yield servers
    servers.close()


class Servers:
    """Processes of the local engine."""

    def __init__(self, folder: Path, weights: str) -> None:
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        self._folder = folder
        self._weights = weights

    def start(self) -> int:
        """Starts one; its port."""
        port = free_port()
        local = engine("local")
        limits = Limits(max_input_tokens=256, max_total_tokens=512, max_concurrent_requests=32, max_queued_requests=32)
        replica = Replica("chat", self._weights, port, limits, options={"token-delay-ms": "10"})
        with (self._folder / f"server-{port}.log").open("wb") as log:
            self.processes[port] = subprocess.Popen(
                local.command(replica), env=os.environ | local.env(replica), stdout=log, stderr=log
            )
        return port

    def close(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()


def test_d5_replaced_backends_finish_what_they_have(drill: Drill, servers: Servers) -> None:
    gate = drill.gateway()
    ports = {name: servers.start() for name in ("chat-1", "chat-2")}
    _serve(gate, ports)
    url = f"http://127.0.0.1:{gate.spec.port}/models/chat"

    def roll() -> None:
        for name, old in list(ports.items()):
            ports[name] = servers.start()
            _serve(gate, ports)
            time.sleep(SETTLE_SECONDS)
            with within(engine("local").drain.engine_seconds, "draining a server"):
                servers.processes[old].terminate()
                assert servers.processes[old].wait(60) == 0

    async def under_load() -> History:
        async with Load(url, KEY, CLIENTS) as load:
            await load.finished(CLIENTS)
            await asyncio.to_thread(roll)
            await load.finished(CLIENTS)
        return load.history

    history = asyncio.run(under_load())
    assert history.failures() == []
    drill.note(f"{len(history.streams)} streams of the local engine whole while both servers were replaced")


def _serve(gate: Gateway, ports: dict[str, int]) -> None:
    """A backend's new process takes the place of the old one in one step, once it is healthy."""
    for name, port in ports.items():
        until(lambda port=port: answers(port), f"{name} answers", 60)  # type: ignore[misc]
        gate.registry.add("chat", Backend(name, "127.0.0.1", port))
    until(lambda: gate.healthy("chat") == len(ports), "all are in rotation")
