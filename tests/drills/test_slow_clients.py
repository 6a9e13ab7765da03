"""D3: clients that send, read or say nothing, slowly, do not take the gateway from the others."""

import http.client
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.drills.harness import KEY, Drill, Outcome, until, within
from tests.gateway.harness import Gateway
from tests.support.history import Call

HEADER_SECONDS, BODY_SECONDS, IDLE_SECONDS, CAP = 2, 3, 3, 200
SLOW = 40
"""Attackers of each kind."""
TOKENS = 300_000
"""Of a stream that nobody reads: 15 MB."""
HEAD = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n".encode()


def test_d3_slow_clients_are_timed_out_and_the_others_do_not_notice(drill: Drill) -> None:
    gate = drill.gateway(
        header_seconds=HEADER_SECONDS, body_seconds=BODY_SECONDS, idle_seconds=IDLE_SECONDS, max_connections=CAP
    )
    drill.join(gate, drill.engine("one"), drill.engine("two"))
    with drill.load(gate, streams=20) as load:
        load.ended(streams=20, short=150)
        calm = load.mine()
        until_now = time.monotonic()
        memory = _memory(gate)
        with _readers_that_do_not_read(gate, 10), _tricklers(gate) as answers:
            load.ended(short=100)
            until(lambda: len(answers) == 2 * SLOW, "every slow sender has an answer", 20)
            grown = _memory(gate) - memory
        under = load.mine().where(lambda call: call.sent > until_now)
    assert not load.mine().failures(), "a well-behaved client noticed"
    assert Counter(answers) == {408: 2 * SLOW}
    assert grown < 40_000_000, f"{grown} bytes of memory for ten readers that do not read"
    before, during = _p95(calm.calls), _p95(under.calls)
    assert during < 2 * before + 0.2, f"p95 went from {before:.3f} to {during:.3f} s"
    drill.note(
        f"{2 * SLOW} slow senders got 408; p95 of short calls {1000 * before:.0f} ms before, "
        f"{1000 * during:.0f} ms during; memory +{grown / 1e6:.1f} MB"
    )


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
def _tricklers(gate: Gateway) -> Iterator[list[int]]:
    """Half of them never finish their headers, half never their body; gives the statuses that they get."""
    starts = [(b"POST /v1/chat/completions HTTP/1.1\r\nx: ", b"y"), (HEAD + b"content-length: 1000\r\n\r\n{", b" ")]
    answers: list[int] = []
    threads = [threading.Thread(target=_trickle, args=(gate, *start, answers)) for start in starts * SLOW]
    for thread in threads:
        thread.start()
    yield answers
    for thread in threads:
        thread.join(30)


def _trickle(gate: Gateway, start: bytes, more: bytes, answers: list[int]) -> None:
    with socket.create_connection(("127.0.0.1", gate.spec.port), timeout=0.5) as connection:
        connection.sendall(start)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                answers.append(int(connection.recv(4096).split(b" ", 2)[1]))
            except TimeoutError:
                connection.sendall(more)
            else:
                return


@contextmanager
def _readers_that_do_not_read(gate: Gateway, number: int) -> Iterator[None]:
    body = json.dumps({"model": "chat", "messages": [], "stream": True, "fake": {"tokens": TOKENS}}).encode()
    sockets = []
    for _ in range(number):
        reader = socket.socket()
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect(("127.0.0.1", gate.spec.port))
        reader.sendall(HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)
        sockets.append(reader)
    yield
    for reader in sockets:
        reader.close()


def _memory(gate: Gateway) -> int:
    """Resident bytes of the gateway's process."""
    lines = Path(f"/proc/{gate.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


def _p95(calls: list[Call]) -> float:
    """Of short calls that have ended, s."""
    times = sorted(call.ended - call.sent for call in calls if not call.stream and call.outcome is Outcome.WHOLE)
    return times[int(0.95 * len(times))]
