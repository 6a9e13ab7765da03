"""Simulated engines behind HTTP/1.1, as many as there are ports, all in one process."""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

from tests.fakes.simulated_engine import exact_loop
from tests.fakes.simulated_engine.engine import Engine, Event, Job, Pace
from tests.fakes.simulated_engine.prompt import blocks

_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\n"


@dataclass(slots=True)
class Clock:
    """Time of the engines in seconds, `speedup` times as fast as the wall's."""

    speedup: float = 1.0
    started: float = field(default_factory=time.monotonic)

    def now(self) -> float:
        """Now."""
        return (time.monotonic() - self.started) * self.speedup

    def wall(self, at: float) -> float:
        """The event loop's time of a moment."""
        return self.started + at / self.speedup


class Driver:
    """Turns one engine's clock, and brings its events to the connections that wait for them."""

    def __init__(self, number: int, engine: Engine, clock: Clock) -> None:
        self.number = number
        self.engine = engine
        self.clock = clock
        self._timer: asyncio.TimerHandle | None = None
        self._owners: dict[Job, Connection] = {}

    def submit(self, job: Job, owner: "Connection") -> None:
        """A request of this connection."""
        self.tick()
        self._owners[job] = owner
        self.engine.submit(self.clock.now(), job)
        self._set_timer()

    def cancel(self, job: Job) -> None:
        """Its connection is gone."""
        if self._owners.pop(job, None):
            self.engine.cancel(self.clock.now(), job)
            self.tick()

    def tick(self) -> None:
        """Tells what has happened until now."""
        for event, job in self.engine.advance(self.clock.now()):
            owner = self._owners.get(job)
            if event is Event.FINISHED:
                self._owners.pop(job, None)
            if owner:
                owner.happened(event, job)
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
        at = self.engine.next_event()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at(self.clock.wall(at), self.tick) if at is not None else None


class Connection(asyncio.Protocol):
    """One connection; requests one after the other."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._received = bytearray()
        self._job: Job | None = None
        self._streams = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        if self._job:
            self._driver.cancel(self._job)

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        self._received += data
        head_end = self._received.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = bytes(self._received[:head_end]).decode("latin-1").split("\r\n")
        fields = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:])}
        end = head_end + 4 + int(fields.get("content-length", 0))
        if len(self._received) < end:
            return
        body = bytes(self._received[head_end + 4 : end])
        del self._received[:end]
        method, path, _ = head[0].split(" ", 2)
        if method == "POST" and path == "/v1/chat/completions":
            self._begin(json.loads(body))
        elif method == "POST" and path == "/tokenize":
            self._transport.write(_tokenized(body))
        elif method == "POST":
            self._transport.write(_NOT_FOUND)
        else:
            self._whole({"object": "list", "data": [{"id": "chat", "object": "model"}]})

    def _begin(self, request: dict[str, Any]) -> None:
        numbers, tokens = blocks("".join(message["content"] for message in request["messages"]))
        self._streams = bool(request.get("stream"))
        self._job = Job(numbers, tokens, request.get("max_tokens", 16))
        self._driver.submit(self._job, self)

    def happened(self, event: Event, job: Job) -> None:
        """The engine has something for this connection."""
        if event is Event.FINISHED:
            self._job = None
        if not self._streams:
            if event is Event.FINISHED:
                self._whole({"choices": [_choice("message", "stop")], "usage": _usage(job)} | self._told(job))
        elif event is Event.FIRST_TOKEN:
            head = _HEAD % b"text/event-stream" + b"transfer-encoding: chunked\r\n\r\n"
            self._transport.write(head + _chunk({"choices": [_choice("delta", None)]} | self._told(job)))
        else:
            last = _chunk({"choices": [_choice("delta", "stop")], "usage": _usage(job)})
            self._transport.write(last + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")

    def _told(self, job: Job) -> dict[str, Any]:
        """What only a simulated engine tells; times in seconds of its clock."""
        told = {
            "engine": self._driver.number,
            "cached_tokens": job.cached_tokens,
            "prompt_tokens": job.prompt_tokens,
            "ttft": job.first_token - job.arrived,
        }
        return {"object": "chat.completion.chunk", "model": "chat", "simulated": told}

    def _whole(self, answer: dict[str, Any]) -> None:
        self._transport.write(_json(answer))


@lru_cache(maxsize=4)
def _tokenized(body: bytes) -> bytes:
    """vLLM's /tokenize, with a token every 16 bytes. Some routers ask every backend for the tokens of each prompt."""
    prompt = "".join(message["content"] for message in json.loads(body)["messages"])
    tokens = [int(word) for word in prompt.split()]
    return _json({"count": len(tokens), "max_model_len": 1 << 20, "tokens": tokens, "token_strs": None})


def _json(answer: dict[str, Any]) -> bytes:
    body = json.dumps(answer).encode()
    return _HEAD % b"application/json" + b"content-length: %d\r\n\r\n" % len(body) + body


def _choice(kind: str, reason: str | None) -> dict[str, Any]:
    return {"index": 0, kind: {"role": "assistant", "content": "…"}, "finish_reason": reason}


def _usage(job: Job) -> dict[str, Any]:
    return {
        "prompt_tokens": job.prompt_tokens,
        "completion_tokens": job.output_tokens,
        "total_tokens": job.prompt_tokens + job.output_tokens,
        "prompt_tokens_details": {"cached_tokens": job.cached_tokens},
    }


def _chunk(event: dict[str, Any]) -> bytes:
    data = b"data: " + json.dumps(event).encode() + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(data), data)


async def serve(ports: Sequence[int], pace: Pace, speedup: float) -> None:
    """Engines on these ports of 127.0.0.1, until cancelled."""
    clock = Clock(speedup)
    loop = asyncio.get_running_loop()
    for number, port in enumerate(ports):
        driver = Driver(number, Engine(pace), clock)
        await loop.create_server(partial(Connection, driver), "127.0.0.1", port, backlog=1024)
    await asyncio.Event().wait()


def run(ports: Sequence[int], pace: Pace, speedup: float) -> None:
    """`serve`, on a loop whose timers are exact."""
    with exact_loop.runner() as runner:
        runner.run(serve(ports, pace, speedup))
