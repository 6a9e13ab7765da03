"""Who runs and who waits, with a model whose batches last until the test ends them."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from serving.local_engine.errors import GenerationError, OverloadedError
from serving.local_engine.job import Job
from serving.local_engine.scheduler import Scheduler


class Gate:
    """Runs pairs of jobs; each batch waits for `open`."""

    def __init__(self) -> None:
        self.open = threading.Semaphore(0)
        self.batches: list[int] = []
        self.broken: Exception | None = None

    def select(self, waiting: Sequence[Job[str]], limit: int) -> list[Job[str]]:
        return list(waiting[: min(2, limit)])

    def run(self, batch: list[Job[str]]) -> None:
        self.batches.append(len(batch))
        assert self.open.acquire(timeout=30)
        if self.broken:
            raise self.broken
        for job in batch:
            job.add("done")

    def probe(self) -> None:
        if self.broken:
            raise self.broken


Test = Callable[[Scheduler[Job[str]], Gate], Coroutine[Any, Any, None]]


def scheduled(running: int = 3, queued: int = 2, workers: int = 2) -> Callable[[Test], Callable[[], None]]:
    """Runs an async test with a scheduler."""

    def decorate(test: Test) -> Callable[[], None]:
        def run() -> None:
            async def body() -> None:
                gate = Gate()
                await test(Scheduler(gate, running=running, queued=queued, workers=workers), gate)

            asyncio.run(body())

        run.__name__ = test.__name__
        return run

    return decorate


def submit(scheduler: Scheduler[Job[str]]) -> Job[str]:
    scheduler.admit()
    job: Job[str] = Job()
    scheduler.submit(job)
    return job


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


@scheduled()
async def test_beyond_running_and_queued_is_overloaded(scheduler, gate):
    jobs = [submit(scheduler) for _ in range(5)]
    with pytest.raises(OverloadedError):
        scheduler.admit()
    assert (len(scheduler.running), len(scheduler.waiting)) == (2, 3)
    gate.open.release(5)
    for job in jobs:
        assert await job.take() == ["done"]
        scheduler.leave(job)
    assert scheduler.open_requests() == 0


@scheduled(running=5, queued=5, workers=1)
async def test_jobs_that_wait_together_are_started_together(scheduler, gate):
    jobs = [submit(scheduler) for _ in range(4)]
    gate.open.release(3)
    for job in jobs:
        assert await job.take() == ["done"]
    assert gate.batches == [1, 2, 1], "the first did not wait for company"


@scheduled(running=2, workers=2)
async def test_place_is_held_until_the_answer_is_delivered(scheduler, gate):
    jobs = [submit(scheduler) for _ in range(3)]
    gate.open.release(3)
    assert await jobs[0].take() == await jobs[1].take() == ["done"]
    await asyncio.sleep(0.05)
    assert list(scheduler.waiting) == [jobs[2]], "both workers are free, but two jobs are still running"
    scheduler.leave(jobs[0])
    assert await jobs[2].take() == ["done"]


@scheduled(running=1, queued=3, workers=1)
async def test_leaving_frees_the_place_for_the_next_and_marks_the_job(scheduler, gate):
    first, second, third = (submit(scheduler) for _ in range(3))
    scheduler.leave(second)
    assert second.cancelled
    assert list(scheduler.waiting) == [third]
    scheduler.leave(first)
    gate.open.release(2)
    assert await third.take() == ["done"]
    assert gate.batches == [1, 1]


@scheduled(running=2, workers=1)
async def test_failed_batch_fails_its_jobs_and_the_health_until_a_probe_succeeds(scheduler, gate):
    gate.broken = RuntimeError("bad weights")
    job = submit(scheduler)
    gate.open.release()
    with pytest.raises(GenerationError, match="Request failed during generation: bad weights"):
        await job.take()
    await until(lambda: not scheduler.healthy)
    assert not await scheduler.check()
    gate.broken = None
    assert await scheduler.check()


@scheduled()
async def test_results_before_an_error_are_delivered_first(scheduler, gate):
    job: Job[str] = Job()
    job.add("one")
    job.add("two")
    job.add(GenerationError("x"))
    assert await job.take() == ["one", "two"]
    with pytest.raises(GenerationError):
        await job.take()


@scheduled()
async def test_take_gives_up_after_its_timeout_and_can_be_called_again(scheduler, gate):
    job: Job[str] = Job()
    assert await job.take(0.01) == []
    threading.Timer(0.05, job.add, ["late"]).start()
    assert await job.take(20) == ["late"]


@scheduled()
async def test_nothing_is_lost_between_a_fast_worker_and_the_loop(scheduler, gate):
    job: Job[int] = Job()
    threading.Thread(target=lambda: [job.add(number) for number in range(20_000)]).start()
    taken: list[int] = []
    while len(taken) < 20_000:
        taken += await job.take(20)
    assert taken == list(range(20_000))
