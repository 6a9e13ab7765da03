"""What a request costs in each gateway: CPU, throughput and delay at full load on one core.

A mock of eight backends and wrk run on core 1, the gateway's one worker thread on core 0. All gateways are up at once
and are loaded in turn, a second each, so that what else the machine does meets all of them alike; ratios are taken
within a round and their median is reported.
"""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.gateway import catalogue, native, process
from tests.bench.gateway.catalogue import Contender
from tests.bench.gateway.contender import KEY, MODEL, Running, Setting
from tests.bench.gateway.process import BenchError, Processes, free_ports
from tests.bench.gateway.report import Report, Target

SIZES = (1_500, 24_000)
"""Bytes of a request's body: a question, and a question with a long context."""
CONNECTIONS = 32
BACKENDS = 8
LOAD_CORE = "1"


@dataclass(frozen=True, slots=True)
class Sample:
    """One second of load on one gateway."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    """CPU time of the gateway's process per request."""
    rss_mb: float


def report(contenders: Sequence[Contender] = catalogue.ALL, rounds: int = 9, seconds: float = 1.0) -> Report:
    """Measures and reports."""
    result = Report(
        "cost",
        "Cost of a request",
        f"wrk, {CONNECTIONS} connections with keep-alive, {BACKENDS} mock backends that answer at once; gateway on "
        f"core 0 (one worker thread if not said otherwise), wrk and mock on core {LOAD_CORE}; {rounds} rounds of "
        f"{seconds:g} s in turn, medians; ratios are medians of the rounds' ratios. The gateways do unequal work: "
        + "; ".join(f"{c.name}: {c.does}" for c in contenders)
        + ".",
    )
    with running(contenders, Path("build/bench/run/cost")) as (gateways, direct):
        for size in SIZES:
            samples = alternate(gateways, size, rounds, seconds)
            result.table(f"Bodies of {size:,} bytes", [*_rows(samples), _direct(direct, size, seconds)])
            result.targets += _targets(samples, size)
    return result


@contextmanager
def running(contenders: Sequence[Contender], folder: Path) -> Iterator[tuple[dict[str, Running], int]]:
    """All gateways in front of one mock; also the port of one backend."""
    with Processes(folder) as processes:
        backends = tuple(free_ports(BACKENDS))
        mock = processes.start("mock", [native.program("mock"), *map(str, backends)], core=LOAD_CORE)
        mock.wait_port(backends[-1])
        yield {c.name: c.start(Setting(processes, backends, c.core)) for c in contenders}, backends[0]


def alternate(gateways: dict[str, Running], size: int, rounds: int, seconds: float) -> dict[str, list[Sample]]:
    """Loads each gateway once a round, after one round that does not count."""
    samples: dict[str, list[Sample]] = {name: [] for name in gateways}
    for turn in range(rounds + 1):
        for name, gateway in gateways.items():
            sample = load(gateway, size, seconds)
            if turn:
                samples[name].append(sample)
    return samples


def load(gateway: Running, size: int, seconds: float) -> Sample:
    """One run of wrk."""
    before = gateway.cpu_seconds()
    answer = wrk(gateway.ports[0], size, seconds)
    spent = gateway.cpu_seconds() - before
    gateway.check()
    if answer["errors"]:
        raise BenchError(f"{answer['errors']} of {answer['requests']} requests failed on port {gateway.ports[0]}")
    return Sample(
        requests_per_second=answer["requests"] / answer["seconds"],
        p50_ms=answer["p50_ms"],
        p99_ms=answer["p99_ms"],
        cpu_us=spent / answer["requests"] * 1e6,
        rss_mb=gateway.rss_bytes() / 1e6,
    )


def wrk(port: int, size: int, seconds: float) -> dict[str, Any]:
    """Runs wrk; what chat.lua prints."""
    argv = ["taskset", "-c", LOAD_CORE, str(native.wrk()), "-t1", f"-c{CONNECTIONS}", f"-d{seconds:g}s"]
    script = str(Path(__file__).with_name("chat.lua"))
    child = subprocess.Popen(
        [*argv, "-s", script, f"http://127.0.0.1:{port}"],
        env={**os.environ, "SIZE": str(size), "KEY": KEY, "MODEL": MODEL},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    process.raise_priority(child.pid)
    output, _ = child.communicate(timeout=seconds + 60)
    lines = [line for line in output.splitlines() if line.startswith("{")]
    if not lines:
        raise BenchError(f"wrk on port {port} says\n{output}")
    answer: dict[str, Any] = json.loads(lines[-1])
    return answer


def ratio(samples: dict[str, list[Sample]], name: str, base: str) -> float | None:
    """CPU per request of `name` over `base`'s, median of the rounds; None when one of them was not measured."""
    if name not in samples or base not in samples:
        return None
    return median(a.cpu_us / b.cpu_us for a, b in zip(samples[name], samples[base], strict=True))


def _rows(samples: dict[str, list[Sample]]) -> list[dict[str, Any]]:
    return [
        {
            "gateway": name,
            "CPU µs/request": median(s.cpu_us for s in of),
            "best": min(s.cpu_us for s in of),
            "÷ plain": ratio(samples, name, catalogue.PLAIN.name) or "",
            "÷ sglang": ratio(samples, name, catalogue.SGLANG.name) or "",
            "requests/s": median(s.requests_per_second for s in of),
            "p50 ms": median(s.p50_ms for s in of),
            "p99 ms": median(s.p99_ms for s in of),
            "RSS MB": max(s.rss_mb for s in of),
        }
        for name, of in samples.items()
    ]


def _direct(port: int, size: int, seconds: float) -> dict[str, Any]:
    answer = wrk(port, size, seconds)
    rate = answer["requests"] / answer["seconds"]
    return {"gateway": "no gateway", "requests/s": rate, "p50 ms": answer["p50_ms"], "p99 ms": answer["p99_ms"]}


def _targets(samples: dict[str, list[Sample]], size: int) -> list[Target]:
    limits = {catalogue.PLAIN.name: 1.25 if size == SIZES[0] else 1.3, catalogue.SGLANG.name: 0.55}
    ratios = {base: ratio(samples, catalogue.BERTH.name, base) for base in limits}
    return [
        Target(f"CPU per request at {size:,} bytes ÷ {base}", value, limits[base])
        for base, value in ratios.items()
        if value is not None
    ]
