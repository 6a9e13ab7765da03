"""A request between its handler, which lives on the event loop, and a model, which runs on a worker thread."""

import asyncio
import time
from collections import deque
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")


class Job(Generic[Item]):
    """Results on their way to one client. A worker adds them, the handler takes them."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._results: deque[Item | BaseException] = deque()
        self._ready = asyncio.Event()
        self._signalled = False
        self.queued_at = time.perf_counter()
        self.started_at: float | None = None
        """When a worker took it up; all times are seconds of time.perf_counter."""
        self.first_at: float | None = None
        """When its first result was there."""
        self.last_at: float | None = None
        """When its last result was there."""
        self.cancelled = False
        """The client is gone: stop as soon as possible."""

    def start(self) -> None:
        """A worker takes it up."""
        self.started_at = time.perf_counter()

    def add(self, result: Item | BaseException) -> None:
        """Hand over a result, or the error that ends the job. Called on a worker thread."""
        self.last_at = time.perf_counter()
        self.first_at = self.first_at or self.last_at
        self._results.append(result)
        # One wake-up for all that is added until the handler gets to run: waking the loop costs a system call.
        if not self._signalled:
            self._signalled = True
            self._loop.call_soon_threadsafe(self._ready.set)

    async def take(self, timeout: float | None = None) -> list[Item]:
        """All results added since the last call, at least one; raises the error that ended the job.

        With `timeout`, in seconds, an empty list when nothing came in time.
        """
        try:
            async with asyncio.timeout(timeout):
                while not (taken := self._taken()):
                    self._ready.clear()
                    await self._ready.wait()
        except TimeoutError:
            return []
        return taken

    def _taken(self) -> list[Item]:
        self._signalled = False  # before emptying: what is added from now on signals again
        taken: list[Item] = []
        while self._results:
            result = self._results.popleft()
            if not isinstance(result, BaseException):
                taken.append(result)
            elif not taken:
                raise result
            else:  # first what came before it
                self._results.appendleft(result)
                break
        return taken


AnyJob = Job[Any]
