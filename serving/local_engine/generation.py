"""One answer being written."""

from collections.abc import Sequence
from dataclasses import dataclass

from serving.local_engine.errors import IncompleteError
from serving.local_engine.job import Job
from serving.local_engine.parameters import Parameters
from serving.local_engine.stopping import FinishReason, Stopping
from serving.local_engine.text import Detokenizer, Text


@dataclass(frozen=True, slots=True)
class Token:
    """One generated token."""

    id: int
    text: str
    """What it adds to the answer; empty while a character is incomplete."""
    logprob: float
    special: bool
    finish: FinishReason | None
    """Set on the last token."""


class Generation(Job[Token]):
    """The tokens of one answer, from the model's numbers to text and the end."""

    def __init__(
        self, prompt: Sequence[int], max_new_tokens: int, parameters: Parameters, text: Text, end_token: int | None
    ) -> None:
        super().__init__()
        self.prompt = tuple(prompt)
        self.max_new_tokens = max_new_tokens
        self.sampling = parameters.sampling
        self.seed = parameters.seed
        self.cached_tokens = 0
        """Prompt tokens whose prefill was saved."""
        self.generated = 0
        self.finish: FinishReason | None = None
        self._special = text.special
        self._detokenizer = Detokenizer(text)
        self._stopping = Stopping(max_new_tokens, end_token, parameters.stop)

    def push(self, token: int, logprob: float) -> bool:
        """The model's next token; True when the model should write no more. Called on a worker thread."""
        if self.finish is not None or self.cancelled:
            return True
        final = self._stopping.final(token)
        text = self._detokenizer.push(token, last=final is not None)
        finish = final or self._stopping.matched(text)
        self.generated += 1
        self.finish = finish
        self.add(Token(token, text, logprob, token in self._special, finish))
        return finish is not None

    def close(self) -> None:
        """The model has stopped; an answer without an end is an error."""
        if self.finish is None and not self.cancelled:
            self.add(IncompleteError())
