"""Dynamo's simulated engines, and its router over them (peers/dynamo_side.py in an environment of its own)."""

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from tests.bench.gateway.environments import environment
from tests.bench.gateway.process import BenchError
from tests.bench.gateway.trace import Request

KV_TOKENS = 16_384 * 64
"""KV cache of an engine with Dynamo's defaults."""
_SIDE = Path(__file__).parent / "peers/dynamo_side.py"


@dataclass(frozen=True, slots=True)
class Timing:
    """One request's way through an engine; seconds from its arrival."""

    first_token: float
    last_token: float
    prompt_tokens: int
    output_tokens: int
    reused_tokens: int
    worker: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """Figures of a whole replay."""

    ttft_ms: float
    """Mean over requests."""
    itl_ms: float
    """Mean over tokens, as Dynamo's own reports have it."""
    reuse: float
    """Prompt tokens found in a cache, of all."""
    spread: float
    """Prompt tokens computed by the busiest engine, in shares of the mean engine."""

    @classmethod
    def of(cls, timings: Sequence[Timing], workers: int) -> "Verdict":
        """Of all requests."""
        computed = [0] * workers
        for t in timings:
            computed[t.worker] += t.prompt_tokens - t.reused_tokens
        return cls(
            ttft_ms=fmean(t.first_token for t in timings) * 1e3,
            itl_ms=sum(t.last_token - t.first_token for t in timings) / sum(t.output_tokens - 1 for t in timings) * 1e3,
            reuse=sum(t.reused_tokens for t in timings) / sum(t.prompt_tokens for t in timings),
            spread=max(computed) / fmean(computed),
        )


class Dynamo:
    """The process in Dynamo's environment. Use as a context."""

    def __init__(self, folder: Path) -> None:
        """`folder` takes the traces that are handed over."""
        folder.mkdir(parents=True, exist_ok=True)
        self._trace = (folder / "trace.jsonl").absolute()
        python = environment("dynamo") / "bin/python"
        self._process = subprocess.Popen(
            [str(python), str(_SIDE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "DYN_LOG": "error"},
        )

    def __enter__(self) -> "Dynamo":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def replay(
        self, requests: Sequence[Request], workers: int, router: Literal["round_robin", "kv_router"], rate: float
    ) -> list[Timing]:
        """Timings in the order of the requests, which must be those of the trace at rate 1."""
        self._trace.write_text("".join(json.dumps(_row(r)) + "\n" for r in requests))
        answer = self._ask({"trace": str(self._trace), "workers": workers, "router": router, "rate": rate})
        # The answer's order: see dynamo_side.py.
        order = sorted(range(len(requests)), key=lambda i: _sorting(requests[i]))
        timings: dict[int, Timing] = {}
        for i, r in zip(order, answer["requests"], strict=True):
            if (r["prompt_tokens"], r["output_tokens"]) != (requests[i].prompt_tokens, requests[i].output_tokens):
                raise BenchError(f"Dynamo's answer {r} is not for {requests[i]}")
            first, last = ((r[k] - r["arrival"]) / 1e3 for k in ("first_token", "last_token"))
            timings[i] = Timing(first, last, r["prompt_tokens"], r["output_tokens"], r["reused_tokens"], r["worker"])
        return [timings[i] for i in range(len(requests))]

    def _ask(self, job: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise BenchError(f"Dynamo's replay ended while it was asked for {job}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def _row(request: Request) -> dict[str, Any]:
    return {
        "timestamp": _milliseconds(request),
        "input_length": request.prompt_tokens,
        "output_length": request.output_tokens,
        "hash_ids": request.numbers,
    }


def _milliseconds(request: Request) -> int:
    return round(request.arrival * 1e3)


def _sorting(request: Request) -> tuple[int, int, int]:
    return _milliseconds(request), request.prompt_tokens, request.output_tokens
