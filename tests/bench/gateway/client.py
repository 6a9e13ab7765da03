"""Sends the requests of a trace through gateways at their times, and takes down when each answer began.

A program of its own, so that its priority can be raised: `python -m tests.bench.gateway.client --out FILE PORT...`
"""

import argparse
import asyncio
import gc
import json
import random
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.bench.gateway.contender import KEY, MODEL
from tests.bench.gateway.process import BenchError
from tests.bench.gateway.rules import session
from tests.bench.gateway.trace import Request, conversation, unshared
from tests.fakes.simulated_engine import exact_loop, text

_TOLD = re.compile(rb'"simulated": (\{[^}]*\})')
_END = b"0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer."""

    engine: int
    prompt_tokens: int
    cached_tokens: int
    engine_ttft: float
    """From the request's arrival at the engine, by the engine's own clock: seconds of the trace."""
    late: float
    """From the moment the request was due to its sending: seconds of the wall's clock."""
    first_byte: float
    """From its sending to the first byte of the answer: seconds of the wall's clock."""


class _Connection(asyncio.Protocol):
    """One connection with keep-alive."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._done: asyncio.Future[None] | None = None
        self.first_byte = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        if self._done and not self._done.done():
            self._done.set_exception(
                BenchError(f"the gateway closed a connection after {bytes(self._received)[:300]!r}")
            )

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        if not self.first_byte:
            self.first_byte = time.monotonic()
        self._received += data
        if self._done and not self._done.done():
            if not self._received.startswith(b"HTTP/1.1 200"):
                self._done.set_exception(BenchError(f"the gateway answered {bytes(self._received)[:300]!r}"))
            elif self._received.endswith(_END):
                self._done.set_result(None)

    async def ask(self, request: bytes) -> bytes:
        """Sends a request, returns the whole answer."""
        self._received.clear()
        self.first_byte = 0.0
        self._done = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        await self._done
        self._done = None
        return bytes(self._received)


class Client:
    """Many connections to the replicas of a gateway; each request takes an idle one at random."""

    def __init__(self, ports: Sequence[int], speedup: float) -> None:
        self._ports = ports
        self._speedup = speedup
        self._idle: dict[int, list[_Connection]] = {port: [] for port in ports}
        self._rng = random.Random(3)  # noqa: S311

    async def replay(self, requests: Sequence[Request]) -> list[Exchange]:
        """All exchanges. Raises BenchError when a request fails: none should."""
        loop = asyncio.get_running_loop()
        start = loop.time() + 0.2
        async with asyncio.TaskGroup() as group:
            tasks = []
            for request in requests:
                due = start + request.arrival / self._speedup
                # A little early, so that the body is ready when it is due.
                await asyncio.sleep(due - loop.time() - 0.002)
                tasks.append(group.create_task(self._exchange(request, due)))
        return [task.result() for task in tasks]

    async def _exchange(self, request: Request, due: float) -> Exchange:
        port = self._rng.choice(self._ports)
        message = _message(request)
        idle = self._idle[port]
        if idle:
            connection = idle.pop(self._rng.randrange(len(idle)))
        else:
            _, connection = await asyncio.get_running_loop().create_connection(_Connection, "127.0.0.1", port)
        await asyncio.sleep(due - time.monotonic())
        sent = time.monotonic()
        answer = await connection.ask(message)
        idle.append(connection)
        found = _TOLD.search(answer)
        if not found:
            raise BenchError(f"an answer that no simulated engine gave: {answer[:300]!r}")
        told = json.loads(found.group(1))
        return Exchange(
            told["engine"],
            request.prompt_tokens,
            told["cached_tokens"],
            told["ttft"],
            sent - due,
            connection.first_byte - sent,
        )


def _message(request: Request) -> bytes:
    prompt = text(list(request.numbers), request.prompt_tokens)
    body = json.dumps(
        {
            "model": MODEL,
            "stream": True,
            "max_tokens": request.output_tokens,
            "messages": [{"role": "user", "content": prompt}],
        },
        separators=(",", ":"),
    ).encode()
    return (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {KEY}\r\n"
        f"x-session-id: {session(request)}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode() + body


def main() -> None:
    """Replays; writes the exchanges as JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gateway.client")
    parser.add_argument("ports", nargs="+", type=int, help="one a replica of the gateway")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--speedup", required=True, type=float, help="seconds of the trace in one of the wall's")
    parser.add_argument("--rate", required=True, type=float, help="of arrivals, in those of the trace")
    parser.add_argument("--limit", type=int, help="only so many requests")
    parser.add_argument("--unshared", action="store_true", help="prompts that have nothing in common")
    options = parser.parse_args()
    requests = conversation(options.rate, options.limit)
    if options.unshared:
        requests = unshared(requests)
    gc.freeze()
    gc.disable()
    with exact_loop.runner() as runner:
        exchanges = runner.run(Client(options.ports, options.speedup).replay(requests))
    options.out.write_text(json.dumps([asdict(exchange) for exchange in exchanges]))


if __name__ == "__main__":
    main()
