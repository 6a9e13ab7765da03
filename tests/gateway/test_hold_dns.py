"""A model at zero replicas behind a name in DNS: its requests wait for the first address, again after each sleep."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from serving.gateway import Dns, Hold
from tests.fakes.dns import FakeDns
from tests.fakes.engine import FakeEngine
from tests.gateway.harness import Gateway, gateway, model, until
from tests.support.portblock import free_port

NAME = "chat.models.test"


@pytest.fixture
def dns() -> Iterator[FakeDns]:
    dns = FakeDns()
    yield dns
    dns.stop()


def held(gate: Gateway) -> float:
    """Requests that wait, as a scaler sees them."""
    prefix = 'envoy_berth_requests_held{model="chat"} '
    lines = [line for line in gate.admin.metrics().splitlines() if line.startswith(prefix)]
    return float(lines[0].removeprefix(prefix)) if lines else -1


def wake(gate: Gateway, dns: FakeDns, port: int, requests: int) -> list[int]:
    """Asks while there is no replica, then starts one; the statuses of the answers."""
    with ThreadPoolExecutor(requests) as pool:
        answers = [pool.submit(gate.chat, f"{number}", stream=bool(number % 2)) for number in range(requests)]
        until(lambda: held(gate) == requests, "all of them wait")
        time.sleep(1)  # several looks at the name, and none of them ends the wait
        assert not any(answer.done() for answer in answers)
        engine = FakeEngine(port=port).start()
        try:
            dns.records[NAME] = ["127.0.0.1"]
            statuses = [answer.result().status for answer in answers]
            until(lambda: held(gate) == 0, "nobody waits any more")
            return statuses
        finally:
            engine.stop()


@pytest.mark.parametrize("asleep", ["without addresses", "unknown"])
def test_requests_wait_until_the_name_has_an_address(tmp_path: Path, dns: FakeDns, asleep: str) -> None:
    def sleep() -> None:
        if asleep == "unknown":
            dns.records.pop(NAME, None)
        else:
            dns.records[NAME] = []

    port = free_port()  # not one that an outgoing connection may take while the engine sleeps
    source = Dns(NAME, port, (f"127.0.0.1:{dns.port}",), refresh=0.2)
    sleep()
    with gateway(tmp_path, model(dns=source, hold=Hold(30, 10))) as gate:
        until(lambda: held(gate) == 0, "the gauge is there at zero replicas")
        assert wake(gate, dns, port, 4) == [200] * 4
        sleep()
        until(lambda: gate.healthy("chat") == 0, "the replica that stopped takes no more requests")
        assert wake(gate, dns, port, 3) == [200] * 3


def test_a_wait_for_a_name_ends(tmp_path: Path, dns: FakeDns) -> None:
    source = Dns(NAME, 1, (f"127.0.0.1:{dns.port}",), refresh=0.2)
    with gateway(tmp_path, model(dns=source, hold=Hold(1.0, 10))) as gate:
        answer = gate.chat()
        assert (answer.status, answer.json()["error"]["code"]) == (503, "no_backend")
        assert "retry-after" in answer.headers
