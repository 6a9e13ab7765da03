"""`python -m serving.local_engine.benchmark --root STORE`: the figures in README.md, measured on this machine.

Starts one server after the other on a free port and loads it from this process, which shares the machine's cores with
it: throughputs are those of server and client together, and tokens per CPU-second those of the server alone.
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from serving.store import Version, resolve, versions

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Running:
    """A server under measurement."""

    url: str
    pid: int
    ready_seconds: float
    client: aiohttp.ClientSession

    @property
    def rss_megabytes(self) -> float:
        """Resident memory."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    @property
    def cpu_seconds(self) -> float:
        """User and system time."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    async def post(self, path: str, body: Any) -> Any:
        """The JSON answer."""
        async with self.client.post(self.url + path, json=body) as answer:
            answer.raise_for_status()
            return await answer.json()

    async def metric(self, name: str) -> float:
        """A sample without labels."""
        async with self.client.get(self.url + "/metrics") as answer:
            lines = (await answer.text()).splitlines()
        return float(next(line for line in lines if line.startswith(name + " ")).split()[1])


@asynccontextmanager
async def _server(version: Version, *flags: str) -> AsyncIterator[Running]:
    command = [sys.executable, "-m", "serving.local_engine", "--weights", str(version.path), "--model-id", "x"]
    started_at = time.perf_counter()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = await asyncio.create_subprocess_exec(
        *command, "--port", "0", *flags, stdout=subprocess.PIPE, env=environment
    )
    assert process.stdout is not None  # noqa: S101 - it was asked for
    ready = json.loads(await process.stdout.readline())
    took = time.perf_counter() - started_at
    drained = asyncio.create_task(process.stdout.read())
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:
        yield Running(f"http://127.0.0.1:{ready['port']}", process.pid, took, client)
    process.send_signal(signal.SIGTERM)
    await process.wait()
    await drained


async def _load(server: Running, clients: int, tokens: int, seconds: float) -> str:
    """Streams by `clients` at once, one after the other; throughput and time to first token."""
    first_tokens: list[float] = []
    events = 0

    async def ask(number: int) -> None:
        nonlocal events
        body = {
            "inputs": f"It was a dark night and the ship number {number % 10}",
            "parameters": {"max_new_tokens": tokens, "do_sample": True},
        }
        asked_at = time.perf_counter()
        async with server.client.post(server.url + "/generate_stream", json=body) as answer:
            waiting = True
            async for chunk in answer.content.iter_any():
                if waiting:
                    first_tokens.append(time.perf_counter() - asked_at)
                    waiting = False
                events += chunk.count(b"\n\n")

    async def keep_asking(number: int, until: float) -> None:
        while time.perf_counter() < until:
            await ask(number)

    await ask(0)
    first_tokens.clear()
    events, cpu, began = 0, server.cpu_seconds, time.perf_counter()
    await asyncio.gather(*(keep_asking(number, began + seconds) for number in range(clients)))
    took, cpu = time.perf_counter() - began, server.cpu_seconds - cpu
    batch = await server.metric("tgi_batch_next_size_sum") / await server.metric("tgi_batch_next_size_count")
    return (
        f"{events / took:6.0f} tokens/s  {events / cpu:6.0f} tokens/CPU-s  mean batch {batch:4.1f}  "
        f"first token p50 {statistics.median(first_tokens) * 1000:5.1f} ms  {server.rss_megabytes:4.0f} MB"
    )


async def _prefix(version: Version) -> str:
    """Time to one token after a long prompt, first without and then with its prefix in the cache."""
    cold: list[float] = []
    warm: list[float] = []
    async with _server(version) as server:
        for number in range(20):
            prompt = f"Number {number}: " + "of the crew came on deck and looked at the sky. " * 20
            for times in (cold, warm):
                asked_at = time.perf_counter()
                await server.post("/generate", {"inputs": prompt, "parameters": {"max_new_tokens": 1}})
                times.append((time.perf_counter() - asked_at) * 1000)
        tokens = await server.metric("local_prompt_tokens") / 40
    return f"{tokens:.0f} tokens: {statistics.median(cold):.1f} ms, again {statistics.median(warm):.1f} ms"


async def _vectors(version: Version, seconds: float) -> str:
    async with _server(version) as server:
        body, count = {"inputs": "How do I reset my password?"}, 0
        await server.post("/embed", body)
        cpu, began = server.cpu_seconds, time.perf_counter()
        while time.perf_counter() - began < seconds:
            await server.post("/embed", body)
            count += 1
        each = (time.perf_counter() - began) / count * 1000
        spent = (server.cpu_seconds - cpu) / count * 1000
        return f"{each:.1f} ms a request ({spent:.1f} CPU-ms), {server.rss_megabytes:.0f} MB"


async def _measure(root: Path, seconds: float) -> None:
    for version in versions(root):
        if version != resolve(root, version.manifest.name):
            continue
        async with _server(version) as server:
            await asyncio.sleep(0.2)
            _say(f"{version.manifest.name}: ready in {server.ready_seconds:.2f} s, {server.rss_megabytes:.0f} MB")
        if version.manifest.task == "embed":
            _say(f"  {await _vectors(version, seconds)}")
            continue
        for clients, flags in ((1, ()), (16, ("--workers", "2")), (16, ("--workers", "16"))):
            async with _server(version, "--max-concurrent-requests", "16", *flags) as server:
                note = " ".join(flags)
                _say(f"  {clients:2} clients {note:12} {await _load(server, clients, 60, seconds)}")
        if version.manifest.family == "gpt2":
            _say(f"  prefix cache, {await _prefix(version)}")


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a command's output


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every current model of a store."""
    parser = argparse.ArgumentParser(prog="python -m serving.local_engine.benchmark", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, metavar="DIR", help="folder of the store")
    parser.add_argument("--seconds", type=float, default=5.0, metavar="S", help="of load each (default %(default)s)")
    options = parser.parse_args(arguments)
    asyncio.run(_measure(options.root, options.seconds))


if __name__ == "__main__":
    main()
