"""One replica, step by step: continuous batching with chunked prefill, KV admission and a prefix cache.

Closed forms of queueing miss what decides a latency objective here: bursts, long prompts in front of short ones, and
decode that slows prefill. So the queue is run: every step that has prompt tokens is one event, and the decode steps
between two events are taken in one jump, exact because step time is linear in context while a batch does not change.

The rules are vLLM's: running requests first (one token each of the step's token budget), then prompts in order of
arrival, cut into chunks; a prompt is admitted when its KV fits; when memory runs out the youngest request starts over.
"""

import heapq
import math
from collections import deque
from dataclasses import dataclass

from infra.planning.performance.outcome import Outcome
from infra.planning.performance.prefix_cache import PrefixCache
from infra.planning.performance.timing import Timing
from infra.planning.performance.workload import Workload


@dataclass(frozen=True, slots=True)
class Engine:
    """What one replica's scheduler may do."""

    timing: Timing
    batch_tokens: int
    """Tokens of one step."""
    max_requests: int
    """Running requests."""
    kv_tokens: int
    """Tokens that the KV cache holds."""


def simulate(workload: Workload, engine: Engine, speed: float = 1.0) -> Outcome:
    """Return what happens to the workload's requests when they arrive `speed` times as fast."""
    return _Replica(workload, engine, speed).run()


class _Replica:
    def __init__(self, workload: Workload, engine: Engine, speed: float) -> None:
        self.work = workload
        self.engine = engine
        self.arrivals = [moment / speed for moment in workload.arrivals]
        count = len(self.arrivals)
        self.first = [math.nan] * count
        self.made = [0] * count
        """Tokens that a request has generated, kept only when it is thrown back."""
        self.gaps: list[tuple[float, float]] = []
        self.clock = 0.0
        self.busy = 0.0
        self.step = 0
        self.arrived = 0
        self.waiting: deque[int] = deque()
        self.prefilling: deque[list[int]] = deque()
        """[request, tokens still to compute, tokens computed or cached]"""
        self.decoding: dict[int, tuple[int, int]] = {}
        """request -> (step of its last token, tokens held when it began to decode minus its begin step)"""
        self.ends: list[tuple[int, int]] = []
        self.kv = 0
        self.prompted = 0
        """Of the tokens held by decoding requests, those of their prompts."""
        self.reserved = 0
        """Tokens of prompts that are admitted and not yet decoding."""
        self.cache = PrefixCache(workload.block_tokens, engine.kv_tokens) if workload.blocks else None
        self.reused = 0
        self.preemptions = 0
        self.kept: dict[int, int] = {}
        """request that was thrown back -> tokens of its KV that nobody has taken since"""

    def run(self) -> Outcome:
        count = len(self.arrivals)
        while True:
            self._arrive()
            if not (self.waiting or self.prefilling or self.decoding):
                if self.arrived == count:
                    break
                self.clock = self.arrivals[self.arrived]
                continue
            tokens, pairs, done = self._chunks()
            if tokens or not self.decoding:
                self._mixed_step(tokens, pairs, done)
            else:
                self._decode_run()
        ttft = [moment - arrival for moment, arrival in zip(self.first, self.arrivals, strict=True)]
        return Outcome(ttft, self.gaps, self.clock, self.busy, self.reused, self.preemptions)

    def _arrive(self) -> None:
        arrivals, clock = self.arrivals, self.clock
        while self.arrived < len(arrivals) and arrivals[self.arrived] <= clock:
            self.waiting.append(self.arrived)
            self.arrived += 1

    def _chunks(self) -> tuple[int, float, list[int]]:
        """Give the step's token budget to prompts; return tokens, token pairs for attention, prompts completed."""
        budget = self.engine.batch_tokens - len(self.decoding)
        tokens, pairs, done = 0, 0.0, []
        for entry in list(self.prefilling):
            if budget <= 0:
                break
            used, finished = self._chunk(entry, budget)
            pairs += used * (entry[2] - used / 2)
            tokens += used
            budget -= used
            if finished:
                done.append(entry[0])
        while budget > 0 and self.waiting:
            admitted = self._admit(len(done))
            if admitted is None:
                break
            used, finished = self._chunk(admitted, budget)
            pairs += used * (admitted[2] - used / 2)
            tokens += used
            budget -= used
            if finished:
                done.append(admitted[0])
        return tokens, pairs, done

    def _chunk(self, entry: list[int], budget: int) -> tuple[int, bool]:
        used = min(entry[1], budget)
        entry[1] -= used
        entry[2] += used
        if entry[1] == 0:
            self.prefilling.remove(entry)
            return used, True
        return used, False

    def _admit(self, completing: int) -> list[int] | None:
        request = self.waiting[0]
        if len(self.decoding) + len(self.prefilling) + completing >= self.engine.max_requests:
            return None
        prompt = self.work.prompts[request] + self.made[request]
        if self.kv + self.reserved + prompt > self.engine.kv_tokens and self.kv + self.reserved:
            return None
        self.waiting.popleft()
        cached = self.kept.pop(request) if request in self.kept else self._cached(request)
        # The last prompt token is always computed: its output is the first new token.
        cached = min(cached, prompt - 1)
        if not self.made[request]:
            self.reused += cached
        self.reserved += prompt
        entry = [request, prompt - cached, cached]
        self.prefilling.append(entry)
        return entry

    def _cached(self, request: int) -> int:
        if self.cache is not None:
            return self.cache.matched(self.work.blocks[request])
        return self.work.cached[request] if self.work.cached else 0

    def _mixed_step(self, tokens: int, pairs: float, done: list[int]) -> None:
        timing, running = self.engine.timing, len(self.decoding)
        seconds = timing.prefill(tokens, pairs / tokens if tokens else 0.0) + timing.decode(running, self.kv)
        self.clock += seconds
        self.busy += seconds
        self.step += 1
        if running:
            self.gaps.append((seconds, float(running)))
            self.kv += running
            self._finish()
        for request in done:
            self._first_token(request)
        self._make_room()

    def _first_token(self, request: int) -> None:
        prompt, made = self.work.prompts[request], self.made[request]
        if math.isnan(self.first[request]):
            self.first[request] = self.clock
        self.reserved -= prompt + made
        if self.cache is not None:
            self.cache.insert(self.work.blocks[request], self.kv - self.prompted + self.reserved)
        left = self.work.outputs[request] - made - 1
        if left <= 0:
            return
        held = prompt + made + 1
        self.kv += held
        self.prompted += prompt
        self.decoding[request] = (self.step + left, held - self.step)
        heapq.heappush(self.ends, (self.step + left, request))

    def _decode_run(self) -> None:
        """Take all decode steps until a request ends, one arrives, or memory may run out, at once."""
        running = len(self.decoding)
        most = self._next_end() - self.step
        room = (self.engine.kv_tokens - self.kv) // running
        steps = max(1, min(most, room))
        timing = self.engine.timing
        base = timing.decode(running, self.kv)
        slope = timing.decode_kv_token * running
        if self.arrived < len(self.arrivals):
            steps = max(1, min(steps, _steps_until(self.arrivals[self.arrived] - self.clock, base, slope)))
        seconds = steps * base + slope * steps * (steps - 1) / 2
        self.clock += seconds
        self.busy += seconds
        self.step += steps
        self.kv += steps * running
        self.gaps.append((seconds / steps, float(steps * running)))
        self._finish()
        self._make_room()

    def _next_end(self) -> int:
        while True:
            end, request = self.ends[0]
            entry = self.decoding.get(request)
            if entry is not None and entry[0] == end:
                return end
            heapq.heappop(self.ends)

    def _finish(self) -> None:
        while self.ends and self.ends[0][0] <= self.step:
            end, request = heapq.heappop(self.ends)
            entry = self.decoding.get(request)
            if entry is not None and entry[0] == end:
                self.kv -= entry[1] + self.step
                self.prompted -= self.work.prompts[request]
                del self.decoding[request]

    def _make_room(self) -> None:
        while self.kv + self.reserved + len(self.decoding) > self.engine.kv_tokens and len(self.decoding) > 1:
            request, (end, offset) = self.decoding.popitem()
            self.kv -= offset + self.step
            self.prompted -= self.work.prompts[request]
            self.made[request] = self.work.outputs[request] - (end - self.step)
            self.kept[request] = offset + self.step
            self.waiting.appendleft(request)
            self.preemptions += 1
        if self.kept:
            # Blocks of a request that was thrown back stay readable until the memory is needed again.
            free = max(0, self.engine.kv_tokens - self.kv - self.reserved)
            for request, tokens in self.kept.items():
                self.kept[request] = min(tokens, free)


def _steps_until(seconds: float, base: float, slope: float) -> int:
    """Return the steps after which at least `seconds` have passed: smallest n with n*base + slope*n(n-1)/2 >= it."""
    if seconds <= 0:
        return 1
    if slope <= 0:
        return math.ceil(seconds / base)
    half = base - slope / 2
    return math.ceil((math.sqrt(half * half + 2 * slope * seconds) - half) / slope)
