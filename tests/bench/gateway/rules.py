"""Routing rules for the simulator: where a request goes, given what a router in its place would know."""

import hashlib
import random
from collections import deque
from dataclasses import dataclass
from typing import Protocol

from tests.bench.gateway.picker import Pick, Picker
from tests.bench.gateway.trace import Request
from tests.fakes.simulated_engine import BLOCK_TOKENS, text


class Rule(Protocol):
    """A router's decision, and what it learns afterwards."""

    def choose(self, number: int, request: Request) -> int:
        """The backend for the request with this number."""
        ...

    def first_token(self, number: int, at: float) -> None:
        """The answer has begun, at this time."""
        ...

    def finished(self, number: int, at: float) -> None:
        """The answer has ended."""
        ...


class _Blind:
    """A rule that does not look at what becomes of its requests."""

    def first_token(self, number: int, at: float) -> None:
        """Nothing to learn."""

    def finished(self, number: int, at: float) -> None:
        """Nothing to learn."""


class RoundRobin(_Blind):
    """One after the other."""

    def __init__(self, backends: int) -> None:
        self._backends = backends

    def choose(self, number: int, request: Request) -> int:
        """In turn."""
        return number % self._backends


class ConsistentHash(_Blind):
    """By the first two blocks (highest random weight), which stands for a session."""

    def __init__(self, backends: int) -> None:
        self._backends = backends

    def choose(self, number: int, request: Request) -> int:
        """The same backend for the same beginning."""
        return max(range(self._backends), key=lambda b: hashlib.md5(f"{session(request)}/{b}".encode()).digest())  # noqa: S324


def session(request: Request) -> str:
    """What stands for a session: the first two blocks of the prompt."""
    return "-".join(map(str, request.numbers[:2]))


class LeastRequest:
    """The backend with the fewest open requests, any of them if there are several."""

    def __init__(self, backends: int) -> None:
        self._open = [0] * backends
        self._where: dict[int, int] = {}
        self._rng = random.Random(1)  # noqa: S311

    def choose(self, number: int, request: Request) -> int:
        """By open requests."""
        backend = min(range(len(self._open)), key=lambda b: (self._open[b], self._rng.random()))
        self._open[backend] += 1
        self._where[number] = backend
        return backend

    def first_token(self, number: int, at: float) -> None:
        """Nothing to learn."""

    def finished(self, number: int, at: float) -> None:
        """One less."""
        self._open[self._where.pop(number)] -= 1


class CacheAware(LeastRequest):
    """sglang-router's and vllm-router's rule with its defaults, on blocks in place of characters.

    To the backend that has seen most of the prompt if that is more than 30 %, else to the one that has seen least text
    so far; when open requests are out of balance (64 more than the least, and 1.5 times as many), to the least loaded.
    Nothing is forgotten, as the routers' limits are above what this trace holds.
    """

    def __init__(self, backends: int) -> None:
        super().__init__(backends)
        self._seen: list[set[int]] = [set() for _ in range(backends)]

    def choose(self, number: int, request: Request) -> int:
        """By prefix, unless the load is out of balance."""
        least, most = min(self._open), max(self._open)
        matched = [_matched(seen, request.numbers) for seen in self._seen]
        if most - least > 64 and most > 1.5 * least:
            backend = self._open.index(least)
        elif max(matched) > 0.3 * len(request.numbers):
            backend = matched.index(max(matched))
        else:
            backend = min(range(len(self._seen)), key=lambda b: len(self._seen[b]))
        self._seen[backend].update(request.numbers)
        self._open[backend] += 1
        self._where[number] = backend
        return backend


def _matched(seen: set[int], numbers: tuple[int, ...]) -> int:
    return next((i for i, block in enumerate(numbers) if block not in seen), len(numbers))


@dataclass(slots=True)
class _Open:
    picker: int
    pick: Pick
    since: float


class EstimatedTtft:
    """berth's rule, by the picker's own code; by several pickers, if asked for, of which a request meets any."""

    def __init__(self, backends: int, blocks: int, pickers: int = 1, news: float | None = None) -> None:
        """`news`: seconds until the other pickers hear of a pick and of work given back; None: they never do."""
        self._pickers = [Picker(backends, blocks * BLOCK_TOKENS) for _ in range(pickers)]
        self._open: dict[int, _Open] = {}
        self._rng = random.Random(2)  # noqa: S311
        self._news = news
        self._under_way: deque[tuple[float, int, tuple[int, int, int, bytes]]] = deque()
        """Messages by the time when they arrive, with their sender."""

    def choose(self, number: int, request: Request) -> int:
        """By estimated time to the first token, in the eyes of one of the pickers."""
        self._deliver(request.arrival)
        picker = self._rng.randrange(len(self._pickers))
        prompt = text(list(request.numbers), request.prompt_tokens).encode()
        pick = self._pickers[picker].pick(prompt)
        self._open[number] = _Open(picker, pick, request.arrival)
        self._tell(request.arrival, picker, (pick.backend, pick.work, 1, prompt))
        return pick.backend

    def first_token(self, number: int, at: float) -> None:
        """The prompt's work is given back."""
        self._deliver(at)
        there = self._open[number]
        self._pickers[there.picker].prefilled(there.pick, at - there.since)
        self._tell(at, there.picker, (there.pick.backend, -there.pick.work, 0, b""))

    def finished(self, number: int, at: float) -> None:
        """The rest is given back."""
        self._deliver(at)
        there = self._open.pop(number)
        self._pickers[there.picker].finished(there.pick)
        self._tell(at, there.picker, (there.pick.backend, 0, -1, b""))

    def _tell(self, at: float, sender: int, message: tuple[int, int, int, bytes]) -> None:
        if self._news is not None and len(self._pickers) > 1:
            self._under_way.append((at + self._news, sender, message))

    def _deliver(self, now: float) -> None:
        while self._under_way and self._under_way[0][0] <= now:
            _, sender, message = self._under_way.popleft()
            for number, picker in enumerate(self._pickers):
                if number != sender:
                    picker.told(sender + 1, *message)
