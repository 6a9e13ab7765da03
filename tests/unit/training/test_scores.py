"""The measure of repaired sentences."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.local_engine.training.scores import distance, score

short = st.text(alphabet="abc", max_size=6)


@pytest.mark.parametrize(
    ("a", "b", "edits"), [("kitten", "sitting", 3), ("", "abc", 3), ("teh", "the", 2), ("a", "a", 0)]
)
def test_distance_of_known_words(a: str, b: str, edits: int):
    assert distance(a, b) == edits


@settings(deadline=None)  # a loaded machine is no failure
@given(short, short, short)
def test_distance_is_a_metric(a: str, b: str, c: str):
    assert distance(a, b) == distance(b, a)
    assert (distance(a, b) == 0) == (a == b)
    assert distance(a, c) <= distance(a, b) + distance(b, c)


def test_score_counts_exact_sentences_and_edits_by_length():
    found = score(wrong=["teh cat", "a dgo"], right=["the cat", "a dog"], outcome=["the cat", "a dgo"])
    assert (found.exact, found.errors_before, found.errors_after) == (0.5, round(4 / 12, 4), round(2 / 12, 4))


def test_score_refuses_lists_of_different_lengths():
    with pytest.raises(ValueError, match="zip"):
        score(["a"], ["a", "b"], ["a"])
