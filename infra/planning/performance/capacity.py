"""How much traffic one replica takes: at saturation, and while it keeps the objectives."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from infra.planning.performance.outcome import Outcome, percentile
from infra.planning.performance.simulate import Engine, simulate
from infra.planning.performance.workload import Workload, synthetic

SAFE_LOAD = 0.8
"""Most of its saturation that a replica is planned for, whatever the objectives: beyond it queues grow with each burst,
and the 95th percentile of one sample of requests says little about the next (by 90 % samples differ tenfold)."""
_STEPS = 50
"""Levels between nothing and saturation at which objectives are tried: 2 % of saturation apart."""
_FLOOD = 1e6
_POOLS = (1, 2, 4, 8)
"""Replica counts at which the smoothing of arrivals by a pool is worked out; counts in between take the lower one."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Shape of a model's requests, apart from how many there are."""

    prompt_tokens: float
    output_tokens: float
    prefix_hit_share: float
    context: int


@dataclass(frozen=True, slots=True)
class Capacity:
    """Requests a second of one replica."""

    saturation: float
    """At which it works all the time."""
    kept: float
    """At which it still keeps the objectives, 0 when it cannot at any load."""
    binds: str
    """ttft_p95, itl_p95 or saturation."""
    alone: Outcome
    """What a nearly idle replica does."""


@lru_cache(maxsize=4096)
def workload_of(traffic: Traffic, pool: int = 1) -> Workload:
    """Return requests as one of `pool` replicas sees them: a round robin over a pool evens arrivals out."""
    return synthetic(
        traffic.prompt_tokens,
        max(1.0, traffic.output_tokens),
        output_spread=0.8 if traffic.output_tokens else 0.0,
        burst=1.0 / pool,
        cached_share=traffic.prefix_hit_share,
        longest=traffic.context,
    )


@lru_cache(maxsize=4096)
def saturation(engine: Engine, traffic: Traffic) -> float:
    """Return requests a second that a replica finishes when more than that always wait."""
    work = workload_of(traffic)
    outcome = simulate(work, engine, _FLOOD)
    return len(work.arrivals) / outcome.finished


def saturation_bound(engine: Engine, traffic: Traffic) -> float:
    """Return an estimate of the saturation rate without running the queue.

    A request takes its prefill, and its share of as many decode steps as it has tokens in the fullest batch.
    """
    timing, fresh = engine.timing, traffic.prompt_tokens * (1 - traffic.prefix_hit_share)
    prefill = fresh * (timing.prefill_token + traffic.prompt_tokens / 2 * timing.prefill_pair)
    prefill += timing.prefill_fixed * fresh / engine.batch_tokens
    if traffic.output_tokens <= 1:
        return 1.0 / max(prefill, 1e-9)
    held = traffic.prompt_tokens + traffic.output_tokens / 2
    batch = max(1.0, min(engine.max_requests, engine.kv_tokens / held))
    return 1.0 / (prefill + traffic.output_tokens * timing.decode(batch, batch * held) / batch)


@lru_cache(maxsize=4096)
def capacity(
    engine: Engine, traffic: Traffic, ttft_p95: float | None, itl_p95: float | None, pool: int = 1
) -> Capacity:
    """Return the highest load, in steps of 2 % of saturation, at which one replica of a pool keeps the objectives.

    A looser objective never gives less, and a larger pool never less than a smaller one.
    """
    most = saturation(engine, traffic)
    work = workload_of(traffic, pool)
    alone = simulate(work, engine, most / _STEPS / 4)

    def broken(outcome: Outcome) -> str:
        if ttft_p95 is not None and outcome.ttft_percentile(0.95) > ttft_p95:
            return "ttft_p95"
        if itl_p95 is not None and outcome.itl_percentile(0.95) > itl_p95:
            return "itl_p95"
        return ""

    fails = broken(alone)
    if fails:
        return Capacity(most, 0.0, fails, alone)
    low, high, binds = 0, int(SAFE_LOAD * _STEPS), "saturation"
    first = high
    while low < high:
        middle = (low + high + 1) // 2
        fails = broken(simulate(work, engine, most * middle / _STEPS))
        if fails:
            high, binds = middle - 1, fails
        else:
            low = middle
    kept = most * (low if low < first else first) / _STEPS if low else most / _STEPS / 4
    if pool > 1:
        smaller = capacity(engine, traffic, ttft_p95, itl_p95, max(count for count in _POOLS if count < pool))
        if smaller.kept > kept:
            return Capacity(most, smaller.kept, smaller.binds, alone)
    return Capacity(most, kept, binds, alone)


def replicas_for(
    rate: float, engine: Engine, traffic: Traffic, ttft_p95: float | None, itl_p95: float | None
) -> tuple[int, Capacity]:
    """Return the fewest replicas that keep the objectives at `rate`, and what one of them takes; 0 when none can."""
    previous: Capacity | None = None
    for index, pool in enumerate(_POOLS):
        found = capacity(engine, traffic, ttft_p95, itl_p95, pool)
        if not found.kept:
            return 0, found
        upper = _POOLS[index + 1] - 1 if index + 1 < len(_POOLS) else None
        needed = max(pool, -int(-rate // found.kept))
        if upper is None or needed <= upper:
            return needed, found
        previous = found
    raise AssertionError(previous)


def predict(rate: float, replicas: int, engine: Engine, traffic: Traffic) -> Outcome:
    """Return what clients see when `replicas` share `rate`."""
    pool = max(count for count in _POOLS if count <= replicas)
    return simulate(workload_of(traffic, pool), engine, rate / replicas)


def pooled_percentile(outcomes: Sequence[Outcome], share: float) -> float:
    """Return a percentile of the time to first token over all replicas' requests."""
    return percentile([value for outcome in outcomes for value in outcome.ttft], share)
