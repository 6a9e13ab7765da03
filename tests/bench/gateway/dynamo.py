"""berth's rule against Dynamo's KV router, judged by Dynamo's own engine model.

The router of Dynamo sees every cache event of its engines. berth's picker decides with what it knows itself, the
first-token and end times of its requests included; its assignments are replayed in Dynamo's engines, one replay of one
engine for each backend, and pooled (round robin pooled this way is Dynamo's own figure). As those times are known only
after a replay, the first pass takes them from a rough guess (a prefill rate, a time per token), and each further pass
from the replay before, where the request met the same backend.
"""

import heapq
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from tests.bench.gateway.dynamo_engines import KV_TOKENS, Dynamo, Timing, Verdict
from tests.bench.gateway.picker import Pick, Picker
from tests.bench.gateway.report import Report, Target
from tests.bench.gateway.trace import Request, conversation
from tests.fakes.simulated_engine import text
from tests.fakes.simulated_engine.prompt import BYTES_PER_TOKEN

WORKERS = 8
RATES = (1.0, 2.0, 4.0)
PASSES = 3
ROUTER_RUNS = 3
"""Dynamo's router is not the same twice."""
_GUESS_PREFILL, _GUESS_FIRST, _GUESS_TOKEN = 60_000.0, 0.016, 0.007
"""Tokens a second; seconds for any prompt; seconds a token."""


def report(rates: Sequence[float] = RATES) -> Report:
    """Measures and reports."""
    result = Report(
        "dynamo",
        "berth's rule in Dynamo's engine model",
        f"Mooncake conversation trace, arrivals spread, {WORKERS} engines with Dynamo's defaults (ai-dynamo 1.6.1). "
        f"{ROUTER_RUNS} runs of Dynamo's KV router, means. berth: the picker's own code, {PASSES} passes of which the "
        "last counts. ITL: mean over tokens.",
    )
    requests = conversation()
    prompts = [text(list(r.numbers), r.prompt_tokens).encode() for r in requests]
    with Dynamo(Path("build/bench/run/dynamo")) as dynamo:
        for rate in rates:
            robin = Verdict.of(dynamo.replay(requests, WORKERS, "round_robin", rate), WORKERS)
            runs = [
                Verdict.of(dynamo.replay(requests, WORKERS, "kv_router", rate), WORKERS) for _ in range(ROUTER_RUNS)
            ]
            router = Verdict(*(fmean(getattr(v, name) for v in runs) for name in Verdict.__slots__))
            pooled = Verdict.of(judge(dynamo, requests, [i % WORKERS for i in range(len(requests))], rate), WORKERS)
            own = berth(dynamo, requests, prompts, rate)
            result.table(
                f"Rate ×{rate:g}",  # noqa: RUF001
                [
                    _row("round robin (Dynamo's)", robin, robin, router),
                    _row("round robin, pooled", pooled, robin, router),
                    _row("Dynamo KV router", router, robin, router),
                    *(_row(f"berth, pass {i}", v, robin, router) for i, v in enumerate(own)),
                ],
            )
            ratios = own[-1].ttft_ms / router.ttft_ms, own[-1].itl_ms / router.itl_ms
            result.targets += [
                Target(f"mean TTFT at rate {rate:g} ÷ Dynamo's KV router", ratios[0], 1.0),
                Target(f"mean ITL at rate {rate:g} ÷ Dynamo's KV router", ratios[1], 1.02),
            ]
    return result


def berth(dynamo: Dynamo, requests: Sequence[Request], prompts: Sequence[bytes], rate: float) -> list[Verdict]:
    """Verdicts of all passes."""
    verdicts = []
    seen: list[Timing] = []
    for _ in range(PASSES):
        assignment = assign(requests, prompts, rate, seen)
        seen = judge(dynamo, requests, assignment, rate)
        verdicts.append(Verdict.of(seen, WORKERS))
    return verdicts


def judge(dynamo: Dynamo, requests: Sequence[Request], assignment: Sequence[int], rate: float) -> list[Timing]:
    """Every backend's requests through an engine of its own."""
    timings: dict[int, Timing] = {}
    for worker in range(WORKERS):
        mine = [i for i, w in enumerate(assignment) if w == worker]
        answers = dynamo.replay([requests[i] for i in mine], 1, "round_robin", rate)
        timings.update({i: replace(t, worker=worker) for i, t in zip(mine, answers, strict=True)})
    return [timings[i] for i in range(len(requests))]


def assign(requests: Sequence[Request], prompts: Sequence[bytes], rate: float, seen: Sequence[Timing]) -> list[int]:
    """The picker's choices; `seen`: timings of an earlier pass, or none."""
    picker = Picker(WORKERS, KV_TOKENS)
    free = [0.0] * WORKERS
    """When each backend is guessed to be done with its prompts."""
    events: list[tuple[float, int, bool, Pick, float]] = []
    assignment = []
    for number, request in enumerate(requests):
        now = request.arrival / rate
        while events and events[0][0] <= now:
            at, _, first, pick, since = heapq.heappop(events)
            if first:
                picker.prefilled(pick, at - since)
            else:
                picker.finished(pick)
        pick = picker.pick(prompts[number])
        assignment.append(pick.backend)
        if seen and seen[number].worker == pick.backend:
            first_token, last_token = seen[number].first_token, seen[number].last_token
        else:
            start = max(now, free[pick.backend])
            first_token = start + pick.work / BYTES_PER_TOKEN / _GUESS_PREFILL + _GUESS_FIRST - now
            last_token = first_token + _GUESS_TOKEN * request.output_tokens
        free[pick.backend] = max(free[pick.backend], now + first_token)
        heapq.heappush(events, (now + first_token, 2 * number, True, pick, now))
        heapq.heappush(events, (now + last_token, 2 * number + 1, False, pick, now))
    return assignment


def _row(name: str, verdict: Verdict, robin: Verdict, router: Verdict) -> dict[str, Any]:
    return {
        "routing": name,
        "TTFT ms": f"{verdict.ttft_ms:.1f}",
        "÷ round robin": f"{verdict.ttft_ms / robin.ttft_ms:.3f}",
        "÷ KV router": f"{verdict.ttft_ms / router.ttft_ms:.3f}",
        "ITL ms": f"{verdict.itl_ms:.2f}",
        "ITL ÷ KV router": f"{verdict.itl_ms / router.itl_ms:.3f}",
        "reuse": f"{verdict.reuse:.3f}",
        "busiest engine": f"{verdict.spread:.2f}",
    }
