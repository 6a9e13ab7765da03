"""D11 and D12: memory runs short, the disk of the log is full."""

import socket
import time
from contextlib import ExitStack, suppress

from tests.drills.harness import KEY, Drill, Outcome, until, within
from tests.gateway.harness import Gateway

STREAMS = 20
PRESSURE = "overload.envoy.resource_monitors.fixed_heap.pressure"
REFUSING = "overload.envoy.overload_actions.stop_accepting_requests.active"


def test_d11_memory_pressure_refuses_new_requests_and_keeps_open_streams(drill: Drill) -> None:
    gate = drill.gateway(max_heap_bytes=32_000_000, body_seconds=300)
    drill.join(gate, drill.engine("one"), drill.engine("two"))
    hoard = ExitStack()
    held = {"hold": True, "gap_ms": 100}
    with hoard, drill.load(gate, streams=STREAMS, rate=30, once=True, fake=held) as load:
        load.flowing()
        calm = time.monotonic()
        for _ in range(60):
            if _stat(gate, REFUSING):
                break
            hoard.enter_context(_hoarder(gate.spec.port))
            time.sleep(0.3)
        else:
            raise AssertionError("the heap did not fill")
        until(lambda: load.mine().where(lambda call: call.sent > calm).failures(), "it sheds")
        load.ended(short=30)
        until(lambda: _stat(gate, PRESSURE) >= 95, "the pressure shows")
        assert len(load.open()) == STREAMS, "open streams go on"
        hoard.close()
        with within(30, "recovery"):
            until(lambda: not _stat(gate, REFUSING), "it takes requests again", 40)
        recovered = time.monotonic()
        load.ended(short=50)
        drill.release()
    streams = load.mine().where(lambda call: call.stream)
    assert streams.counts() == {"whole": STREAMS}
    shed = load.mine().failures()
    assert {call.outcome for call in shed} <= {Outcome.REFUSED, Outcome.LOST}
    assert all(call.status in (0, 503) for call in shed), shed
    assert not load.mine().where(lambda call: call.sent > recovered + 1).failures()
    assert gate.process.poll() is None, "it was not the kernel that made room"
    drill.note(f"{len(shed)} short calls shed while the heap was full; all {STREAMS} streams whole")


def _stat(gate: Gateway, name: str) -> int:
    return int(gate.admin.stats(f"^{name}$".replace(".", r"\.")).get(name, 0))


def _hoarder(port: int) -> socket.socket:
    """A client that sends two megabytes of a body and never the rest."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=5)
    connection.settimeout(0.5)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n"
    with suppress(OSError):  # it is full: that is what was wanted
        connection.sendall(head.encode() + b'content-length: 9000000\r\n\r\n{"x":"' + b"y" * 2_000_000)
    return connection


def test_d12_a_full_disk_under_the_log_is_counted_and_stops_nothing(drill: Drill) -> None:
    gate = drill.gateway(access_log="/dev/full")
    drill.join(gate, drill.engine("one"), drill.engine("two"))
    name = "filesystem.write_failed"
    with drill.load(gate, streams=STREAMS) as load:
        load.ended(streams=2 * STREAMS, short=150)
        until(lambda: _stat(gate, name) > 0, "it is counted", 20)
        failed = _stat(gate, name)
    assert not load.mine().failures()
    drill.note(f"{failed} failed writes of the access log counted")
