"""Who runs and who waits.

CTranslate2 cannot take a sequence into a running batch, so requests that wait together are started together: whenever
a worker is free, the model picks, from the head of the queue on, those that can share a batch. With as many workers as
there are cores, a busy engine batches and an idle one starts a request at once.
"""

import asyncio
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Generic, Protocol, TypeVar

from serving.local_engine.errors import GenerationError, OverloadedError
from serving.local_engine.job import AnyJob
from serving.local_engine.log import log

JobT = TypeVar("JobT", bound=AnyJob)


class Model(Protocol[JobT]):
    """What the scheduler needs of a model."""

    def select(self, waiting: Sequence[JobT], limit: int) -> list[JobT]:
        """Of the waiting jobs those to start together: the first one and at most `limit` in all."""

    def run(self, batch: list[JobT]) -> None:
        """Do all jobs of a batch; blocks a worker thread. Whatever it raises fails the batch."""

    def probe(self) -> None:
        """Do the smallest possible piece of work; raises when the model is broken."""


class Scheduler(Generic[JobT]):
    """A bounded queue before a bounded number of running jobs. For use on the event loop.

    `observe` is called with each batch that was run, its jobs' times filled in.
    """

    def __init__(
        self,
        model: Model[JobT],
        *,
        running: int,
        queued: int,
        workers: int,
        observe: Callable[[Sequence[JobT]], None] = lambda _: None,
    ) -> None:
        self._model, self._observe = model, observe
        self._limit, self._queue_limit, self._workers = running, queued, workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="model")
        self._busy = 0
        self._waiting: list[JobT] = []
        self._running: set[JobT] = set()
        self._admitted = 0
        self.healthy = True
        """Whether the last batch succeeded."""

    @property
    def waiting(self) -> Sequence[JobT]:
        """Jobs in the queue, oldest first."""
        return self._waiting

    @property
    def running(self) -> set[JobT]:
        """Jobs that a worker has taken up and whose handler is not done."""
        return self._running

    def open_requests(self) -> int:
        """Requests that were admitted and have not left."""
        return self._admitted

    def admit(self) -> None:
        """Make room for one request, to be given back by `leave`; OverloadedError when there is none."""
        if self._admitted >= self._limit + self._queue_limit:
            raise OverloadedError
        self._admitted += 1

    def leave(self, job: JobT | None) -> None:
        """The request is answered, failed or abandoned; its place is free."""
        self._admitted -= 1
        if job is None:
            return
        job.cancelled = True  # a worker that still writes for it stops
        if job in self._running:
            self._running.remove(job)
        else:
            self._waiting.remove(job)
        self._dispatch()

    def submit(self, job: JobT) -> None:
        """Queue an admitted job."""
        self._waiting.append(job)
        self._dispatch()

    async def check(self) -> bool:
        """Whether the model works: after a failure only a success proves it."""
        if not self.healthy:
            self.healthy = await asyncio.get_running_loop().run_in_executor(self._pool, self._probe)
        return self.healthy

    def _dispatch(self) -> None:
        while self._waiting and self._busy < self._workers and len(self._running) < self._limit:
            batch = self._model.select(self._waiting, self._limit - len(self._running))
            chosen = set(batch)
            self._waiting = [job for job in self._waiting if job not in chosen]
            self._running |= chosen
            self._busy += 1
            future = asyncio.get_running_loop().run_in_executor(self._pool, self._run, batch)
            future.add_done_callback(partial(self._finished, batch))

    def _finished(self, batch: list[JobT], future: "asyncio.Future[bool]") -> None:
        self._busy -= 1
        self.healthy = future.result()
        self._observe(batch)
        self._dispatch()

    def _run(self, batch: list[JobT]) -> bool:
        for job in batch:
            job.start()
        try:
            self._model.run(batch)
        except Exception as error:  # noqa: BLE001 - whatever it was, the clients of this batch must hear of it
            log("batch failed", level="ERROR", error=repr(error), trace=traceback.format_exc(), size=len(batch))
            for job in batch:
                job.add(GenerationError(str(error)))
            return False
        return True

    def _probe(self) -> bool:
        try:
            self._model.probe()
        except Exception as error:  # noqa: BLE001 - any failure means: not healthy
            log("probe failed", level="ERROR", error=repr(error))
            return False
        return True
