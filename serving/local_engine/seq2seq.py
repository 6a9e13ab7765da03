"""T5-style encoder-decoders on CTranslate2. No prefix cache: an encoder reads its whole input, as in TGI."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import ctranslate2

from serving.local_engine.generation import Generation
from serving.local_engine.seeding import seeded
from serving.local_engine.text import Text


class Seq2Seq:
    """A Translator."""

    def __init__(self, folder: Path, text: Text, end_token: int, *, workers: int) -> None:
        self._folder = str(folder)
        self._text = text
        self._end_token = text.token(end_token)
        self._translator = self._load(workers)

    def select(self, waiting: Sequence[Generation], limit: int) -> list[Generation]:
        """Requests with the same sampling; the encoder masks what short inputs are padded with."""
        first = waiting[0]
        if first.seed is not None:
            return [first]  # its random numbers must not depend on its neighbours
        alike = (job for job in waiting if job.seed is None and job.sampling == first.sampling)
        return [job for job, _ in zip(alike, range(limit), strict=False)]

    def run(self, batch: list[Generation]) -> None:
        """Generate until every request of the batch has what it needs."""
        with ExitStack() as until_first_token:
            translator = self._translator
            if batch[0].seed is not None:
                until_first_token.enter_context(seeded(batch[0].seed))
                translator = self._load(1)
            self._translate(translator, batch, until_first_token)
        for job in batch:
            job.close()

    def probe(self) -> None:
        """Generate one token."""
        self._translator.translate_batch([[self._end_token]], beam_size=1, max_decoding_length=1)

    def _translate(self, translator: Any, batch: list[Generation], until_first_token: ExitStack) -> None:
        def step(result: Any) -> bool:
            until_first_token.close()
            finished: bool = batch[result.batch_id].push(result.token_id, result.log_prob)
            return finished

        sampling = batch[0].sampling
        translator.translate_batch(
            [[self._text.token(index) for index in job.prompt] for job in batch],
            beam_size=1,
            max_input_length=0,  # no silent truncation: the length was checked
            min_decoding_length=0,  # its default of 1 forbids the end token at first, and so an empty answer
            max_decoding_length=max(job.max_new_tokens for job in batch),
            end_token=[self._end_token],
            return_scores=True,
            sampling_topk=1 if sampling.greedy else sampling.top_k,
            sampling_topp=sampling.top_p,
            sampling_temperature=sampling.temperature,
            repetition_penalty=sampling.repetition_penalty,
            callback=step,
        )

    def _load(self, workers: int) -> Any:
        # intra_threads: OpenMP teams stall in barriers on cores that others use too.
        return ctranslate2.Translator(self._folder, device="cpu", inter_threads=workers, intra_threads=1)
