"""Requests that a model is planned for: from averages, or from a recorded trace."""

import csv
import datetime
import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

SAMPLE = 1000
"""Requests in a made-up workload: enough for a 95th percentile within a few percent, few enough for milliseconds."""


@dataclass(frozen=True)
class Workload:
    """Arrivals and lengths. `arrivals` are seconds at the workload's own rate; a load scales them."""

    arrivals: Sequence[float]
    prompts: Sequence[int]
    outputs: Sequence[int]
    cached: Sequence[int] = ()
    """Prompt tokens whose KV is in the prefix cache already; empty for none."""
    blocks: Sequence[Sequence[int]] = field(default=())
    """Hash of each prompt block, where a trace has them; the model then finds cached tokens itself."""
    block_tokens: int = 512

    @cached_property
    def rate(self) -> float:
        """Return requests a second."""
        return len(self.arrivals) / self.arrivals[-1] if self.arrivals[-1] else math.inf

    @cached_property
    def mean_prompt(self) -> float:
        """Return prompt tokens a request."""
        return sum(self.prompts) / len(self.prompts)

    @cached_property
    def mean_output(self) -> float:
        """Return generated tokens a request."""
        return sum(self.outputs) / len(self.outputs)

    @cached_property
    def mean_uncached(self) -> float:
        """Return prompt tokens a request that must be computed (block hashes are not looked at)."""
        return self.mean_prompt - (sum(self.cached) / len(self.cached) if self.cached else 0.0)

    def every(self, stride: int, first: int = 0) -> "Workload":
        """Return what one of `stride` replicas gets from a round robin."""
        if stride == 1:
            return self
        return Workload(
            self.arrivals[first::stride],
            self.prompts[first::stride],
            self.outputs[first::stride],
            self.cached[first::stride],
            self.blocks[first::stride],
            self.block_tokens,
        )


def synthetic(
    prompt: float,
    output: float,
    *,
    prompt_spread: float = 0.8,
    output_spread: float = 0.8,
    burst: float = 1.0,
    cached_share: float = 0.0,
    longest: int = 1 << 30,
    count: int = SAMPLE,
    seed: int = 7,
) -> Workload:
    """Return requests at one a second with the given means, the same for the same arguments.

    Lengths are log-normal; the spread is the standard deviation over the mean (Azure 2023: 0.9 and 0.8 for prompts, 0.8
    for answers of conversations). `burst` is the squared coefficient of variation of the time between arrivals: 1 is
    Poisson, more is burstier (gamma). `longest` cuts prompts and answers together at the context.
    """
    rnd = random.Random(seed)  # noqa: S311 - a repeatable sample, not a secret
    shape = 1.0 / burst
    clock, arrivals = 0.0, []
    for _ in range(count):
        clock += rnd.gammavariate(shape, burst)
        arrivals.append(clock)
    # The sample's own mean gap is made exactly one second, so that a rate means what it says.
    arrivals = [moment * count / clock for moment in arrivals]
    prompts = _lengths(rnd, prompt, prompt_spread, count)
    outputs = _lengths(rnd, output, output_spread, count)
    outputs = [min(value, max(1, longest - 1)) for value in outputs]
    prompts = [min(value, max(1, longest - made)) for value, made in zip(prompts, outputs, strict=True)]
    cached = [int(value * cached_share) for value in prompts] if cached_share else []
    return Workload(arrivals, prompts, outputs, cached)


def _lengths(rnd: random.Random, mean: float, spread: float, count: int) -> list[int]:
    sigma = math.sqrt(math.log(1 + spread**2))
    mu = math.log(mean) - sigma**2 / 2
    raw = [rnd.lognormvariate(mu, sigma) for _ in range(count)]
    scale = mean / (sum(raw) / count)
    return [max(1, round(value * scale)) for value in raw]


def azure_trace(file: Path) -> Workload:
    """Return an Azure LLM inference trace 2023 (TIMESTAMP, ContextTokens, GeneratedTokens)."""
    moments, prompts, outputs = [], [], []
    with file.open(newline="") as stream:
        for row in csv.DictReader(stream):
            moment = datetime.datetime.fromisoformat(row["TIMESTAMP"][:26])
            moments.append(moment.timestamp())
            prompts.append(int(row["ContextTokens"]))
            outputs.append(max(1, int(row["GeneratedTokens"])))
    return Workload([moment - moments[0] for moment in moments], prompts, outputs)


def mooncake_trace(file: Path, seed: int = 5) -> Workload:
    """Return a Mooncake trace. Its time stamps are multiples of 3 s: each arrival is spread over its 3 s at random."""
    rnd = random.Random(seed)  # noqa: S311
    rows = []
    for line in file.read_text().splitlines():
        row = json.loads(line)
        rows.append((row["timestamp"] / 1000 + rnd.random() * 3, row))
    rows.sort(key=lambda item: item[0])
    return Workload(
        [moment - rows[0][0] for moment, _ in rows],
        [row["input_length"] for _, row in rows],
        [max(1, row["output_length"]) for _, row in rows],
        blocks=[row["hash_ids"] for _, row in rows],
    )
