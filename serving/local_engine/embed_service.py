"""Takes texts to vectors: admission, tokens, queue, normalisation, and the books on all of them."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from serving.local_engine.embedding import Embedding, Vectors
from serving.local_engine.errors import ApiError, BatchSizeError, EmptyInputError, GenerationError, InvalidRequestError
from serving.local_engine.log import log
from serving.local_engine.scheduler import Scheduler
from serving.local_engine.tei_metrics import TeiMetrics
from serving.local_engine.text import Text


@dataclass(frozen=True, slots=True)
class EmbedLimits:
    """Of one request."""

    max_input_tokens: int
    """Of one input, special tokens included."""
    max_client_batch_size: int


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """What a client asks for."""

    inputs: Sequence[str]
    single: bool = False
    """It was not given as a list."""
    truncate: bool = False
    truncate_left: bool = False
    """Drop the beginning instead of the end."""
    normalize: bool = True
    dimensions: int | None = None
    """Keep only the first so many, for models trained for that."""
    route: str = ""
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors, and what they took."""

    vectors: Vectors
    tokens: int
    characters: int
    total_seconds: float
    tokenization_seconds: float
    queue_seconds: float
    inference_seconds: float


class EmbedService:
    """What all embedding routes share."""

    def __init__(
        self, text: Text, scheduler: Scheduler[Embedding], metrics: TeiMetrics, limits: EmbedLimits, width: int
    ) -> None:
        self._text, self._scheduler, self._metrics, self._limits = text, scheduler, metrics, limits
        self._width = width

    async def embed(self, asked: EmbedRequest) -> Embedded:
        """Vectors for all inputs; raises ApiError."""
        arrived_at = time.perf_counter()
        method = "single" if asked.single else "batch"
        self._metrics.count.add(method)
        outcome = "inference"
        try:
            self._scheduler.admit()
            job: Embedding | None = None
            try:
                job = Embedding(await self._tokens(asked))
                self._metrics.embeds.add(amount=len(job.inputs))
                self._scheduler.submit(job)
                (vectors,) = await job.take()
            finally:
                self._scheduler.leave(job)
            result = self._result(asked, job, vectors, arrived_at)
            outcome = "success"
            self._record(method, job, result)
        except ApiError as error:
            outcome = "inference" if isinstance(error, GenerationError) else error.reason
            raise
        except asyncio.CancelledError:
            outcome = "dropped"
            raise
        else:
            return result
        finally:
            if outcome != "success":
                self._metrics.failure.add(outcome)
            log(
                "request",
                route=asked.route,
                request_id=asked.request_id,
                outcome=outcome,
                inputs=len(asked.inputs),
                total_ms=round((time.perf_counter() - arrived_at) * 1000, 1),
            )

    async def _tokens(self, asked: EmbedRequest) -> list[list[int]]:
        if not asked.inputs or not all(asked.inputs):
            raise EmptyInputError
        most = self._limits.max_client_batch_size
        if len(asked.inputs) > most:
            raise BatchSizeError(f"batch size {len(asked.inputs)} > maximum allowed batch size {most}", "batch_size")
        if asked.dimensions is not None and not 0 < asked.dimensions <= self._width:
            raise InvalidRequestError(f"`dimensions` must be from 1 to {self._width}. Given: {asked.dimensions}")
        return [self._fit((await self._text.encoding(text)).ids, asked) for text in asked.inputs]

    def _fit(self, ids: list[int], asked: EmbedRequest) -> list[int]:
        most = self._limits.max_input_tokens
        if len(ids) <= most:
            return ids
        if not asked.truncate:
            raise InvalidRequestError(f"`inputs` must have less than {most} tokens. Given: {len(ids)}")
        # The first and the last token are the model's own ([CLS], [SEP]).
        inner = ids[1:-1][-(most - 2) :] if asked.truncate_left else ids[1 : most - 1]
        return [ids[0], *inner, ids[-1]]

    @staticmethod
    def _result(asked: EmbedRequest, job: Embedding, vectors: Vectors, arrived_at: float) -> Embedded:
        if asked.dimensions is not None:
            vectors = vectors[:, : asked.dimensions]
        if asked.normalize:
            vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        now, started_at = time.perf_counter(), job.started_at or job.queued_at
        return Embedded(
            vectors=vectors.astype(np.float32),
            tokens=job.tokens,
            characters=sum(len(text) for text in asked.inputs),
            total_seconds=now - arrived_at,
            tokenization_seconds=job.queued_at - arrived_at,
            queue_seconds=started_at - job.queued_at,
            inference_seconds=now - started_at,
        )

    def _record(self, method: str, job: Embedding, result: Embedded) -> None:
        metrics = self._metrics
        metrics.success.add(method)
        metrics.embedded.add(amount=len(job.inputs))
        metrics.duration.observe(result.total_seconds)
        metrics.tokenization.observe(result.tokenization_seconds)
        metrics.queue.observe(result.queue_seconds)
        metrics.inference.observe(result.inference_seconds)
        for ids in job.inputs:
            metrics.input.observe(len(ids))
