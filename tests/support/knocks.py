"""Short calls at a steady rate that show whether a gateway loses connections rather than streams.

Half of them knock on a new connection each: those are what a listener that closes may have accepted and not yet served.
Half use connections that are kept and are idle for a while in between: those are what a process that ends may close
just as a request arrives. Nothing is sent twice.
"""

import asyncio
import random
import time
from dataclasses import dataclass, field

import aiohttp

KEPT = 10
"""Connections that are kept."""


@dataclass(slots=True)
class Knock:
    """One call."""

    kept: bool
    sent: float
    ended: float = 0.0
    failure: str = ""
    """What came in place of the answer; empty for one that was answered."""


@dataclass
class Knocks:
    """A question for a model that is not there, `rate` times a second, from entering to leaving the block."""

    url: str
    key: str
    rate: float = 60
    seed: int = 1
    knocks: list[Knock] = field(default_factory=list)
    _stopping: bool = False

    async def __aenter__(self) -> "Knocks":
        self._random = random.Random(self.seed)  # noqa: S311
        self._kept = [self._session() for _ in range(KEPT)]
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping = True
        await self._task
        for session in self._kept:
            await session.close()

    def failures(self) -> list[Knock]:
        """Those that were not answered."""
        return [knock for knock in self.knocks if knock.failure]

    def _session(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=1, keepalive_timeout=120)
        return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=30))

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            turn = 0
            while not self._stopping:
                await asyncio.sleep(self._random.expovariate(self.rate))
                turn += 1
                group.create_task(self._knock_once() if turn % 2 else self._knock(self._kept[turn // 2 % KEPT], True))

    async def _knock_once(self) -> None:
        async with self._session() as session:
            await self._knock(session, False)

    async def _knock(self, session: aiohttp.ClientSession, kept: bool) -> None:
        knock = Knock(kept, time.monotonic())
        self.knocks.append(knock)
        try:
            # A POST with its answer in the gateway itself: aiohttp sends a GET again when a kept connection breaks.
            async with session.post(
                f"{self.url}/v1/chat/completions",
                json={"model": "nobody"},
                headers={"authorization": f"Bearer {self.key}"},
            ) as answer:
                await answer.read()
                if answer.status != 404:
                    knock.failure = f"status {answer.status}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            knock.failure = f"{type(error).__name__}: {error}"
        knock.ended = time.monotonic()
