"""When an answer is finished."""

import re
from collections.abc import Sequence
from enum import StrEnum

_REMEMBERED = 300
"""Characters of the answer's end in which stop sequences are sought; TGI keeps as many."""


class FinishReason(StrEnum):
    """TGI's names; the OpenAI routes say `stop` for the latter two."""

    LENGTH = "length"
    EOS = "eos_token"
    STOP = "stop_sequence"


class Stopping:
    """TGI's rules, in TGI's order (StoppingCriteria in server/text_generation_server/utils/tokens.py).

    A stop sequence counts where a token ends with it (or with it and a line feed, Python's `$`), and it stays in the
    text; a limit reached with the end token is `length`.
    """

    def __init__(self, max_new_tokens: int, end_token: int | None, sequences: Sequence[str]) -> None:
        self._left = max_new_tokens
        self._end_token = end_token
        self._sequences = [re.compile(re.escape(sequence) + "$") for sequence in sequences]
        self._recent = ""

    def final(self, token: int) -> FinishReason | None:
        """Whether `token` is the last one, before its text is known."""
        self._left -= 1
        if self._left <= 0:
            return FinishReason.LENGTH
        return FinishReason.EOS if token == self._end_token else None

    def matched(self, text: str) -> FinishReason | None:
        """Whether the answer, of which `text` is what came last, ends in a stop sequence."""
        if not self._sequences:
            return None
        self._recent = (self._recent + text)[-_REMEMBERED:]
        return FinishReason.STOP if any(rule.search(self._recent) for rule in self._sequences) else None
