"""D1, D2, D4: a backend dies, freezes, or is slow, under load."""

import signal
import time

import pytest

from serving.gateway import Policy, Retries, Routing, Timeouts
from tests.drills.harness import Drill, Outcome, model, until
from tests.support.history import Call

STREAMS = 20
OVER_BUDGET = "cluster.chat.upstream_rq_retry_overflow"
"""Second attempts that were not made, as too many others were under way: the slower the machine, the more are."""


def test_d1_a_killed_backend_cuts_its_own_streams_visibly_and_no_other(drill: Drill) -> None:
    gate = drill.gateway()
    victim, other = drill.engine("victim"), drill.engine("other")
    drill.join(gate, victim, other)
    with drill.load(gate, streams=STREAMS) as load:
        load.flowing()
        flowing = {call.id for call in load.open()}
        victim.signal(signal.SIGKILL)
        killed = time.monotonic()
        victim.process.wait()
        load.ended(streams=2 * STREAMS, short=100)
    over_budget = int(gate.admin.stats(f"^{OVER_BUDGET}$")[OVER_BUDGET])
    own = drill.journal().begun_at("victim")
    failed = load.mine().failures()
    cut = [call for call in failed if call.stream]
    short = [call for call in failed if not call.stream]
    assert cut
    assert {call.id for call in cut} <= own, "streams of the other backend were cut"
    assert all(call.outcome is Outcome.CUT for call in cut)
    hung = [call for call in cut if call.ended - killed > 5]
    assert not hung, f"their clients learned of it late: {hung}"
    assert len(short) <= 1 + over_budget, short
    fresh = load.mine().where(lambda call: call.sent > killed + 2)
    assert not fresh.failures()
    drill.note(
        f"{len(cut)} of {len(flowing & own)} streams on the dead backend cut, told after "
        f"{max(call.ended - killed for call in cut):.2f} s at most; {len(short)} short calls failed"
    )


def test_d2_a_frozen_backend_hangs_nobody_and_is_left_alone_until_it_moves_again(drill: Drill) -> None:
    silence = 5.0
    gate = drill.gateway(model(timeouts=Timeouts(first_token=silence, idle=silence)))
    victim, other = drill.engine("victim"), drill.engine("other")
    drill.join(gate, victim, other)
    with drill.load(gate, streams=STREAMS) as load:
        load.flowing()
        victim.signal(signal.SIGSTOP)
        frozen = time.monotonic()
        until(lambda: gate.healthy("chat") == 1, "it is out of rotation", 15)
        ejected = time.monotonic()
        load.ended(streams=2 * STREAMS, short=100)
        until(
            lambda: not load.mine().where(lambda c: c.outcome is Outcome.OPEN and c.sent < ejected).calls, "all ended"
        )
        victim.signal(signal.SIGCONT)
        until(lambda: gate.healthy("chat") == 2, "it is back", 15)
        back = len(drill.journal().asked_at("victim"))
        load.ended(streams=STREAMS, short=50)
        until(lambda: len(drill.journal().asked_at("victim")) > back, "it gets requests again")
    at_victim = drill.journal().asked_at("victim")
    failed = load.mine().failures()
    assert failed
    assert {call.id for call in failed} <= at_victim | _unanswered(load.mine().calls, frozen, ejected)
    assert not [call for call in failed if call.sent > ejected], "it got calls after its ejection"
    waited = [call.ended - max(call.last, call.sent) for call in failed]
    assert min(waited) > silence - 1.5, "clients were given up too early"
    assert max(waited) < silence + 5, "clients hung"
    drill.note(
        f"out of rotation after {ejected - frozen:.1f} s; {len(failed)} calls given up after "
        f"{min(waited):.1f} to {max(waited):.1f} s of silence; none after the ejection"
    )


def _unanswered(calls: list[Call], start: float, end: float) -> set[str]:
    """Calls sent while the frozen backend was still in rotation: they may lie in its socket, unread, for ever."""
    return {call.id for call in calls if start <= call.sent <= end}


@pytest.mark.parametrize("policy", [Policy.ESTIMATED_TTFT, Policy.LEAST_REQUEST])
def test_d4_load_leaves_a_slow_backend_and_nothing_is_asked_twice(drill: Drill, policy: Policy) -> None:
    gate = drill.gateway(model(routing=Routing(policy), retries=Retries(attempts=2)))
    engines = [drill.engine(name, first_ms=ms) for name, ms in (("quick-1", 100), ("quick-2", 100), ("slow", 1500))]
    drill.join(gate, *engines)
    asks = {"fake": {"tokens": 10, "gap_ms": 50}, "short": {"tokens": 3}}
    with drill.load(gate, streams=STREAMS, **asks) as load:
        load.ended(streams=STREAMS, short=50)  # it takes a while to learn who is slow
        settled = time.monotonic()
        load.ended(streams=4 * STREAMS, short=200)
    assert not load.mine().failures()
    journal = drill.journal()
    later = {call.id for call in load.mine().where(lambda call: call.sent > settled).calls}
    share = len(journal.asked_at("slow") & later) / len(later)
    assert share < 1 / 6, f"{share:.0%} still go to the slow one of three; by turns it would be 33 %"
    ratio = journal.count("asked").total() / len(load.mine().calls)
    assert ratio <= 1.2, f"{ratio:.2f} requests at the engines for each of a client"
    until(lambda: _ttft_sum(gate.admin.metrics()) > 1500, "the slow first tokens show in the statistics")
    drill.note(f"the slow backend's share {share:.1%}; {ratio:.2f} requests at engines per client's request")


def _ttft_sum(metrics: str) -> float:
    """Milliseconds of waiting for first tokens that the gateway has counted."""
    lines = [line for line in metrics.splitlines() if line.startswith("envoy_berth_ttft_ms_sum")]
    return float(lines[0].rsplit(" ", 1)[1]) if lines else 0.0
