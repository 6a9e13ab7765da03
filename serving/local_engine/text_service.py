"""Takes a text and parameters to an answer: admission, validation, queue, and the books on all of them."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from serving.local_engine.answer import Answer, Pace
from serving.local_engine.caller import Caller
from serving.local_engine.errors import ApiError, GenerationError, InvalidRequestError
from serving.local_engine.generation import Generation
from serving.local_engine.loading import Loaded
from serving.local_engine.log import log
from serving.local_engine.parameters import Asked
from serving.local_engine.scheduler import Scheduler
from serving.local_engine.tgi_metrics import TgiMetrics


@dataclass(frozen=True, slots=True)
class TextLimits:
    """Tokens of one request."""

    max_input_tokens: int
    max_total_tokens: int


class TextService:
    """What all routes that generate share."""

    def __init__(
        self, loaded: Loaded, scheduler: Scheduler[Generation], metrics: TgiMetrics, limits: TextLimits, pace: Pace
    ) -> None:
        self._loaded, self._scheduler, self._pace = loaded, scheduler, pace
        self.metrics, self.limits = metrics, limits

    @asynccontextmanager
    async def answer(self, inputs: str, asked: Asked, caller: Caller) -> AsyncIterator[Answer]:
        """The answer to `inputs`, while it is written. Leaving early (the client is gone) frees its place.

        Raises ApiError: overloaded before invalid, as TGI does.
        """
        arrived_at = time.perf_counter()
        self.metrics.count.add()
        answer: Answer | None = None
        outcome = GenerationError.reason
        try:
            self._scheduler.admit()
            try:
                generation = await self._validated(inputs, asked)
                answer = Answer(generation, arrived_at, self._pace)
                self._scheduler.submit(generation)
                yield answer
            finally:
                self._scheduler.leave(answer.generation if answer else None)
        except ApiError as error:
            outcome = error.reason
            raise
        except (asyncio.CancelledError, ConnectionError):
            outcome = "dropped"
            raise
        finally:
            if answer and answer.finished:
                self._record(answer)
            else:
                self.metrics.failure.add(outcome)
            _log(caller, answer, outcome)

    async def _validated(self, inputs: str, asked: Asked) -> Generation:
        if isinstance(asked, InvalidRequestError):
            raise asked
        if not inputs:
            raise InvalidRequestError("`inputs` cannot be empty")
        if not inputs.isascii() and any("\ud800" <= character <= "\udfff" for character in inputs):
            raise InvalidRequestError("`inputs` is not valid Unicode: it has half of a surrogate pair")
        prompt = list((await self._loaded.text.encoding(inputs)).ids)
        if asked.truncate:
            prompt = prompt[-asked.truncate :]
        limits, length = self.limits, len(prompt)
        allowed = asked.max_new_tokens or limits.max_total_tokens - length
        if length + allowed > limits.max_total_tokens or allowed < 1:
            raise InvalidRequestError(
                f"`inputs` tokens + `max_new_tokens` must be <= {limits.max_total_tokens}. "
                f"Given: {length} `inputs` tokens and {max(allowed, 0)} `max_new_tokens`"
            )
        if length > limits.max_input_tokens:
            raise InvalidRequestError(f"`inputs` must have less than {limits.max_input_tokens} tokens. Given: {length}")
        self.metrics.input.observe(length)
        self.metrics.max_new.observe(allowed)
        return Generation(prompt, allowed, asked, self._loaded.text, self._loaded.end_token)

    def _record(self, answer: Answer) -> None:
        metrics, generated = self.metrics, answer.generation.generated
        metrics.success.add()
        metrics.duration.observe(answer.total_seconds)
        metrics.validation.observe(answer.validation_seconds)
        metrics.queue.observe(answer.queue_seconds)
        metrics.inference.observe(answer.inference_seconds)
        metrics.per_token.observe(answer.inference_seconds / generated)
        metrics.first_token.observe(answer.first_token_seconds)
        metrics.generated.observe(generated)


def _log(caller: Caller, answer: Answer | None, outcome: str) -> None:
    finished = answer is not None and answer.finished
    generation = answer.generation if answer else None
    log(
        "request",
        route=caller.route,
        request_id=caller.request_id,
        outcome=generation.finish if generation and finished else outcome,
        prompt_tokens=len(generation.prompt) if generation else None,
        cached_tokens=generation.cached_tokens if generation else None,
        generated_tokens=generation.generated if generation else None,
        queue_ms=round(answer.queue_seconds * 1000, 1) if answer else None,
        ttft_ms=round(answer.first_token_seconds * 1000, 1) if answer and finished else None,
        total_ms=round(answer.total_seconds * 1000, 1) if answer else None,
    )
