"""The n-gram model behind the protocol: real log-probabilities, sampling with a generator per request."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from serving.local_engine.generation import Generation
from serving.local_engine.ngram import NGram


class NGramDecoder:
    """Looks up one distribution a token; nothing is gained by a batch, nor by a prefix cache."""

    def __init__(self, folder: Path, end_token: int) -> None:
        self._model = NGram.load(folder)
        self._end_token = end_token

    def select(self, waiting: Sequence[Generation], limit: int) -> list[Generation]:
        """As many as may run: they take turns, so none waits for another one's end."""
        return list(waiting[:limit])

    def run(self, batch: list[Generation]) -> None:
        """One token each, round after round."""
        writing = [(job, list(job.prompt), np.random.default_rng(job.seed)) for job in batch]
        while writing:
            writing = [turn for turn in writing if not self._step(*turn)]
        for job in batch:
            job.close()

    def probe(self) -> None:
        """One distribution."""
        self._model.distribution([self._end_token])

    def _step(self, job: Generation, history: list[int], random: np.random.Generator) -> bool:
        token, logprob = job.sampling.choose(self._model.distribution(history), history, random)
        history.append(token)
        return job.push(token, logprob)
