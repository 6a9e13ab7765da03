"""Which prompt prefixes are worth keeping, and where they are kept.

CTranslate2 keeps the decoder's state after a static prompt, for exactly that prompt, in the model, and never forgets
one. So prefixes are cut at blocks of 16 tokens, as in vLLM, the cache decides which one a prompt uses or leaves behind,
and forgetting is done with whole models: two generations share the capacity; when the young one is full, the old one is
dropped with its model (loading a model of a few MB takes 3 ms) and a new one begins.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

BLOCK = 16
_LEAST = 2 * BLOCK
"""A shorter prefix is not worth its place."""
_REMEMBERED_BLOCKS = 16_384
"""Blocks of earlier prompts that are recognised when they come again; about 100 bytes each."""

ModelT = TypeVar("ModelT")
Prefix = tuple[int, ...]


@dataclass(slots=True)
class Generation(Generic[ModelT]):
    """A model and the prefixes whose states it holds."""

    model: ModelT
    saved: set[Prefix] = field(default_factory=set)
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Plan(Generic[ModelT]):
    """How a batch uses the cache."""

    model: ModelT
    """The model to run the batch on."""
    prefix: Prefix = ()
    """The static prompt; empty for none."""
    hit: bool = False
    """Its state is there, so that its prefill is saved; otherwise this batch leaves it behind."""


class PrefixCache(Generic[ModelT]):
    """Safe to use from several threads. `dropped` is called when a model was let go."""

    def __init__(
        self, load: Callable[[], ModelT], capacity_tokens: int, dropped: Callable[[], None] = lambda: None
    ) -> None:
        self._load, self._dropped = load, dropped
        self._capacity = capacity_tokens // 2
        self._generations = [Generation(load())]
        self._saving: dict[Prefix, Plan[ModelT]] = {}
        self._seen: OrderedDict[int, None] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def model(self) -> ModelT:
        """The model that the next prefix is kept in."""
        return self._generations[0].model

    @property
    def held_tokens(self) -> int:
        """Prompt tokens whose state is kept."""
        return sum(generation.tokens for generation in self._generations)

    def hit(self, prompt: Sequence[int]) -> Prefix:
        """The longest kept prefix of `prompt` that is worth using; () when there is none.

        One that covers less than half of what is known to come again is not: then the longer one is kept instead.
        """
        with self._lock:
            found = self._longest_saved(_common([prompt]))
            return found if 2 * len(found) >= self._longest_seen(prompt) else ()

    def plan(self, prompts: Sequence[Sequence[int]]) -> Plan[ModelT]:
        """How to run these prompts as one batch. `done` must follow when they have run.

        A prompt that runs alone leaves behind the longest part that an earlier one began with, else its whole; prompts
        that run together the part that they share.
        """
        with self._lock:
            shared = _common(prompts)
            found = self._longest_saved(shared)
            known = self._longest_seen(prompts[0])
            self._remember(prompts)
            if found and 2 * len(found) >= min(known, len(shared)):
                generation = next(one for one in self._generations if found in one.saved)
                return Plan(generation.model, found, hit=True)
            prefix = shared[:known] if _LEAST <= known < len(shared) else shared
            young = self._generations[0].model
            if len(prefix) < _LEAST or len(prefix) > self._capacity or prefix in self._saving:
                return Plan(young)
            self._saving[prefix] = plan = Plan(young, prefix)
            return plan

    def done(self, plan: Plan[ModelT], *, kept: bool) -> None:
        """The batch has left its prefix behind (`kept`) or has ended; only the first call counts."""
        if plan.hit or not plan.prefix:
            return
        with self._lock:
            if self._saving.get(plan.prefix) is not plan:
                return
            del self._saving[plan.prefix]
            generation = self._generations[0]
            if not kept or generation.model is not plan.model:
                return
            generation.saved.add(plan.prefix)
            generation.tokens += len(plan.prefix)
            if generation.tokens >= self._capacity:
                self._generations = [Generation(self._load()), generation]
                self._dropped()

    def _longest_saved(self, prefix: Prefix) -> Prefix:
        for length in range(len(prefix), _LEAST - 1, -BLOCK):
            if any(prefix[:length] in generation.saved for generation in self._generations):
                return prefix[:length]
        return ()

    def _longest_seen(self, prompt: Sequence[int]) -> int:
        longest = 0
        for length, key in _blocks(prompt):
            if key not in self._seen:
                break
            longest = length
        return longest

    def _remember(self, prompts: Sequence[Sequence[int]]) -> None:
        for prompt in prompts:
            for _, key in _blocks(prompt):
                self._seen[key] = None
                self._seen.move_to_end(key)
        while len(self._seen) > _REMEMBERED_BLOCKS:
            self._seen.popitem(last=False)


def _aligned(length: int) -> int:
    """The longest whole number of blocks that leaves at least one token of the prompt to start from."""
    return max(0, length - 1) // BLOCK * BLOCK


def _blocks(prompt: Sequence[int]) -> list[tuple[int, int]]:
    """Length and chained hash of the prefixes of 1, 2, … blocks."""
    key, blocks = 0, []
    for end in range(BLOCK, _aligned(len(prompt)) + 1, BLOCK):
        key = hash((key, *prompt[end - BLOCK : end]))
        blocks.append((end, key))
    return blocks


def _common(prompts: Sequence[Sequence[int]]) -> Prefix:
    """The longest whole number of blocks that all prompts begin with, leaving each at least one token."""
    length = min(_aligned(len(prompt)) for prompt in prompts)
    first = tuple(prompts[0])
    while length and any(tuple(prompt[:length]) != first[:length] for prompt in prompts[1:]):
        length -= BLOCK
    return first[:length]
