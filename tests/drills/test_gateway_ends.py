"""D8 and D9: the gateway itself crashes, or is stopped."""

import signal
import threading
import time

from infra.providers.local.handover import handed_over
from serving.gateway import active_streams, drain
from tests.drills.harness import Drill, Outcome, until, within

STREAMS = 20
HELD = {"hold": True, "gap_ms": 100}


def test_d8_a_crashed_gateway_fails_its_streams_visibly_and_comes_back(drill: Drill) -> None:
    first, second = drill.gateway(folder="first"), drill.gateway(folder="second")
    engines = [drill.engine(name) for name in ("one", "two")]
    for gate in (first, second):
        drill.join(gate, *engines)
    spec, registry = first.spec, first.registry
    with drill.load(first, name="a") as a, drill.load(second, name="b", rate=20, seed=2) as b:
        a.flowing()
        b.flowing()
        flowing = {call.id for call in a.open()}
        first.process.kill()
        killed = time.monotonic()
        first.process.wait()
        second_url, first_url = b.url, a.url
        a.url = second_url  # as a load balancer or a client with two addresses does
        a.ended(streams=2 * STREAMS, short=50)
        with within(30, "starting again"):
            again = drill.start(first.folder, spec, registry)
            until(lambda: again.healthy("chat") == 2, "its backends are there without anybody joining", 30)
        a.url, returned = first_url, time.monotonic()
        a.ended(streams=STREAMS, short=50)
    crashed = a.mine().where(lambda call: call.url == first_url and call.sent < killed)
    cut = crashed.of(Outcome.CUT)
    assert {call.id for call in cut} >= flowing & {call.id for call in crashed.failures()}
    assert flowing
    assert len([call for call in cut if call.stream]) >= len(flowing) - 2, "streams that flowed when it died"
    late = [call for call in crashed.failures() if call.ended - killed > 5]
    assert not late, f"their clients learned of it late: {late}"
    assert not a.mine().where(lambda call: call.sent > killed and call.url == second_url).failures()
    assert not a.mine().where(lambda call: call.url == first_url and call.sent > returned).failures()
    assert not b.mine().failures(), "clients of the other gateway noticed"
    journal = drill.journal()
    assert journal.count("left").total() >= len(cut) - 2, "the engines were told to stop"
    drill.note(
        f"{len(crashed.failures())} calls of the dead gateway failed, told after "
        f"{max(call.ended - killed for call in crashed.failures()):.2f} s at most"
    )


def test_d9_a_gateway_that_is_just_stopped_cuts_everything(drill: Drill) -> None:
    gate = drill.gateway()
    drill.join(gate, drill.engine("one"), drill.engine("two"))
    with drill.load(gate, streams=STREAMS, rate=0, once=True, fake=HELD) as load:
        load.flowing()
        gate.process.send_signal(signal.SIGTERM)
        load.ended(streams=STREAMS)
        assert gate.process.wait(10) == 0
    assert load.mine().counts() == {"cut": STREAMS}


def test_d9_a_drained_gateway_cuts_nothing(drill: Drill) -> None:
    gate = drill.gateway()
    drill.join(gate, drill.engine("one"), drill.engine("two"))
    with drill.load(gate, streams=STREAMS, rate=0, once=True, fake=HELD) as load:
        load.flowing()
        left: list[int] = []
        draining = threading.Thread(target=lambda: left.append(drain(gate.admin, patience=60)))
        draining.start()
        until(lambda: gate.call("GET", "/healthz", key=None).status == 503, "load balancers are told")
        until(lambda: active_streams(gate.admin) == STREAMS, "all are open, and the question above is over")
        with drill.load(gate, name="late", streams=5, rate=0, once=True) as late:
            late.ended(streams=5)
        drill.release()
        draining.join()
        gate.process.send_signal(signal.SIGTERM)
        assert gate.process.wait(10) == 0
    assert left == [0]
    assert load.mine().counts() == {"whole": STREAMS}
    assert late.mine().counts() == {"whole": 5}, "who had not heard yet was still served"


def test_d9_a_gateway_replaced_on_its_port_loses_no_connection(drill: Drill) -> None:
    engines = [drill.engine(name) for name in ("one", "two")]
    current = drill.gateway(folder="first", workers=2)
    drill.join(current, *engines)
    with drill.load(current, streams=STREAMS, rate=150) as load:
        load.ended(streams=STREAMS)
        for workers in (1, 3, 2):
            following = drill.gateway(
                folder=f"with-{workers}", engines=engines, workers=workers, port=current.spec.port
            )
            load.ended(short=30)
            with handed_over(current.spec.port, [current.process.pid], following.process.pid), within(40, "draining"):
                assert drain(current.admin, patience=60) == 0
                current.process.send_signal(signal.SIGTERM)
                assert current.process.wait(10) == 0
            current = following
        load.ended(short=30)
    assert not load.mine().failures()
    new = sum(call.stream is False for call in load.mine().calls) // 2
    drill.note(f"three replacements under {new} new connections")
