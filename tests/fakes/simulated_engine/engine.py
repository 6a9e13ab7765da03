"""One simulated engine, as a machine of states on a clock that others turn: no input, no output, no waiting."""

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from tests.fakes.simulated_engine.cache import Lease, PrefixCache
from tests.fakes.simulated_engine.prompt import BLOCK_TOKENS


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast an engine is, and how much it holds."""

    prefill_tokens_per_second: float = 20_000
    decode_seconds_per_token: float = 0.02
    cache_blocks: int = 4_000
    """Of 512 tokens."""


@dataclass(slots=True, eq=False)
class Job:
    """A request on an engine; times in seconds of the engine's clock."""

    blocks: Sequence[int]
    """Of the prompt, whole ones only."""
    prompt_tokens: int
    output_tokens: int
    arrived: float = 0.0
    cached_tokens: int = 0
    first_token: float = 0.0
    finished: float = 0.0
    lease: Lease | None = None
    cancelled: bool = False


class Event(Enum):
    """What becomes of a job."""

    FIRST_TOKEN = auto()
    FINISHED = auto()


@dataclass(slots=True)
class Engine:
    """Prompts one after the other, answers all at once."""

    pace: Pace = field(default_factory=Pace)
    waiting: deque[Job] = field(default_factory=deque)
    _cache: PrefixCache = field(init=False)
    _prefilling: Job | None = None
    _decoding: list[tuple[float, int, Job]] = field(default_factory=list)
    _count: int = 0

    def __post_init__(self) -> None:
        self._cache = PrefixCache(self.pace.cache_blocks)

    def submit(self, now: float, job: Job) -> None:
        """A request arrives. `now` must not be before what `advance` has seen."""
        job.arrived = now
        self.waiting.append(job)
        self._start(now)

    def cancel(self, now: float, job: Job) -> None:
        """Its client is gone. A prefill that has begun goes on to its end."""
        job.cancelled = True
        for i, (_, order, decoding) in enumerate(self._decoding):
            if decoding is job:
                self._decoding[i] = (now, order, job)
                heapq.heapify(self._decoding)
                return

    def next_event(self) -> float | None:
        """When `advance` will have something to tell; None: not before the next `submit`."""
        times = [self._prefilling.first_token] if self._prefilling else []
        times += [self._decoding[0][0]] if self._decoding else []
        return min(times, default=None)

    def advance(self, now: float) -> list[tuple[Event, Job]]:
        """What has happened until `now`, in order. Times in the jobs are exact, however late this is called."""
        events: list[tuple[Event, Job]] = []
        while (at := self.next_event()) is not None and at <= now:
            if self._prefilling and self._prefilling.first_token == at:
                job, self._prefilling = self._prefilling, None
                events.append((Event.FIRST_TOKEN, job))
                self._decode(at, job)
            else:
                _, _, job = heapq.heappop(self._decoding)
                job.finished = at
                events.append((Event.FINISHED, job))
                if job.lease:
                    self._cache.release(job.lease)
            self._start(at)
        return events

    def _start(self, now: float) -> None:
        """Begins with the next prompt, if the last one is done and there is room for it."""
        while self.waiting and self._prefilling is None:
            job = self.waiting[0]
            if job.cancelled:
                self.waiting.popleft()
                continue
            total = -(-(job.prompt_tokens + job.output_tokens) // BLOCK_TOKENS)
            job.lease = self._cache.reserve(job.blocks, total - len(job.blocks))
            if job.lease is None:
                return
            self.waiting.popleft()
            job.cached_tokens = job.lease.matched * BLOCK_TOKENS
            # The last token is always computed: its result is the first token of the answer.
            computed = max(job.prompt_tokens - job.cached_tokens, 1)
            job.first_token = now + computed / self.pace.prefill_tokens_per_second
            self._prefilling = job

    def _decode(self, now: float, job: Job) -> None:
        if job.lease:
            self._cache.commit(job.lease)
        tokens = 0 if job.cancelled else job.output_tokens - 1
        self._count += 1
        heapq.heappush(self._decoding, (now + tokens * self.pace.decode_seconds_per_token, self._count, job))
