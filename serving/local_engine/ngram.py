"""Interpolated modified Kneser-Ney n-gram model over token ids, in numpy arrays of a few MB.

Kneser & Ney (1995) with the three discounts of Chen & Goodman (1998), equation 26. Written as

    p(w | h) = a(h w) + gamma(h) * p(w | h'),   a(h w) = max(0, c(h w) - D(c)) / c(h),   h' = h without its oldest token

an n-gram costs one token id and one float16. `gamma(h) = 1 - sum_w a(h w)` is not stored: computed from the rounded
weights, it makes every distribution sum to one exactly, also after pruning.

On disk: config.json and model.safetensors. The n-grams of each order are sorted by their tokens, so that those of one
context lie together; `tokens.n` (uint16) is the last token, `weights.n` (float16) is `a`, and `children.n` (uint16) is
how many n-grams of order n + 1 continue this one.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save_file

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

CUTOFFS = (1, 1, 2, 2, 2, 2, 2, 2)
"""Least count of a kept n-gram by order. Most n-grams of order 3 and more occur once, and cost more than they tell:
models/perplexity.json has what leaving them out costs."""


@dataclass(frozen=True, slots=True)
class Level:
    """The n-grams of one order, sorted by key."""

    keys: Ids
    """The tokens of an n-gram as one number, oldest first, in base `vocab_size`."""
    weights: Floats
    """a(h w)."""
    first_child: Ids
    """Where the n-grams that continue this one start in the next level; one more entry than keys."""
    gamma: Floats
    """What the n-grams that continue this one leave to the shorter context; 1 where there are none."""


class NGram:
    """A language model that knows the last `order - 1` tokens."""

    def __init__(self, order: int, vocab_size: int, levels: list[Level], root_gamma: float) -> None:
        self.order = order
        self.vocab_size = vocab_size
        self._levels = levels
        uniform = np.full(vocab_size, root_gamma / vocab_size, dtype=np.float32)
        uniform[levels[0].keys] += levels[0].weights
        self._unigram = uniform

    @classmethod
    def train(
        cls,
        token_ids: npt.ArrayLike,
        order: int,
        vocab_size: int,
        *,
        cutoffs: tuple[int, ...] = CUTOFFS,
    ) -> Self:
        """Count `token_ids` (one stream, documents separated by their end token) and smooth.

        `cutoffs[n - 1]` is the least count that an n-gram of order n needs to be kept; (1, 1, …) keeps all.
        Raises ValueError when the ids or the order do not fit.
        """
        ids = np.asarray(token_ids, dtype=np.int64)
        if ids.ndim != 1 or len(ids) <= order:
            raise ValueError(f"training needs one row of more than {order} tokens; got shape {ids.shape}")
        if ids.min() < 0 or ids.max() >= vocab_size:
            raise ValueError(f"token ids run from {ids.min()} to {ids.max()}; the vocabulary is 0 to {vocab_size - 1}")
        if not 1 <= order <= len(cutoffs) or vocab_size**order >= 2**63 or vocab_size > 2**16:
            raise ValueError(
                f"order {order} over a vocabulary of {vocab_size} does not fit: keys are 63-bit numbers, tokens "
                f"16-bit, and there are cutoffs for {len(cutoffs)} orders"
            )
        counted = _counts(ids, order, vocab_size)
        kept: list[tuple[Ids, Floats]] = []
        longer: Ids | None = None
        for n in range(order, 0, -1):
            keys, counts = counted[n - 1]
            weights = _weights(keys, counts, vocab_size)
            keep = counts >= cutoffs[n - 1]
            if longer is not None:  # the context of a kept n-gram is kept, or it could not be found
                keep |= np.isin(keys, longer // vocab_size)
            kept.append((keys[keep], _rounded_down(weights[keep])))
            longer = keys[keep]
        return cls._linked(order, vocab_size, kept[::-1])

    @classmethod
    def _linked(cls, order: int, vocab_size: int, kept: list[tuple[Ids, Floats]]) -> Self:
        """Levels from keys and weights: child ranges and what each context leaves over."""
        levels = []
        for n, (keys, weights) in enumerate(kept):
            if n + 1 < order:
                next_keys, next_weights = kept[n + 1]
                first = np.searchsorted(next_keys // vocab_size, np.append(keys, np.iinfo(np.int64).max))
                sums = np.concatenate(([0.0], np.cumsum(next_weights, dtype=np.float64)))
                gamma = (1.0 - (sums[first[1:]] - sums[first[:-1]])).astype(np.float32)
            else:
                first, gamma = np.zeros(len(keys) + 1, dtype=np.int64), np.ones(len(keys), dtype=np.float32)
            levels.append(Level(keys, weights, first.astype(np.int64), gamma))
        return cls(order, vocab_size, levels, 1.0 - float(kept[0][1].sum(dtype=np.float64)))

    def save(self, directory: Path | str) -> None:
        """Write config.json and model.safetensors into `directory`; what else is there stays."""
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        tensors: dict[str, npt.NDArray[Any]] = {}
        for n, level in enumerate(self._levels, start=1):
            tensors[f"tokens.{n}"] = (level.keys % self.vocab_size).astype(np.uint16)
            tensors[f"weights.{n}"] = level.weights.astype(np.float16)
            if n < self.order:
                tensors[f"children.{n}"] = np.diff(level.first_child).astype(np.uint16)
        save_file(tensors, folder / "model.safetensors")
        config = {
            "model_type": "ngram",
            "order": self.order,
            "vocab_size": self.vocab_size,
            "ngrams": [len(level.keys) for level in self._levels],
        }
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, directory: Path | str) -> Self:
        """Read what `save` wrote."""
        folder = Path(directory)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if config.get("model_type") != "ngram":
            raise ValueError(f"{folder}/config.json: model_type is {config.get('model_type')!r}; it must be 'ngram'")
        order, vocab_size = int(config["order"]), int(config["vocab_size"])
        tensors = load_file(folder / "model.safetensors")
        kept: list[tuple[Ids, Floats]] = []
        contexts = np.zeros(1, dtype=np.int64)
        for n in range(1, order + 1):
            tokens = tensors[f"tokens.{n}"].astype(np.int64)
            counts = tensors[f"children.{n - 1}"].astype(np.int64) if n > 1 else np.array([len(tokens)])
            keys = np.repeat(contexts, counts) * vocab_size + tokens
            kept.append((keys, tensors[f"weights.{n}"].astype(np.float32)))
            contexts = keys
        return cls._linked(order, vocab_size, kept)

    def distribution(self, history: npt.ArrayLike) -> Floats:
        """p(w | history) for every token w; only the last `order - 1` tokens of `history` count."""
        recent = np.asarray(history, dtype=np.int64)[-(self.order - 1) :] if self.order > 1 else np.empty(0, np.int64)
        p = self._unigram.copy()
        key, base = 0, 1
        for n in range(1, len(recent) + 1):  # contexts of one token, two tokens …
            key, base = int(recent[-n]) * base + key, base * self.vocab_size
            level = self._levels[n - 1]
            at = int(np.searchsorted(level.keys, key))
            if at == len(level.keys) or level.keys[at] != key:
                continue  # not break: pruning may drop a context and keep a longer one that ends with it
            start, end = level.first_child[at], level.first_child[at + 1]
            p *= level.gamma[at]
            continuations = self._levels[n]
            p[continuations.keys[start:end] % self.vocab_size] += continuations.weights[start:end]
        return p

    def log_probs(self, token_ids: npt.ArrayLike) -> Floats:
        """log p of each token but the first, given all before it; natural logarithm."""
        ids = np.asarray(token_ids, dtype=np.int64)
        p = self._unigram[ids[1:]].astype(np.float64)
        at = np.arange(1, len(ids))
        key, base = np.zeros(len(at), dtype=np.int64), 1
        for n in range(1, self.order):
            usable = at >= n
            key = np.where(usable, ids[np.maximum(at - n, 0)] * base + key, -1)
            base *= self.vocab_size
            gamma = _lookup(self._levels[n - 1].keys, self._levels[n - 1].gamma, key, 1.0)
            extended = np.where(key < 0, -1, key * self.vocab_size + ids[1:])
            p = p * gamma + _lookup(self._levels[n].keys, self._levels[n].weights, extended, 0.0)
        return np.log(p).astype(np.float32)

    def perplexity(self, token_ids: npt.ArrayLike) -> float:
        """exp of the mean negative log-probability of each token but the first."""
        return math.exp(-float(self.log_probs(token_ids).mean(dtype=np.float64)))


def _counts(ids: Ids, order: int, vocab_size: int) -> list[tuple[Ids, Ids]]:
    """Distinct n-grams and their counts for each order: how often for the highest, after how many tokens below it.

    The stream is read as a ring, so that every n-gram is continued and preceded by something: the end of the stream
    needs no special case, at the price of `order - 1` made-up n-grams.
    """
    ring = np.concatenate((ids, ids[: order - 1]))
    keys = np.zeros(len(ids), dtype=np.int64)
    for k in range(order):
        keys = keys * vocab_size + ring[k : k + len(ids)]
    found = [np.unique(keys, return_counts=True)]
    for n in range(order - 1, 0, -1):
        found.append(np.unique(found[-1][0] % vocab_size**n, return_counts=True))
    return [(k, c.astype(np.int64)) for k, c in reversed(found)]


def _weights(keys: Ids, counts: Ids, vocab_size: int) -> Floats:
    """a(h w) of all n-grams of one order."""
    n1, n2, n3, n4 = (max(1, int((counts == k).sum())) for k in (1, 2, 3, 4))
    y = n1 / (n1 + 2 * n2)
    # Counts of counts of tiny corpora can give discounts outside (0, k); the bounds keep a >= 0 and gamma > 0.
    best = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
    bounded = [min(max(0.05, d), k - 0.05) for k, d in enumerate(best, start=1)]
    discount = np.array([0.0, *bounded])[np.minimum(counts, 3)]
    _, owner = np.unique(keys // vocab_size, return_inverse=True)
    totals = np.bincount(owner, weights=counts)
    weights: Floats = ((counts - discount) / totals[owner]).astype(np.float32)
    return weights


def _rounded_down(weights: Floats) -> Floats:
    """As float16, never above: rounding up could leave nothing, or less, to the shorter context."""
    rounded = weights.astype(np.float16)
    return np.where(rounded > weights, np.nextafter(rounded, np.float16(0)), rounded).astype(np.float32)


def _lookup(keys: Ids, values: Floats, wanted: Ids, missing: float) -> npt.NDArray[np.float64]:
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    found: npt.NDArray[np.float64] = np.where(keys[at] == wanted, values[at], missing).astype(np.float64)
    return found
