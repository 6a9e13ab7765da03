"""Several gateways in front of the same backends choose like one, and do not depend on each other."""

import contextlib
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from serving.gateway import Peers
from tests.fakes.engine import FakeEngine
from tests.gateway.harness import Gateway, free_port, gateway, until

Engines = Callable[[int], list[FakeEngine]]
SECRET = secrets.token_hex(32)


@contextlib.contextmanager
def _gateways(folder: Path, n: int, fakes: list[FakeEngine], key: Callable[[int], str]) -> Iterator[list[Gateway]]:
    ports = [free_port() for _ in range(n)]
    others = tuple(f"localhost:{port}" for port in ports)  # each is among its own others
    with contextlib.ExitStack() as stack:
        gates = []
        for i, port in enumerate(ports):
            peers = Peers(f"127.0.0.1:{port}", others, key(i))
            gate = stack.enter_context(gateway(folder / f"{i}", peers=peers, workers=2))
            gate.join("chat", *(f.port for f in fakes))
            gate.chat("hello")  # from now on it knows the backends
            gates.append(gate)
        time.sleep(1.5)
        yield gates


def _metric(gate: Gateway, name: str) -> float:
    lines = gate.admin.metrics().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(f"envoy_berth_{name}"))


def test_a_conversation_stays_home_whichever_gateway_it_comes_through(tmp_path: Path, engines: Engines) -> None:
    fakes = engines(6)
    with _gateways(tmp_path, 3, fakes, lambda _: SECRET) as gates:
        for fake in fakes:
            fake.seen.clear()
        for i in range(12):
            text = f"conversation {i}: ".ljust(2000, str(i % 10))
            for turn in range(6):
                text += " and more" * 80
                assert gates[(i + turn) % 3].chat(text).status == 200
                # The others hear of it within 10 ms; a first turn that they have not heard of goes elsewhere.
                time.sleep(0.02 if turn else 0.3)
        homes: dict[str, set[int]] = {}
        for number, fake in enumerate(fakes):
            for seen in fake.seen:
                homes.setdefault(seen.body["messages"][0]["content"].split(":")[0], set()).add(number)
        assert sum(len(places) == 1 for places in homes.values()) >= 11, homes
        assert _metric(gates[0], "peer_messages_sent") > 0


def test_load_is_spread_over_what_all_gateways_send(tmp_path: Path, engines: Engines) -> None:
    fakes = engines(4)
    with _gateways(tmp_path, 2, fakes, lambda _: SECRET) as gates, ThreadPoolExecutor(40) as pool:
        for fake in fakes:
            fake.seen.clear()

        def ask(i: int) -> int:
            time.sleep(i * 0.02)
            return gates[i % 2].chat(f"{i} ".ljust(4000, "x"), fake={"first_ms": 2500}).status

        assert set(pool.map(ask, range(40))) == {200}
        assert all(7 <= len(f.seen) <= 13 for f in fakes), [len(f.seen) for f in fakes]


def test_strangers_are_not_believed(tmp_path: Path, engines: Engines) -> None:
    fakes = engines(2)
    with _gateways(tmp_path, 2, fakes, lambda i: secrets.token_hex(32)) as gates:
        until(lambda: _metric(gates[0], "peer_messages_refused") > 0, "the other's messages are refused")
        assert gates[0].spec.peers
        host, port = gates[0].spec.peers.listen.split(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for size in (0, 1, 19, 36, 1400, 9000):
                for _ in range(200):
                    stranger.sendto(secrets.token_bytes(size), (host, int(port)))
        assert {g.chat(f"{i}").status for i in range(10) for g in gates} == {200}


def test_a_gateway_that_dies_takes_its_share_with_it(tmp_path: Path, engines: Engines) -> None:
    fakes = engines(2)
    with _gateways(tmp_path, 1, fakes, lambda _: SECRET) as (gate,):
        assert gate.spec.peers
        port = free_port()
        peers = Peers(f"127.0.0.1:{port}", (gate.spec.peers.listen,), SECRET)
        with ThreadPoolExecutor(20) as pool, gateway(tmp_path / "other", peers=peers) as other:
            other.join("chat", fakes[0].port)  # it sees only one of the backends
            other.chat("hello")
            for fake in fakes:
                fake.seen.clear()
            busy = [pool.submit(other.chat, f"{i}" * 3000, fake={"first_ms": 20_000}) for i in range(10)]
            until(lambda: fakes[0].open == 10, "ten requests are in the first backend")
            time.sleep(1)  # and the other gateway has told so
            assert [gate.chat(f"new {i} " * 50).status for i in range(8)] == [200] * 8
            assert len(fakes[1].seen) == 8, "the first one is known to be busy"
            other.killed = True
            other.process.kill()
            other.process.wait()
            for future in busy:
                assert future.exception() is not None
            time.sleep(7)  # silence counts after four seconds, and is looked for every second
            before = len(fakes[0].seen)
            assert [gate.chat(f"newer {i} " * 50).status for i in range(8)] == [200] * 8
            # Not held to be busy any more; it may get all eight, as the other one has had the work of late.
            assert len(fakes[0].seen) - before >= 3
