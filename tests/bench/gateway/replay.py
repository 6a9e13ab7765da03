"""Routing quality: a trace through real gateways in front of simulated engines.

59 minutes of the Mooncake conversation trace are replayed `SPEEDUP` times as fast, arrivals and engines alike. The
gateway's own time is real and would weigh so many times too much; it is added to the engine's time as it is. What is
left of the distortion is that the gateway learns of first tokens a little late by the engines' clock; the simulator's
figures, where it learns at once, stand beside it.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from serving.gateway import HashOn, Policy, Routing
from tests.bench.gateway import berth
from tests.bench.gateway.client import Exchange
from tests.bench.gateway.contender import Running, Setting
from tests.bench.gateway.outcome import Answer, Outcome
from tests.bench.gateway.peers import routers
from tests.bench.gateway.process import Processes, free_ports
from tests.fakes.simulated_engine import BLOCK_TOKENS, Pace

BACKENDS = 8
SPEEDUP = 20.0
PACE = Pace()
GATEWAY_CORE, LOAD_CORE = "0", "1"
_FOLDER = Path("build/bench/run/replay")


@dataclass(frozen=True, slots=True)
class Way:
    """A gateway with a policy."""

    name: str
    start: Callable[[Setting], Running]
    speedup: float = 1.0
    """In shares of the others'."""


def _berth(name: str, policy: Policy, workers: int = 1, replicas: int = 1) -> Way:
    """berth, told how large the engines' caches are, as its discovery would be."""
    routing = Routing(policy, on=HashOn.SESSION)
    metadata = {"kv_tokens": PACE.cache_blocks * BLOCK_TOKENS}
    start = berth.variant(routing=routing, workers=workers, replicas=replicas, metadata=metadata)
    return Way(name, start)


OWN = _berth("estimated_ttft", Policy.ESTIMATED_TTFT)
LEAST_REQUEST = _berth("least_request", Policy.LEAST_REQUEST)
POLICIES = (
    OWN,
    _berth("round_robin", Policy.ROUND_ROBIN),
    LEAST_REQUEST,
    _berth("consistent_hash", Policy.CONSISTENT_HASH),
)
"""`weighted` with equal weights is round robin."""
PEERS = (
    Way("sglang-router cache_aware", routers.sglang_router),
    # It asks every backend to tokenize every prompt, which the simulated engines cannot do as fast as the rest.
    Way("vllm-router cache_aware", routers.vllm_router, speedup=0.25),
)
WORKERS = tuple(_berth(f"estimated_ttft, {n} worker threads", Policy.ESTIMATED_TTFT, workers=n) for n in (2, 4))
REPLICAS = tuple(_berth(f"estimated_ttft, {n} replicas", Policy.ESTIMATED_TTFT, replicas=n) for n in (2, 4))


@dataclass(frozen=True, slots=True)
class Replayed:
    """A replay's outcome."""

    outcome: Outcome
    gateway_ms: float
    """Mean time from the client's sending to the first byte that was not the engine's: gateway, network, client."""
    late_ms: float
    """Mean delay of the client's sending."""

    def row(self, name: str) -> dict[str, Any]:
        """For a table."""
        return {"routing": name, **self.outcome.row(), "besides, ms": f"{self.gateway_ms:.1f}"}


def replay(
    way: Way, rate: float, *, speedup: float = SPEEDUP, limit: int | None = None, unshared: bool = False
) -> Replayed:
    """One replay, with gateway and engines started anew. Raises BenchError when any request fails."""
    speedup *= way.speedup
    with Processes(_FOLDER) as processes:
        backends = tuple(free_ports(BACKENDS))
        argv = [sys.executable, "-m", "tests.fakes.simulated_engine", "--speedup", f"{speedup:g}", *map(str, backends)]
        processes.start("engines", argv, core=LOAD_CORE).wait_port(backends[-1])
        gateway = way.start(Setting(processes, backends, GATEWAY_CORE))
        out = _FOLDER / "exchanges.json"
        argv = [sys.executable, "-m", "tests.bench.gateway.client", "--out", str(out), "--speedup", f"{speedup:g}"]
        argv += ["--rate", f"{rate:g}", *(["--limit", str(limit)] if limit else []), *(["--unshared"] * unshared)]
        client = processes.start("client", [*argv, *map(str, gateway.ports)], core=LOAD_CORE)
        client.wait(4_000 / rate / speedup + 60)
        gateway.check()
    return _replayed([Exchange(**row) for row in json.loads(out.read_text())], speedup)


def _replayed(exchanges: list[Exchange], speedup: float) -> Replayed:
    besides = [x.first_byte - x.engine_ttft / speedup for x in exchanges]
    answers = [
        Answer(x.engine, x.engine_ttft + own, x.prompt_tokens, x.cached_tokens)
        for x, own in zip(exchanges, besides, strict=True)
    ]
    return Replayed(Outcome.of(answers, BACKENDS), fmean(besides) * 1e3, fmean(x.late for x in exchanges) * 1e3)
