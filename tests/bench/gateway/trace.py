"""The Mooncake conversation trace, with its arrivals spread out."""

import json
import lzma
import random
from dataclasses import dataclass
from pathlib import Path

_FILE = Path(__file__).parents[1] / "traces/mooncake_conversation.jsonl.xz"
_STEP_MS = 3_000
"""Time stamps are multiples of this; the true arrival is somewhere in between."""
_SEED = 5


@dataclass(frozen=True, slots=True)
class Request:
    """One line of the trace."""

    arrival: float
    """Seconds since the beginning."""
    prompt_tokens: int
    output_tokens: int
    numbers: tuple[int, ...]
    """Of its blocks of 512 tokens; the last one may not be full."""


def conversation(rate: float = 1.0, limit: int | None = None) -> list[Request]:
    """The first `limit` requests of 12,031 in 59 minutes, `rate` times as fast."""
    rng = random.Random(_SEED)  # noqa: S311 - the same arrivals in every run
    requests = []
    with lzma.open(_FILE, "rt") as lines:
        for line in lines:
            row = json.loads(line)
            # Whole milliseconds: the format of the trace, which Dynamo reads too.
            arrival = int(row["timestamp"] + rng.random() * _STEP_MS) / 1e3 / rate
            requests.append(Request(arrival, row["input_length"], row["output_length"], tuple(row["hash_ids"])))
    return sorted(requests, key=lambda r: r.arrival)[:limit]


def unshared(requests: list[Request]) -> list[Request]:
    """The same requests with prompts that have nothing in common."""
    number = iter(range(10**9, 10**12))
    return [
        Request(r.arrival, r.prompt_tokens, r.output_tokens, tuple(next(number) for _ in r.numbers)) for r in requests
    ]
