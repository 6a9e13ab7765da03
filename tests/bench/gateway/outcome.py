"""What a replay shows of a routing rule."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """One request's way; times in seconds of the trace."""

    backend: int
    ttft: float
    prompt_tokens: int
    cached_tokens: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """Figures of a whole replay."""

    mean: float
    p50: float
    p99: float
    hit_share: float
    """Prompt tokens found in a cache, of all."""
    spread: float
    """Prompt tokens computed by the busiest backend, in shares of the mean backend."""

    @classmethod
    def of(cls, answers: Sequence[Answer], backends: int) -> "Outcome":
        """Of all answers."""
        ttfts = sorted(a.ttft for a in answers)
        computed = [0] * backends
        for a in answers:
            computed[a.backend] += a.prompt_tokens - a.cached_tokens
        return cls(
            mean=fmean(ttfts),
            p50=ttfts[len(ttfts) // 2],
            p99=ttfts[int(len(ttfts) * 0.99)],
            hit_share=sum(a.cached_tokens for a in answers) / sum(a.prompt_tokens for a in answers),
            spread=max(computed) / fmean(computed),
        )

    def row(self) -> dict[str, Any]:
        """For a table."""
        return {
            "TTFT mean s": f"{self.mean:.3f}",
            "p50": f"{self.p50:.3f}",
            "p99": f"{self.p99:.2f}",
            "hit share": f"{self.hit_share:.3f}",
            "busiest backend": f"{self.spread:.2f}",
        }
