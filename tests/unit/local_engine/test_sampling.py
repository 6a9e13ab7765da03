"""Choosing a token from probabilities."""

import numpy as np
import pytest

from serving.local_engine.sampling import Sampling

P = np.array([0.5, 0.25, 0.15, 0.07, 0.03], dtype=np.float32)


def drawn(sampling: Sampling, history: list[int] | None = None, times: int = 4000) -> np.ndarray:
    random = np.random.default_rng(1)
    counts = np.bincount([sampling.choose(P, history or [], random)[0] for _ in range(times)], minlength=len(P))
    return counts / times


def test_greedy_takes_the_likeliest_with_its_log_probability():
    assert Sampling(greedy=True).choose(P, [], np.random.default_rng()) == (0, pytest.approx(np.log(0.5), abs=1e-6))


def test_draws_follow_the_probabilities():
    np.testing.assert_allclose(drawn(Sampling(greedy=False)), P, atol=0.03)


def test_temperature_sharpens():
    expected = P**2 / (P**2).sum()
    np.testing.assert_allclose(drawn(Sampling(greedy=False, temperature=0.5)), expected, atol=0.03)


def test_top_k_keeps_the_k_likeliest():
    np.testing.assert_allclose(drawn(Sampling(greedy=False, top_k=2)), [2 / 3, 1 / 3, 0, 0, 0], atol=0.03)


def test_top_p_keeps_the_nucleus_and_the_token_that_crosses_it():
    np.testing.assert_allclose(drawn(Sampling(greedy=False, top_p=0.6)), [2 / 3, 1 / 3, 0, 0, 0], atol=0.03)
    assert drawn(Sampling(greedy=False, top_p=0.01))[0] == 1


def test_repetition_penalty_makes_what_was_said_less_likely():
    penalised = Sampling(greedy=True, repetition_penalty=2.5).choose(P, [0, 0], np.random.default_rng())
    assert penalised[0] == 1
    assert drawn(Sampling(greedy=False, repetition_penalty=2.0), [0])[0] < 0.4


def test_log_probability_is_that_of_the_distribution_drawn_from():
    token, logprob = Sampling(greedy=False, top_k=2).choose(P, [], np.random.default_rng(3))
    assert np.exp(logprob) == pytest.approx(P[token] / 0.75, abs=1e-6)


def test_seeds_repeat():
    def draw(seed: int) -> list[int]:
        random = np.random.default_rng(seed)
        return [Sampling(greedy=False).choose(P, [], random)[0] for _ in range(50)]

    assert draw(4) == draw(4) != draw(5)
