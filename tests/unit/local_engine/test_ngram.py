"""The n-gram model against the textbook recursion, written the slow way."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from serving.local_engine.ngram import NGram

VOCABULARY = 12


@pytest.fixture(scope="module")
def stream() -> np.ndarray:
    random = np.random.default_rng(5)
    likely = random.dirichlet(np.full(VOCABULARY, 0.3), size=VOCABULARY)
    ids = [0]
    for _ in range(3000):
        ids.append(int(random.choice(VOCABULARY, p=likely[ids[-1]])))
    return np.array(ids)


def slow_probability(stream: list[int], order: int, words: tuple[int, ...]) -> float:
    """Interpolated modified Kneser-Ney straight from the paper, on dictionaries."""
    ring = stream + stream[: order - 1]
    counts: list[Counter] = [Counter() for _ in range(order + 1)]
    counts[order].update(zip(*[ring[i : i + len(stream)] for i in range(order)], strict=True))
    for n in range(order - 1, 0, -1):
        for gram in counts[n + 1]:
            counts[n][gram[1:]] += 1

    def p(gram: tuple[int, ...]) -> float:
        if not gram:
            return 1 / VOCABULARY
        n = len(gram)
        of_counts = Counter(min(c, 5) for c in counts[n].values())
        n1, n2, n3, n4 = (max(1, of_counts[k]) for k in (1, 2, 3, 4))
        y = n1 / (n1 + 2 * n2)
        raw = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
        discounts = [0.0] + [min(max(0.05, d), k - 0.05) for k, d in enumerate(raw, 1)]
        followers = {g: c for g, c in counts[n].items() if g[:-1] == gram[:-1]}
        if not followers:
            return p(gram[1:])
        total = sum(followers.values())
        own = max(0.0, followers.get(gram, 0) - discounts[min(3, followers.get(gram, 0))])
        left = sum(discounts[min(3, c)] for c in followers.values())
        return own / total + left / total * p(gram[1:])

    return p(words)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_probabilities_are_those_of_the_textbook_recursion(stream, order):
    model = NGram.train(stream, order, VOCABULARY, cutoffs=(1,) * order)
    for at in range(500, 540):
        history = stream[at - order + 1 : at]
        expected = slow_probability(stream.tolist(), order, (*history.tolist(), int(stream[at])))
        assert model.distribution(history)[stream[at]] == pytest.approx(expected, rel=2e-3, abs=1e-3)  # float16 weights


@pytest.mark.parametrize("cutoffs", [(1, 1, 1, 1), (1, 1, 2, 3), (1, 2, 2, 2)])
def test_every_distribution_sums_to_one_also_after_pruning(stream, cutoffs):
    model = NGram.train(stream, 4, VOCABULARY, cutoffs=cutoffs)
    for at in range(4, 200):
        assert model.distribution(stream[:at]).sum() == pytest.approx(1, abs=1e-5)
    assert model.distribution([]).sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("cutoffs", [(1, 1, 1, 1), (1, 2, 2, 2)])
def test_log_probs_of_a_text_are_those_of_the_distributions(stream, cutoffs):
    model = NGram.train(stream, 4, VOCABULARY, cutoffs=cutoffs)
    text = stream[:60]
    one_by_one = [np.log(model.distribution(text[:at])[text[at]]) for at in range(1, len(text))]
    np.testing.assert_allclose(model.log_probs(text), one_by_one, atol=1e-5)


def test_saved_model_is_the_same_model(stream, tmp_path: Path):
    model = NGram.train(stream, 4, VOCABULARY, cutoffs=(1, 1, 2, 2))
    model.save(tmp_path)
    loaded = NGram.load(tmp_path)
    assert (loaded.order, loaded.vocab_size) == (4, VOCABULARY)
    assert loaded.perplexity(stream) == pytest.approx(model.perplexity(stream), rel=1e-6)
    history = stream[:7]
    np.testing.assert_allclose(loaded.distribution(history), model.distribution(history), atol=1e-6)


def test_perplexity_falls_with_order_on_a_text_with_memory(stream):
    train, held_out = stream[:2400], stream[2400:]
    first, second = (NGram.train(train, order, VOCABULARY).perplexity(held_out) for order in (1, 2))
    assert 1 < second < first < VOCABULARY


def test_impossible_training_is_refused_with_the_reason():
    with pytest.raises(ValueError, match=r"token ids run from 0 to 12; the vocabulary is 0 to 11"):
        NGram.train([0, 1, 12, 3], 2, VOCABULARY)
    with pytest.raises(ValueError, match="order 6 over a vocabulary of 2048 does not fit"):
        NGram.train(range(100), 6, 2048)
    with pytest.raises(ValueError, match="more than 3 tokens"):
        NGram.train([1, 2], 3, VOCABULARY)


def test_a_folder_of_another_model_is_refused(tmp_path: Path):
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(ValueError, match="model_type is 'gpt2'"):
        NGram.load(tmp_path)
