"""An answer on its way to a client: tokens as they come, or at a set pace, and how long each stage took."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from serving.local_engine.generation import Generation, Token

KEEP_ALIVE_SECONDS = 15.0
"""TGI (axum) sends a comment after so long a silence."""


@dataclass(frozen=True, slots=True)
class Pace:
    """The least time that tokens take, so that tests can see queues, drains and scaling: this engine is too fast.

    Only the delivery waits. The request keeps its place among the running ones as long as a slow engine's would, and
    no worker is held up.
    """

    token_seconds: float = 0.0
    prompt_token_seconds: float = 0.0
    """For each prompt token that the prefix cache does not hold."""


class Answer:
    """Iterate over it for lists of tokens; an empty one after a long silence, to keep the connection alive."""

    def __init__(self, generation: Generation, arrived_at: float, pace: Pace) -> None:
        self._generation = generation
        self._pace = pace
        self._arrived_at = arrived_at
        self._first_at: float | None = None
        self._finished_at: float | None = None
        self._text: list[str] = []

    async def __aiter__(self) -> AsyncIterator[list[Token]]:
        """All tokens; ends after the last. Raises the ApiError that ended the generation."""
        due = 0.0
        while self._finished_at is None:
            tokens = await self._generation.take(KEEP_ALIVE_SECONDS)
            if self._pace == Pace():
                yield self._delivered(tokens)
                continue
            for token in tokens:
                due = (due or self._prefilled_at) + self._pace.token_seconds
                if (wait := due - time.perf_counter()) > 0:
                    await asyncio.sleep(wait)
                yield self._delivered([token])

    def _delivered(self, tokens: list[Token]) -> list[Token]:
        if tokens:
            now = time.perf_counter()
            self._first_at = self._first_at or now
            self._text += [token.text for token in tokens if not token.special]
            if tokens[-1].finish:
                self._finished_at = now
        return tokens

    @property
    def _prefilled_at(self) -> float:
        generation = self._generation
        computed = len(generation.prompt) - generation.cached_tokens
        return (generation.started_at or 0.0) + computed * self._pace.prompt_token_seconds

    @property
    def generation(self) -> Generation:
        """The request behind it."""
        return self._generation

    @property
    def finished(self) -> bool:
        """Whether the last token was delivered."""
        return self._finished_at is not None

    @property
    def text(self) -> str:
        """What was delivered, without special tokens."""
        return "".join(self._text)

    @property
    def validation_seconds(self) -> float:
        """From arrival to the queue."""
        return self._generation.queued_at - self._arrived_at

    @property
    def queue_seconds(self) -> float:
        """In the queue."""
        return (self._generation.started_at or self._generation.queued_at) - self._generation.queued_at

    @property
    def first_token_seconds(self) -> float:
        """From arrival to the first token."""
        return (self._first_at or self._arrived_at) - self._arrived_at

    @property
    def inference_seconds(self) -> float:
        """From the queue to the last token."""
        return self.total_seconds - self.validation_seconds - self.queue_seconds

    @property
    def total_seconds(self) -> float:
        """From arrival to the last token, or until now."""
        return (self._finished_at or time.perf_counter()) - self._arrived_at

    @property
    def usage(self) -> dict[str, object]:
        """OpenAI's count of tokens."""
        prompt, generated = len(self._generation.prompt), self._generation.generated
        return {
            "prompt_tokens": prompt,
            "completion_tokens": generated,
            "total_tokens": prompt + generated,
            "prompt_tokens_details": {"cached_tokens": self._generation.cached_tokens},
        }

    @property
    def headers(self) -> dict[str, str]:
        """TGI's response headers: x-compute-time in seconds, the others in whole milliseconds."""
        generated = max(1, self._generation.generated)
        return {
            "x-compute-time": f"{self.total_seconds:.6f}",
            "x-total-time": _milliseconds(self.total_seconds),
            "x-validation-time": _milliseconds(self.validation_seconds),
            "x-queue-time": _milliseconds(self.queue_seconds),
            "x-inference-time": _milliseconds(self.inference_seconds),
            "x-time-per-token": _milliseconds(self.inference_seconds / generated),
            "x-prompt-tokens": str(len(self._generation.prompt)),
            "x-generated-tokens": str(self._generation.generated),
        }


def _milliseconds(seconds: float) -> str:
    return str(int(seconds * 1000))
