"""What clients see: percentiles of first tokens and of the gaps between tokens."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(slots=True)
class Outcome:
    """What became of each request, in order of arrival."""

    ttft: list[float]
    """Seconds to the first token."""
    gaps: list[tuple[float, float]]
    """Inter-token gaps: (seconds, how many tokens came after such a gap)."""
    finished: float
    """When the last request ended, seconds after the first arrival."""
    busy: float
    """Seconds with a step running."""
    reused_tokens: int
    preemptions: int

    def ttft_percentile(self, share: float) -> float:
        """Return a percentile of the time to first token."""
        return percentile(self.ttft, share)

    def itl_percentile(self, share: float) -> float:
        """Return a percentile of the gaps between tokens."""
        ordered = sorted(self.gaps)
        total = sum(count for _, count in ordered)
        seen = 0.0
        for gap, count in ordered:
            seen += count
            if seen >= share * total:
                return gap
        return ordered[-1][0] if ordered else 0.0

    def itl_mean(self) -> float:
        """Return the mean gap between tokens."""
        total = sum(count for _, count in self.gaps)
        return sum(gap * count for gap, count in self.gaps) / total if total else 0.0


def percentile(values: Sequence[float], share: float) -> float:
    """Return a percentile by linear interpolation, as numpy does."""
    ordered = sorted(values)
    if not ordered:
        return 0.0
    position = share * (len(ordered) - 1)
    low = math.floor(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)
