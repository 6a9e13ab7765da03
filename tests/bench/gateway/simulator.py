"""Replays a trace on simulated engines without any gateway: in seconds, and with nothing left to chance."""

import heapq
from collections.abc import Sequence

from tests.bench.gateway.outcome import Answer
from tests.bench.gateway.rules import Rule
from tests.bench.gateway.trace import Request
from tests.fakes.simulated_engine import BLOCK_TOKENS, Engine, Event, Job, Pace


def simulate(requests: Sequence[Request], rule: Rule, backends: int, pace: Pace) -> list[Answer]:
    """All answers, in no particular order. The rule hears of first tokens and ends at once."""
    engines = [Engine(pace) for _ in range(backends)]
    numbers: dict[Job, tuple[int, int]] = {}
    answers: list[Answer] = []

    def run_until(now: float) -> None:
        # The engines do not know of each other, but the rule must hear of everything in order.
        due = [(at, i) for i, engine in enumerate(engines) if (at := engine.next_event()) is not None and at <= now]
        heapq.heapify(due)
        while due:
            at, i = heapq.heappop(due)
            for event, job in engines[i].advance(at):
                number, backend = numbers[job]
                if event is Event.FIRST_TOKEN:
                    rule.first_token(number, at)
                    ttft = job.first_token - job.arrived
                    answers.append(Answer(backend, ttft, job.prompt_tokens, job.cached_tokens))
                else:
                    rule.finished(number, at)
                    del numbers[job]
            following = engines[i].next_event()
            if following is not None and following <= now:
                heapq.heappush(due, (following, i))

    for number, request in enumerate(requests):
        run_until(request.arrival)
        backend = rule.choose(number, request)
        whole = request.numbers[: request.prompt_tokens // BLOCK_TOKENS]
        job = Job(whole, request.prompt_tokens, request.output_tokens)
        numbers[job] = (number, backend)
        engines[backend].submit(request.arrival, job)
    run_until(float("inf"))
    return answers
