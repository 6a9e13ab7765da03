"""The report on routing quality: every policy, both peers' rules, and berth split over threads and replicas."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.gateway import replay, rules
from tests.bench.gateway.outcome import Outcome
from tests.bench.gateway.replay import BACKENDS, OWN, PACE, Replayed, Way
from tests.bench.gateway.report import Report, Target
from tests.bench.gateway.simulator import simulate
from tests.bench.gateway.trace import Request, conversation, unshared

RATES = (1.0, 2.0)
LIMITS = {1.0: 0.82, 2.0: 0.62}
"""Of mean TTFT in shares of the best other rule's, by rate."""
NEWS = 0.005
"""Seconds until a simulated replica hears of another one's pick."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What of it is measured; all of it takes three quarters of an hour."""

    rates: tuple[float, ...] = RATES
    policies: bool = True
    peers: bool = True
    split: bool = True
    unshared: bool = True
    speedup: float = replay.SPEEDUP


def report(scope: Scope) -> Report:
    """Measures and reports."""
    result = Report(
        "replay",
        "Routing quality",
        f"Mooncake conversation trace (12,031 requests in 59 minutes, arrivals spread) through the real gateways, "
        f"{scope.speedup:g} times as fast as the clock, in front of {BACKENDS} simulated engines: "
        f"{PACE.prefill_tokens_per_second:,.0f} prompt tokens a second, {PACE.decode_seconds_per_token * 1e3:g} ms a "
        f"token, {PACE.cache_blocks:,} blocks of 512 tokens. TTFT is the engine's time plus all else as it really took "
        f'("besides"). weighted with equal weights is round_robin. The bound is an endless shared cache and no queue.',
    )
    for rate in scope.rates:
        _measure(result, scope, rate)
    return result


def _measure(result: Report, scope: Scope, rate: float) -> None:
    ways = [OWN, *(replay.POLICIES[1:] if scope.policies else ()), *(replay.PEERS if scope.peers else ())]
    found = {way.name: _run(way, rate, scope) for way in ways}
    bound = {"routing": "bound", "TTFT mean s": f"{_bound(rate):.3f}"}
    result.table(f"Rate ×{rate:g}", [*(r.row(name) for name, r in found.items()), bound])  # noqa: RUF001
    own = found[OWN.name].outcome.mean
    others = {name: r.outcome.mean for name, r in found.items() if name != OWN.name}
    if others:
        best = min(others, key=lambda name: others[name])
        ratio = own / others[best]
        result.targets.append(Target(f"mean TTFT at rate {rate:g} ÷ best other ({best})", ratio, LIMITS.get(rate, 1.0)))
    if scope.split:
        split = {way.name: _run(way, rate, scope) for way in (*replay.WORKERS, *replay.REPLICAS)}
        result.table(f"Split, rate ×{rate:g}", [r.row(name) for name, r in split.items()])  # noqa: RUF001
        for way, limit in (*((w, 1.02) for w in replay.WORKERS), *((r, 1.05) for r in replay.REPLICAS)):
            ratio = split[way.name].outcome.mean / own
            result.targets.append(Target(f"mean TTFT at rate {rate:g}, {way.name} ÷ one", ratio, limit))
    if scope.unshared:
        alone = {w.name: _run(w, rate, scope, unshared=True) for w in (OWN, replay.LEAST_REQUEST)}
        caption = f"Prompts that share nothing, rate ×{rate:g}"  # noqa: RUF001
        result.table(caption, [r.row(name) for name, r in alone.items()])
        ratio = alone[OWN.name].outcome.mean / alone[replay.LEAST_REQUEST.name].outcome.mean
        result.targets.append(Target(f"mean TTFT at rate {rate:g}, nothing shared ÷ least_request", ratio, 1.0))
    result.table(f"The simulator, rate ×{rate:g}", simulated(rate))  # noqa: RUF001


def _run(way: Way, rate: float, scope: Scope, unshared: bool = False) -> Replayed:
    sys.stderr.write(f"replay: {way.name}, rate {rate:g}{', nothing shared' if unshared else ''}\n")
    return replay.replay(way, rate, speedup=scope.speedup, unshared=unshared)


def simulated(rate: float) -> Sequence[dict[str, object]]:
    """The same without gateways, with the picker's own code."""
    requests = conversation(rate)
    blocks = PACE.cache_blocks
    tried: dict[str, rules.Rule] = {
        "estimated TTFT": rules.EstimatedTtft(BACKENDS, blocks),
        "round robin": rules.RoundRobin(BACKENDS),
        "least requests": rules.LeastRequest(BACKENDS),
        "consistent hash": rules.ConsistentHash(BACKENDS),
        "cache-aware, exact and never forgetting": rules.CacheAware(BACKENDS),
        **{f"estimated TTFT, {n} replicas": rules.EstimatedTtft(BACKENDS, blocks, n, NEWS) for n in (2, 4)},
        **{f"estimated TTFT, {n} replicas apart": rules.EstimatedTtft(BACKENDS, blocks, n) for n in (2, 4)},
    }
    rows = [_simulated(name, rule, requests) for name, rule in tried.items()]
    alone: dict[str, rules.Rule] = {
        "estimated TTFT": rules.EstimatedTtft(BACKENDS, blocks),
        "least requests": rules.LeastRequest(BACKENDS),
    }
    apart = unshared(requests)
    return [*rows, *(_simulated(f"{name}, nothing shared", rule, apart) for name, rule in alone.items())]


def _simulated(name: str, rule: rules.Rule, requests: list[Request]) -> dict[str, object]:
    return {"rule": name, **Outcome.of(simulate(requests, rule, BACKENDS, PACE), BACKENDS).row()}


def _bound(rate: float) -> float:
    """Mean TTFT with one endless cache for all engines and no queue."""
    seen: set[int] = set()
    seconds = 0.0
    requests = conversation(rate)
    for request in requests:
        whole = request.numbers[: request.prompt_tokens // 512]
        matched = next((i for i, block in enumerate(whole) if block not in seen), len(whole))
        seconds += max(request.prompt_tokens - matched * 512, 1) / PACE.prefill_tokens_per_second
        seen.update(whole)
    return seconds / len(requests)
