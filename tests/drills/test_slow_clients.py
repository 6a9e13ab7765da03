"""D3: clients that send, read or say nothing, slowly, do not take the gateway from the others."""

import http.client
import json
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.drills.harness import KEY, Drill, model, until, within
from tests.drills.slow_clients import BULK, READERS, SLOW
from tests.gateway.harness import Gateway
from tests.support.history import Call
from tests.support.load import Load

HEADER_SECONDS, BODY_SECONDS, IDLE_SECONDS, CAP = 2, 3, 8, 200
ROUNDS = 4
"""Times of peace and of attack, in turn. What else the machine does only ever adds to some of them, so the best of the
one is compared with the best of the other; what an attack does shows in each of its times."""
JITTER = 0.015
"""Seconds that the p95 of 150 calls moves by itself on two cores."""


def test_d3_slow_senders_are_timed_out_and_the_others_do_not_notice(drill: Drill) -> None:
    gate = drill.gateway(header_seconds=HEADER_SECONDS, body_seconds=BODY_SECONDS, max_connections=CAP)
    drill.join(gate, drill.engine("one"), drill.engine("two"))
    calm: list[float] = []
    attacked: list[float] = []
    with drill.load(gate, streams=20) as load:
        load.ended(streams=20, short=50)
        for _ in range(ROUNDS):
            calm.append(_p95(_calls(load, 150)))
            with _slow_clients(gate, "senders") as slow:
                attacked.append(_p95(_calls(load, 150)))
                assert Counter(_statuses(slow)) == {408: 2 * SLOW}
    assert not load.mine().failures(), "a well-behaved client noticed"
    before, during = min(calm), min(attacked)
    drill.note(
        f"{ROUNDS * 2 * SLOW} slow senders got 408; p95 of short calls {1000 * before:.1f} ms before, "
        f"{1000 * during:.1f} ms during"
    )
    assert during < 1.1 * before + JITTER, f"p95 went from {before:.3f} to {during:.3f} s"


def test_d3_readers_that_do_not_read_cost_neither_memory_nor_calls(drill: Drill) -> None:
    gate = drill.gateway(model("chat"), model(BULK), idle_seconds=IDLE_SECONDS, max_connections=CAP)
    drill.join(gate, drill.engine("one"), drill.engine("two"))
    # An engine of its own, or the calls would wait for it and not for the gateway.
    drill.join(gate, drill.engine(BULK), model=BULK)
    with drill.load(gate, streams=20) as load:
        load.ended(streams=20, short=50)
        memory = _memory(gate)
        before = _p95(_calls(load, 150))
        with _slow_clients(gate, "readers"):
            during = _p95(_calls(load, 150))
            grown = _memory(gate) - memory
    assert not load.mine().failures(), "a well-behaved client noticed"
    assert grown < 40_000_000, f"{grown} bytes of memory for ten readers that do not read"
    # How much later calls are while a Python engine fills buffers with a whole core is not the gateway's affair.
    drill.note(
        f"memory +{grown / 1e6:.1f} MB for {READERS} readers that do not read; p95 of short calls "
        f"{1000 * before:.1f} ms before, {1000 * during:.1f} ms during"
    )


def _calls(load: Load, number: int) -> list[Call]:
    """So many short calls of those sent from now on."""
    now = time.monotonic()
    load.ended(short=number)
    return [call for call in load.mine().calls if not call.stream and call.sent > now and call.ended]


def test_d3_idle_connections_fill_the_cap_for_a_while_only(drill: Drill) -> None:
    gate = drill.gateway(idle_seconds=IDLE_SECONDS, max_connections=CAP)
    drill.join(gate, drill.engine("one"))
    held = drill.load(gate, streams=20, rate=0, once=True, fake={"hold": True, "gap_ms": 100})
    with held:
        held.flowing()
        idle = [socket.create_connection(("127.0.0.1", gate.spec.port), timeout=5) for _ in range(260)]
        name = "http.gateway.downstream_cx_active"
        until(lambda: int(gate.admin.stats(f"^{name}$")[name]) == CAP, f"{CAP} connections are let in")
        with drill.load(gate, name="late", streams=1, rate=0, once=True) as late:
            late.ended(streams=1)
        with within(IDLE_SECONDS + 10, "letting clients in again"):
            until(lambda: _comes_in(gate), "the idle connections are closed", 30)
        with drill.load(gate, name="next", streams=5, rate=20) as following:
            following.ended(streams=5, short=20)
        for connection in idle:
            connection.close()
        drill.release()
    assert late.mine().counts() == {"lost": 1}
    assert held.mine().counts() == {"whole": 20}
    assert not following.mine().failures()


def _comes_in(gate: Gateway) -> bool:
    try:
        return gate.call("GET", "/healthz", key=None).status == 200
    except (OSError, http.client.HTTPException):
        return False


@contextmanager
def _slow_clients(gate: Gateway, kind: str) -> Iterator["subprocess.Popen[str]"]:
    """slow_clients.py at the gateway, from the time when all of it is on."""
    command = [sys.executable, "-m", "tests.drills.slow_clients", kind, str(gate.spec.port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        process.stdin.write(f"{KEY}\n")
        process.stdin.flush()
        assert process.stdout is not None
        assert process.stdout.readline() == "on\n"
        yield process
        process.stdin.close()


def _statuses(process: "subprocess.Popen[str]") -> list[int]:
    """What the slow senders got, once all of them have something."""
    assert process.stdout is not None
    statuses: list[int] = json.loads(process.stdout.readline())
    return statuses


def _memory(gate: Gateway) -> int:
    """Resident bytes of the gateway's process."""
    lines = Path(f"/proc/{gate.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


def _p95(calls: list[Call]) -> float:
    """Seconds that calls took."""
    times = sorted(call.ended - call.sent for call in calls)
    return times[int(0.95 * len(times))]
