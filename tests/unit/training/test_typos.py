"""Synthetic mistakes: reproducible, in words only, and each of a kind that people make."""
# ruff: noqa: S311 - chance in tests is no secret

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.local_engine.training.scores import distance
from serving.local_engine.training.typos import MISTAKES, WORD, corrupt, misspell, pairs, sentences

TEXT = "It was the best of times. It was the worst of times!\n\nWas it? Mr. Starbuck, the chief mate, did not know."


@settings(deadline=None)  # a loaded machine is no failure
@given(st.from_regex(WORD, fullmatch=True).filter(lambda word: len(word) >= 3), st.integers(0, 2**32))
def test_misspelled_word_differs_by_at_most_two_mistakes(word: str, seed: int):
    wrong = misspell(word, random.Random(seed))
    assert wrong != word
    assert distance(wrong, word) <= 4  # two swapped letters are two edits


@pytest.mark.parametrize("word", ["III", "aaa", "don't", "zzz", "Ahab", "WE'LL"])
@pytest.mark.parametrize("mistake", [kind for kind, _ in MISTAKES])
def test_every_mistake_is_possible_at_every_letter(word: str, mistake):
    for at in range(len(word)):
        assert distance(mistake(word, at, random.Random(at)), word) <= 2


def test_nothing_is_corrupted_at_rate_zero_and_every_long_word_at_rate_one():
    sentence = "The chief mate, of all 30 men, did not go to it."
    assert corrupt(sentence, random.Random(1), 0.0) == sentence
    changed = corrupt(sentence, random.Random(1), 1.0)
    kept = {word for word in sentence.split() if word in changed.split()}
    assert kept == {"of", "30", "go", "to", "it."}


def test_punctuation_and_spacing_survive():
    changed = corrupt(TEXT, random.Random(3), 1.0)
    assert WORD.sub("", changed) == WORD.sub("", TEXT)


def test_sentences_are_cut_at_ends_and_filtered_by_length():
    assert sentences(TEXT) == [
        "It was the best of times.",
        "It was the worst of times!",
        "Starbuck, the chief mate, did not know.",
    ]


def test_pairs_are_the_same_for_the_same_seed_and_each_has_a_mistake():
    first = pairs([TEXT], seed=5, count=3)
    assert first == pairs([TEXT], seed=5, count=3)
    assert all(wrong != right for wrong, right in first)
    assert {right for _, right in first} == set(sentences(TEXT))


def test_too_many_pairs_are_refused_with_the_number_there_is():
    with pytest.raises(ValueError, match="4 sentences asked for, but the texts have 3"):
        pairs([TEXT], seed=5, count=4)
