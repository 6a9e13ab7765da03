"""GPT-2-style decoders on CTranslate2."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import ctranslate2

from serving.local_engine.generation import Generation
from serving.local_engine.memory import give_back
from serving.local_engine.prefix_cache import Plan, PrefixCache
from serving.local_engine.seeding import seeded
from serving.local_engine.text import Text

SPREAD = 16
"""How much longer than the shortest prompt of a batch another may be. CTranslate2 prefills a batch up to its shortest
prompt at once and what is left of the others token by token."""


class Decoder:
    """A Generator with a prefix cache."""

    def __init__(self, folder: Path, text: Text, end_token: int, *, workers: int, prefix_cache_tokens: int) -> None:
        self._folder = str(folder)
        self._text = text
        self._end_token = end_token
        self._workers = workers
        self._prefixes: PrefixCache[Any] = PrefixCache(lambda: self._load(workers), prefix_cache_tokens, give_back)
        self._caching = prefix_cache_tokens > 0

    @property
    def cached_tokens(self) -> int:
        """Prompt tokens whose state the prefix cache holds."""
        return self._prefixes.held_tokens

    def select(self, waiting: Sequence[Generation], limit: int) -> list[Generation]:
        """Requests with the same sampling, the same cached prefix and prompts of nearly the same length."""
        first = waiting[0]
        if first.seed is not None:
            return [first]  # its random numbers must not depend on its neighbours
        prefix = self._hit(first)
        shortest = longest = len(first.prompt)
        chosen = [first]
        for other in waiting[1:]:
            if len(chosen) >= limit:
                break
            length = len(other.prompt)
            if other.seed is not None or other.sampling != first.sampling or self._hit(other) != prefix:
                continue
            if max(longest, length) - min(shortest, length) <= SPREAD:
                shortest, longest = min(shortest, length), max(longest, length)
                chosen.append(other)
        return chosen

    def run(self, batch: list[Generation]) -> None:
        """Generate until every request of the batch has what it needs."""
        if batch[0].seed is not None:
            with ExitStack() as until_first_token:
                until_first_token.enter_context(seeded(batch[0].seed))
                self._generate(self._load(1), batch, (), until_first_token.close)
            return
        plan = self._plan(batch)
        try:
            # Once there is a token there is a state: the next request may come before this batch has ended.
            self._generate(plan.model, batch, plan.prefix, lambda: self._prefixes.done(plan, kept=True))
        finally:
            self._prefixes.done(plan, kept=False)

    def probe(self) -> None:
        """Generate one token."""
        self._prefixes.model.generate_batch([[self._text.token(self._end_token)]], max_length=1)

    def _hit(self, job: Generation) -> tuple[int, ...]:
        return self._prefixes.hit(job.prompt) if self._caching else ()

    def _plan(self, batch: list[Generation]) -> Plan[Any]:
        if not self._caching:
            return Plan(self._prefixes.model)
        plan = self._prefixes.plan([job.prompt for job in batch])
        if plan.hit:
            for job in batch:
                job.cached_tokens = len(plan.prefix)
        return plan

    def _generate(
        self, generator: Any, batch: list[Generation], prefix: tuple[int, ...], on_token: Callable[[], None]
    ) -> None:
        def step(result: Any) -> bool:
            on_token()
            finished: bool = batch[result.batch_id].push(result.token_id, result.log_prob)
            return finished

        sampling = batch[0].sampling
        generator.generate_batch(
            [self._tokens(job.prompt[len(prefix) :]) for job in batch],
            static_prompt=self._tokens(prefix) or None,
            include_prompt_in_result=False,
            max_length=max(job.max_new_tokens for job in batch),
            end_token=[self._end_token],
            return_scores=True,
            sampling_topk=1 if sampling.greedy else sampling.top_k,
            sampling_topp=sampling.top_p,
            sampling_temperature=sampling.temperature,
            repetition_penalty=sampling.repetition_penalty,
            callback=step,
        )
        for job in batch:
            job.close()

    def _load(self, workers: int) -> Any:
        # intra_threads: OpenMP teams stall in barriers on cores that others use too.
        return ctranslate2.Generator(self._folder, device="cpu", inter_threads=workers, intra_threads=1)

    def _tokens(self, ids: Sequence[int]) -> list[str]:
        return [self._text.token(index) for index in ids]
