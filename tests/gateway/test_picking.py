"""estimated_ttft on the real binary: prefixes stay, loads spread, work comes back, shares follow speeds."""

import collections
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.fakes.engine import FakeEngine
from tests.gateway.harness import gateway, until

Engines = Callable[[int], list[FakeEngine]]


def _spread(fakes: list[FakeEngine], since: list[int]) -> list[int]:
    return [len(f.seen) - n for f, n in zip(fakes, since, strict=True)]


@pytest.mark.parametrize("workers", [1, 2])
def test_conversations_stay_where_their_prefix_is(tmp_path: Path, engines: Engines, workers: int) -> None:
    fakes = engines(6)
    with gateway(tmp_path, workers=workers) as gate:
        gate.join("chat", *(f.port for f in fakes))
        texts = {i: f"conversation {i}: " + f"{i} ".ljust(600, "x") for i in range(12)}
        for _ in range(6):
            for i, text in texts.items():
                texts[i] = text + " and more" * 80
                assert gate.chat(texts[i]).status == 200
        homes = collections.defaultdict(set)
        for number, fake in enumerate(fakes):
            for seen in fake.seen:
                homes[seen.body["messages"][0]["content"].split(":")[0]].add(number)
        assert all(len(places) == 1 for places in homes.values()), homes
        assert len({next(iter(p)) for p in homes.values()}) == 6, "newcomers go round"
        cached = [int(line["cached_bytes"]) for line in gate.logged(72)]
        assert sum(1 for c in cached if c) >= 55


def test_one_prefix_spreads_when_it_is_busy(tmp_path: Path, engines: Engines) -> None:
    fakes = engines(4)
    with gateway(tmp_path, workers=2) as gate:
        gate.join("chat", *(f.port for f in fakes))
        prompt = "the same long system prompt " * 250
        with ThreadPoolExecutor(32) as pool:
            answers = list(pool.map(lambda i: gate.chat(prompt, fake={"first_ms": 2000}), range(32)))
        assert all(a.status == 200 for a in answers)
        assert max(len(f.seen) for f in fakes) <= 12, [len(f.seen) for f in fakes]


def test_work_comes_back_when_clients_hang_up(tmp_path: Path, engines: Engines) -> None:
    fakes = engines(4)
    with gateway(tmp_path, workers=2) as gate:
        gate.join("chat", *(f.port for f in fakes))

        def hang_up(i: int) -> None:
            with pytest.raises(TimeoutError):
                gate.call(
                    "POST",
                    "/v1/chat/completions",
                    {"model": "chat", "messages": [{"content": f"{i}" * 5000}], "fake": {"first_ms": 5000}},
                    timeout=0.3,
                )

        with ThreadPoolExecutor(12) as pool:
            list(pool.map(hang_up, range(24)))
        flight = "envoy_berth_requests_in_flight"
        until(lambda: f'{flight}{{model="chat"}} 0' in gate.admin.metrics(), "nothing in flight")
        before = [len(f.seen) for f in fakes]
        for i in range(40):
            assert gate.chat(f"newcomer {i} " * 100).status == 200
        assert all(8 <= n <= 12 for n in _spread(fakes, before)), _spread(fakes, before)


def test_a_request_moves_on_when_its_backend_dies(tmp_path: Path, engines: Engines) -> None:
    fakes = engines(3)
    with gateway(tmp_path) as gate:
        gate.join("chat", *(f.port for f in fakes))
        prompt = "a conversation with a home " * 60
        assert gate.chat(prompt).status == 200
        home = next(f for f in fakes if f.seen)
        home.default = {"die": "before"}
        assert [gate.chat(prompt).status for _ in range(10)] == [200] * 10
        home.stop()
        before = [len(f.seen) for f in fakes]
        assert [gate.chat(prompt).status for _ in range(20)] == [200] * 20
        assert sorted(_spread(fakes, before)) == [0, 0, 20], "all on one new home"
        until(lambda: gate.metric('repicks{model="chat"}') >= 1, "it is counted")


def test_unequal_servers_are_used_in_proportion(tmp_path: Path, engines: Engines) -> None:
    fakes = engines(2)
    with gateway(tmp_path, workers=2) as gate:
        gate.join("chat", fakes[0].port, speed=1.0)
        gate.join("chat", fakes[1].port, speed=3.0)
        with ThreadPoolExecutor(40) as pool:
            body = {"first_ms": 2000}
            list(pool.map(lambda i: gate.chat(f"{i} " * 600, fake=body), range(40)))
        assert 6 <= len(fakes[0].seen) <= 14, [len(f.seen) for f in fakes]


def test_a_cache_is_remembered_no_longer_than_it_can_be(tmp_path: Path, engines: Engines) -> None:
    (fake,) = engines(1)
    with gateway(tmp_path) as gate:
        gate.join("chat", fake.port, kv_tokens=2560)  # 20 chunks of 512 bytes
        for i in (1, 1, 2, 3, 4, 1):
            assert gate.chat(f"prompt {i} ".ljust(12 * 512, str(i))).status == 200
        cached = [int(line["cached_bytes"]) for line in gate.logged(6)]
        assert cached[1] >= 11 * 512
        assert cached[5] == 0


def test_adapters_and_salts_do_not_share_prefixes(tmp_path: Path, engines: Engines) -> None:
    (fake,) = engines(1)
    with gateway(tmp_path) as gate:
        gate.join("chat", fake.port)
        text = "some shared text " * 200
        for parameters in ({"adapter_id": "a"}, {"adapter_id": "b"}, {"adapter_id": "a"}):
            gate.call("POST", "/models/chat/generate", {"inputs": text, "parameters": parameters})
        for salt in ("x", "y", "x"):
            gate.chat(text, cache_salt=salt)
        cached = [bool(int(line["cached_bytes"])) for line in gate.logged(6)]
        assert cached == [False, False, True, False, False, True]


def test_more_than_64_backends(tmp_path: Path) -> None:
    fake = FakeEngine(more_ports=69).start()
    try:
        with gateway(tmp_path) as gate:
            gate.join("chat", *fake.ports)
            for i in range(140):
                assert gate.chat(f"{i} ".ljust(700, "x")).status == 200
            counts = collections.Counter(seen.port for seen in fake.seen)
            assert set(counts) == set(fake.ports)
            assert max(counts.values()) <= 3
            for i in range(140):
                assert gate.chat(f"{i} ".ljust(700, "x")).status == 200
            assert [s.port for s in fake.seen[:140]] == [s.port for s in fake.seen[140:]], "each prefix has its home"
    finally:
        fake.stop()


def test_counters_tell_what_was_picked(tmp_path: Path, engines: Engines) -> None:
    fakes = engines(2)
    with gateway(tmp_path) as gate:
        gate.join("chat", *(f.port for f in fakes))
        for _ in range(4):
            gate.chat("the same " * 300)
        gate.counted('picks{model="chat"}', 4)
        gate.counted('cached_bytes{model="chat"}', 3 * 5 * 512)
        until(lambda: gate.metric('ttft_ms_count{model="chat"}') == 4, "Envoy merges distributions every 5 s")
