"""How well misspelled sentences were repaired. Pure."""

from dataclasses import dataclass

MAX_REPAIRED_TOKENS = 96
"""Where a repair is cut off: half as long again as what was trained on."""


@dataclass(frozen=True, slots=True)
class Repair:
    """How a set of misspelled sentences was repaired. All are shares of one."""

    exact: float
    """Sentences that are as they should be, to the character."""
    errors_before: float
    """Character edits (insert, delete, replace) between the misspelled and the right sentences, by their length."""
    errors_after: float
    """The same for the repaired sentences."""


def score(wrong: list[str], right: list[str], outcome: list[str]) -> Repair:
    """Compare the three forms of each sentence. Raises ValueError when their numbers differ."""
    length = sum(map(len, right))
    before = sum(distance(a, b) for a, b in zip(wrong, right, strict=True))
    after = sum(distance(a, b) for a, b in zip(outcome, right, strict=True))
    exact = sum(a == b for a, b in zip(outcome, right, strict=True))
    return Repair(round(exact / len(right), 4), round(before / length, 4), round(after / length, 4))


def distance(a: str, b: str) -> int:
    """Return Levenshtein's distance: the least number of characters to insert, delete or replace."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (x != y))
    return row[-1]
