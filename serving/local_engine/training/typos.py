"""Synthetic typing and spelling mistakes, to train and to measure spelling repair with. Pure: all chance is passed in.

The kinds of mistake are those that people make: a neighbouring key, a key too many or too few, two letters in the
wrong order (Damerau 1964: these four are four in five of all misspellings), a wrong vowel, a doubled consonant that
should be single or the reverse.
"""

import random
import re
from collections.abc import Callable

SENTENCE_END = re.compile(r"(?<=[.!?])[\"')]*\s+(?=[\"'(]*[A-Z])|\n+")
WORD = re.compile(r"[A-Za-z]+(?:'[a-z]+)?")
ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
VOWELS = "aeiou"
MIN_LETTERS = 3
"""Shorter words are left alone: no reader could tell what `a` had been."""


def _neighbours() -> dict[str, str]:
    place = {key: (row, column) for row, keys in enumerate(ROWS) for column, key in enumerate(keys)}
    return {
        key: "".join(
            other for other, (r, c) in place.items() if other != key and abs(r - row) <= 1 and abs(c - column) <= 1
        )
        for key, (row, column) in place.items()
    }


NEIGHBOURS = _neighbours()


def sentences(document: str, shortest: int = 20, longest: int = 160) -> list[str]:
    """Return the document's sentences of `shortest` to `longest` characters, white space made single spaces."""
    found = (" ".join(piece.split()) for piece in SENTENCE_END.split(document))
    return [sentence for sentence in found if shortest <= len(sentence) <= longest]


def _drop(word: str, at: int, _: random.Random) -> str:
    return word[:at] + word[at + 1 :]


def _press_twice(word: str, at: int, _: random.Random) -> str:
    return word[: at + 1] + word[at:]


def _press_neighbour_too(word: str, at: int, rng: random.Random) -> str:
    return word[:at] + _like(word[at], rng.choice(NEIGHBOURS.get(word[at].lower(), "e"))) + word[at:]


def _press_neighbour(word: str, at: int, rng: random.Random) -> str:
    return word[:at] + _like(word[at], rng.choice(NEIGHBOURS.get(word[at].lower(), "e"))) + word[at + 1 :]


def _swap(word: str, at: int, _: random.Random) -> str:
    at = min(at, len(word) - 2)
    return word[:at] + _like(word[at], word[at + 1]) + _like(word[at + 1], word[at]) + word[at + 2 :]


def _wrong_vowel(word: str, _: int, rng: random.Random) -> str:
    places = [i for i, letter in enumerate(word) if letter.lower() in VOWELS]
    if not places:
        return word
    at = rng.choice(places)
    return word[:at] + _like(word[at], rng.choice(VOWELS)) + word[at + 1 :]


def _wrong_doubling(word: str, _: int, rng: random.Random) -> str:
    doubled = [i for i in range(len(word) - 1) if word[i] == word[i + 1]]
    if doubled:
        at = rng.choice(doubled)
        return word[:at] + word[at + 1 :]
    consonants = [i for i in range(1, len(word)) if word[i].isalpha() and word[i].lower() not in VOWELS]
    if not consonants:
        return word
    at = rng.choice(consonants)
    return word[: at + 1] + word[at:]


def _like(model: str, letter: str) -> str:
    return letter.upper() if model.isupper() else letter.lower()


Mistake = Callable[[str, int, random.Random], str]
MISTAKES: tuple[tuple[Mistake, float], ...] = (
    (_drop, 3),
    (_swap, 3),
    (_press_neighbour, 3),
    (_press_neighbour_too, 1),
    (_press_twice, 1),
    (_wrong_vowel, 2),
    (_wrong_doubling, 2),
)
"""Each kind of mistake with its weight."""
_KINDS = [kind for kind, _ in MISTAKES]
_WEIGHTS = [weight for _, weight in MISTAKES]


def misspell(word: str, rng: random.Random) -> str:
    """Return `word` with one mistake in it, at times (one in eight, for long words) two; never the word itself."""
    wrong = word
    while wrong == word:
        for _ in range(2 if len(word) > 5 and rng.random() < 0.125 else 1):
            kind = rng.choices(_KINDS, _WEIGHTS)[0]
            wrong = kind(wrong, rng.randrange(len(wrong)), rng)
    return wrong


def corrupt(sentence: str, rng: random.Random, rate: float) -> str:
    """Return the sentence with each word of MIN_LETTERS or more misspelled with probability `rate`."""

    def one(match: re.Match[str]) -> str:
        word = match[0]
        return misspell(word, rng) if len(word) >= MIN_LETTERS and rng.random() < rate else word

    return WORD.sub(one, sentence)


def pairs(texts: list[str], seed: int, count: int, rate: float = 0.12) -> list[tuple[str, str]]:
    """Return `count` different (wrong, right) sentences of the documents, each with at least one mistake.

    The same arguments give the same pairs. Raises ValueError when the documents have fewer sentences than `count`.
    """
    rng = random.Random(seed)  # noqa: S311 - a fixed choice, not a secret
    known = sorted({sentence for text in texts for sentence in sentences(text) if _can_be_wrong(sentence)})
    if len(known) < count:
        raise ValueError(f"{count} sentences asked for, but the texts have {len(known)}: ask for fewer")
    chosen = []
    for right in rng.sample(known, count):
        wrong = right
        while wrong == right:
            wrong = corrupt(right, rng, rate)
        chosen.append((wrong, right))
    return chosen


def _can_be_wrong(sentence: str) -> bool:
    return any(len(word) >= MIN_LETTERS for word in WORD.findall(sentence))
