"""The gateway itself is stopped without cutting a stream."""

import http.client
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from serving.gateway import active_streams, drain
from tests.fakes.engine import FakeEngine
from tests.gateway.harness import HELD, gateway, released, until

Engines = Callable[[int], list[FakeEngine]]


def test_a_drained_gateway_has_cut_nothing(tmp_path: Path, engines: Engines) -> None:
    fakes = engines(2)
    with gateway(tmp_path) as gate, ThreadPoolExecutor(30) as pool:
        gate.join("chat", *(f.port for f in fakes))
        left: list[int] = []
        draining = threading.Thread(target=lambda: left.append(drain(gate.admin, patience=60)))
        with released(*fakes):
            streams = [pool.submit(gate.chat, f"{i}", **HELD) for i in range(30)]
            until(lambda: active_streams(gate.admin) == 30, "all streams are open")
            draining.start()
            until(lambda: gate.call("GET", "/healthz", key=None).status == 503, "load balancers are told")
            late = gate.chat("somebody who has not heard")
            assert late.status == 200
            assert late.headers.get("connection") == "close"
        draining.join()
        assert left == [0]
        assert [s.result().body[-14:] for s in streams] == [b"data: [DONE]\n\n"] * 30


def test_a_drain_that_takes_too_long_says_how_many_are_left(tmp_path: Path, engines: Engines) -> None:
    (fake,) = engines(1)
    with gateway(tmp_path) as gate, ThreadPoolExecutor(2) as pool:
        gate.join("chat", fake.port)
        with released(fake):
            streams = [pool.submit(gate.chat, **HELD) for _ in range(2)]
            until(lambda: active_streams(gate.admin) == 2, "both are open")
            start = time.monotonic()
            assert drain(gate.admin, patience=0.5) == 2
            assert time.monotonic() - start < 10
        assert [s.result().status for s in streams] == [200, 200]


def test_a_kept_connection_is_served_once_more_and_then_told_to_close(tmp_path: Path, engines: Engines) -> None:
    (fake,) = engines(1)
    with gateway(tmp_path) as gate:
        gate.join("chat", fake.port)
        kept = http.client.HTTPConnection("127.0.0.1", gate.spec.port, timeout=10)
        kept.request("GET", "/healthz")
        assert kept.getresponse().read() == b""
        left: list[int] = []
        draining = threading.Thread(target=lambda: left.append(drain(gate.admin, patience=30, linger=20)))
        draining.start()
        until(lambda: gate.call("GET", "/healthz", key=None).status == 503, "it drains")
        time.sleep(1)
        assert draining.is_alive(), "the connection may still bring a request"
        kept.request("GET", "/healthz")
        last = kept.getresponse()
        assert last.headers["connection"] == "close"
        last.read()
        start = time.monotonic()
        draining.join()
        assert time.monotonic() - start < 10, "nobody is left to wait for"
        assert left == [0]
        kept.close()
