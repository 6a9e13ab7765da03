"""What a gateway adds to each event of 2,000 open streams.

The mock writes an event of every stream each 100 ms and stamps it; the client tells how long it took to arrive. What
the same takes without a gateway is subtracted. The gateway has core 0, the mock and the client share core 1.
"""

import json
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.gateway import catalogue, native, process
from tests.bench.gateway.catalogue import Contender
from tests.bench.gateway.contender import KEY, MODEL, Running, Setting
from tests.bench.gateway.process import BenchError, Processes, free_ports
from tests.bench.gateway.report import Report, Target

STREAMS = 2_000
TOKENS = 120
INTERVAL_MS = 100
RAMP_MS = 4_000
BACKENDS = 8
LOAD_CORE = "1"
PROMPT_BYTES = 1_500


def report(contenders: Sequence[Contender] = catalogue.ALL, rounds: int = 3) -> Report:
    """Measures and reports."""
    result = Report(
        "streams",
        f"{STREAMS:,} open streams",
        f"{STREAMS:,} streams of {TOKENS} events, one each {INTERVAL_MS} ms ({STREAMS * 1000 // INTERVAL_MS:,} events "
        f"a second) opened within {RAMP_MS // 1000} s; delays from mock to client while all are "
        f"open, less those without a gateway in the same round; {rounds} rounds in turn, medians. Gateway on core 0, "
        f"mock and client on core {LOAD_CORE}.",
    )
    folder = Path("build/bench/run/streams")
    with Processes(folder) as processes:
        backends = tuple(free_ports(BACKENDS))
        argv: list[str | Path] = [
            native.program("mock"),
            "--tokens",
            str(TOKENS),
            "--interval-ms",
            str(INTERVAL_MS),
            *map(str, backends),
        ]
        processes.start("mock", argv, core=LOAD_CORE).wait_port(backends[-1])
        gateways = {c.name: c.start(Setting(processes, backends, c.core)) for c in contenders}
        body = folder / "body.json"
        body.write_text(_body())
        samples: dict[str, list[dict[str, float]]] = {name: [] for name in gateways}
        for _ in range(rounds):
            direct = client(backends, body)
            for name, gateway in gateways.items():
                samples[name].append(_through(gateway, body, direct))
    result.table("Added to each event", [_row(name, of) for name, of in samples.items()])
    plain, own = (samples.get(c.name) for c in (catalogue.PLAIN, catalogue.BERTH))
    if plain and own:
        added = [a["added p50"] / b["added p50"] for a, b in zip(own, plain, strict=True)]
        result.targets.append(Target("added p50 per event ÷ envoy plain", median(added), 1.1))
    return result


def client(ports: Sequence[int], body: Path) -> dict[str, Any]:
    """Runs native/streams.c; what it prints."""
    argv = ["taskset", "-c", LOAD_CORE, native.program("streams"), "--count", STREAMS, "--ramp-ms", RAMP_MS]
    argv += ["--body", body, "--header", f"authorization: Bearer {KEY}", *ports]
    child = subprocess.Popen([str(a) for a in argv], stdout=subprocess.PIPE, text=True, start_new_session=True)
    process.raise_priority(child.pid)
    output, _ = child.communicate(timeout=300)
    answer: dict[str, Any] = json.loads(output)
    if answer["completed"] != STREAMS:
        raise BenchError(f"{answer['completed']} of {STREAMS} streams on port {ports[0]} came to their end: {output}")
    return answer


def _through(gateway: Running, body: Path, direct: dict[str, Any]) -> dict[str, float]:
    before = gateway.cpu_seconds()
    peak = [0]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.5):
            peak[0] = max(peak[0], gateway.rss_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        answer = client(gateway.ports[:1], body)
    finally:
        over.set()
        watcher.join()
    gateway.check()
    added = {f"added {q}": (answer[q] - direct[q]) / 1e3 for q in ("p50", "p99", "mean")}
    cpu = (gateway.cpu_seconds() - before) / answer["chunks"] * 1e6
    return {**added, "p50": answer["p50"] / 1e3, "cpu_us": cpu, "rss_mb": peak[0] / 1e6}


def _row(name: str, samples: list[dict[str, float]]) -> dict[str, Any]:
    return {
        "gateway": name,
        "added p50 ms": median(s["added p50"] for s in samples),
        "added p99 ms": median(s["added p99"] for s in samples),
        "p50 ms": median(s["p50"] for s in samples),
        "CPU µs/event": median(s["cpu_us"] for s in samples),
        "RSS MB, peak": max(s["rss_mb"] for s in samples),
    }


def _body() -> str:
    text = "00000000 " + "lorem ipsum dolor sit amet consectetur " * (PROMPT_BYTES // 39)
    body = {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": text}]}
    return json.dumps(body, separators=(",", ":"))
