"""The other policies, on the real binary."""

import collections
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from serving.gateway import Backend, HashOn, Policy, Routing, Tenant, digest
from tests.fakes.engine import FakeEngine
from tests.gateway.harness import HELD, Gateway, gateway, model, released, until

Engines = Callable[[int], list[FakeEngine]]


def _shares(fakes: list[FakeEngine]) -> list[int]:
    return [len(f.seen) for f in fakes]


def test_round_robin_goes_round(tmp_path: Path, engines: Engines) -> None:
    fakes = engines(4)
    with gateway(tmp_path, model(routing=Routing(Policy.ROUND_ROBIN))) as gate:
        gate.join("chat", *(f.port for f in fakes))
        for _ in range(40):
            gate.chat("the same prompt " * 100)
        assert _shares(fakes) == [10] * 4


def test_weights_are_followed_and_change_while_it_runs(tmp_path: Path, engines: Engines) -> None:
    fakes = engines(2)
    with gateway(tmp_path, model(routing=Routing(Policy.WEIGHTED))) as gate:

        def weigh(*weights: int) -> None:
            both = zip(fakes, weights, strict=True)
            backends = [Backend(f"r{f.port}", "127.0.0.1", f.port, weight=w) for f, w in both]
            updates = "cluster.chat.update_success"
            before = gate.admin.stats(f"^{updates}$")[updates]
            gate.registry.replace("chat", backends)
            until(lambda: gate.admin.stats(f"^{updates}$")[updates] != before, "Envoy has the weights")
            until(lambda: gate.healthy("chat") == 2, "both are healthy")

        weigh(1, 3)
        for _ in range(40):
            gate.chat()
        assert 8 <= len(fakes[0].seen) <= 12
        weigh(3, 1)
        before = _shares(fakes)
        for _ in range(40):
            gate.chat()
        assert 28 <= len(fakes[0].seen) - before[0] <= 32


def test_least_request_avoids_the_busy_one(tmp_path: Path, engines: Engines) -> None:
    fakes = engines(3)
    with gateway(tmp_path, model(routing=Routing(Policy.LEAST_REQUEST))) as gate:
        gate.join("chat", *(f.port for f in fakes))
        fakes[0].default = {"first_ms": 2000}
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda _: gate.chat(), range(60)))
        assert len(fakes[0].seen) <= 8


KEYS = {"on": [HashOn.SESSION, HashOn.TENANT, HashOn.HEADER]}


@pytest.mark.parametrize("on", KEYS["on"])
def test_the_same_key_goes_to_the_same_backend(tmp_path: Path, engines: Engines, on: HashOn) -> None:
    fakes = engines(4)
    tenants = tuple(Tenant(f"t{i}", (digest(f"k{i}"),)) for i in range(16))
    header = {"header": "x-user"} if on is HashOn.HEADER else {}
    routing = Routing(Policy.CONSISTENT_HASH, on, **header)
    with gateway(tmp_path, model(routing=routing), tenants=tenants) as gate:
        gate.join("chat", *(f.port for f in fakes))
        for _ in range(5):
            for i in range(16):
                _ask(gate, on, i)
        homes = collections.defaultdict(set)
        for number, fake in enumerate(fakes):
            for seen in fake.seen:
                homes[seen.body["who"]].add(number)
        assert len(homes) == 16
        assert all(len(places) == 1 for places in homes.values())
        assert len({next(iter(p)) for p in homes.values()}) >= 2


def _ask(gate: Gateway, on: HashOn, i: int) -> None:
    key = f"k{i}" if on is HashOn.TENANT else "k0"
    names = {HashOn.SESSION: "x_session_id", HashOn.HEADER: "x_user"}
    headers = {names[on]: f"user-{i}"} if on in names else {}
    body = {"model": "chat", "messages": [], "who": i}
    assert gate.call("POST", "/v1/chat/completions", body, key=key, **headers).status == 200


def test_bounded_load_leaves_a_full_backend(tmp_path: Path, engines: Engines) -> None:
    fakes = engines(4)
    routing = Routing(Policy.CONSISTENT_HASH, HashOn.TENANT, bounded_load=1.25)
    with gateway(tmp_path, model(routing=routing)) as gate:
        gate.join("chat", *(f.port for f in fakes))
        with ThreadPoolExecutor(16) as pool:
            answers = []
            with released(*fakes):
                for _ in range(16):  # one by one: Envoy counts a request when its connection is there
                    answers.append(pool.submit(gate.chat, **HELD))
                    until(lambda: sum(f.open for f in fakes) == len(answers), "it is in an engine")
            assert {a.result().status for a in answers} == {200}
        assert max(_shares(fakes)) <= 8, _shares(fakes)


def test_client_addresses_are_hashed(tmp_path: Path, engines: Engines) -> None:
    fakes = engines(4)
    with gateway(tmp_path, model(routing=Routing(Policy.CONSISTENT_HASH, HashOn.CLIENT_ADDRESS))) as gate:
        gate.join("chat", *(f.port for f in fakes))
        for _ in range(12):
            gate.chat()
        assert sorted(_shares(fakes)) == [0, 0, 0, 12]
