import os
import socket
from collections.abc import Callable

from infra.platforms.machine import available_memory_bytes, obstacles
from infra.providers.local.daemon import Daemon
from infra.providers.local.process import lay_out
from infra.providers.local.spec import ServiceSpec


def test_every_obstacle_is_named_with_its_way_out(daemon: Daemon) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        found = list(obstacles(daemon, {"gateway.port": port}, {"chat-1": available_memory_bytes() * 2}))
    assert len(found) == 2
    assert found[0].startswith(f"gateway.port: port {port} is in use by ")
    assert f"(pid {os.getpid()})" in found[0]
    assert "stop that or set another port" in found[0]
    assert "lower `replicas`" in found[1]


def test_own_processes_are_no_obstacle(daemon: Daemon, spec: Callable[..., ServiceSpec]) -> None:
    process = lay_out(daemon, spec())
    process.start()
    process.wait_healthy()
    assert list(obstacles(daemon, {"x": process.ports["http"]}, {"echo": available_memory_bytes() * 2})) == []
