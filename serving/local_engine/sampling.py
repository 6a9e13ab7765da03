"""How the next token is chosen."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Sampling:
    """Settings that all requests of one batch must share: CTranslate2 takes them by call, not by sequence."""

    greedy: bool
    temperature: float = 1.0
    top_k: int = 0
    """0: all tokens."""
    top_p: float = 1.0
    repetition_penalty: float = 1.0

    def choose(
        self, probabilities: npt.NDArray[np.float32], history: list[int], random: np.random.Generator
    ) -> tuple[int, float]:
        """A token and its log-probability after all settings were applied, as TGI reports it.

        For models that give probabilities; CTranslate2 has its own sampler.
        """
        scores = np.log(probabilities.astype(np.float64))
        if self.repetition_penalty != 1.0:
            seen = np.unique(history)
            scores[seen] *= self.repetition_penalty  # log-probabilities are negative: a penalty above 1 lowers them
        if not self.greedy:
            scores /= self.temperature
            if 0 < self.top_k < len(scores):
                scores[scores < np.partition(scores, -self.top_k)[-self.top_k]] = -np.inf
            if self.top_p < 1.0:
                scores[~self._nucleus(scores)] = -np.inf
        log_total = np.logaddexp.reduce(scores)
        if self.greedy:
            chosen = int(scores.argmax())
        else:
            cumulative = np.cumsum(np.exp(scores - log_total))
            chosen = min(int(np.searchsorted(cumulative, random.random(), side="right")), len(scores) - 1)
        return chosen, float(scores[chosen] - log_total)

    def _nucleus(self, scores: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """The likeliest tokens that together reach top_p; the one that crosses it belongs to them."""
        order = np.argsort(-scores)
        mass = np.cumsum(np.exp(scores[order] - np.logaddexp.reduce(scores)))
        inside = np.zeros(len(scores), dtype=np.bool_)
        inside[order[: int(np.searchsorted(mass, self.top_p)) + 1]] = True
        return inside
