"""A client that keeps the history of its streams, so that a test can say how many were cut or doubled.

It speaks TGI's `/generate_stream`: every event has a running index, the last one the whole text, so each stream
proves by itself that nothing is missing and nothing came twice.
"""

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass, field

import aiohttp

IDLE_SECONDS = 20
"""A stream that is silent for longer counts as cut."""


@dataclass(slots=True)
class Stream:
    """One request and what became of it."""

    started: float
    ended: float = 0.0
    status: int = 0
    tokens: int = 0
    outcome: str = "open"
    """`whole`, `refused` (an HTTP error before the first token), `cut` (ended early), `doubled` (an index twice)."""
    detail: str = ""


@dataclass(slots=True)
class History:
    """All streams of a run."""

    streams: list[Stream] = field(default_factory=list)

    def counts(self) -> Counter[str]:
        """Streams by outcome."""
        return Counter(stream.outcome for stream in self.streams)

    def failures(self) -> list[Stream]:
        """Streams that did not end whole."""
        return [stream for stream in self.streams if stream.outcome != "whole"]


class Load:
    """`clients` concurrent streams against one model, each followed by the next until `stop`."""

    def __init__(self, url: str, key: str, clients: int, tokens: int = 40) -> None:
        self.url = url
        self.history = History()
        self._key = key
        self._clients = clients
        self._tokens = tokens
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Load":
        timeout = aiohttp.ClientTimeout(total=None, sock_read=IDLE_SECONDS, sock_connect=5)
        connector = aiohttp.TCPConnector(limit=0)
        self._session = aiohttp.ClientSession(
            headers={"authorization": f"Bearer {self._key}"}, timeout=timeout, connector=connector
        )
        self._tasks = [asyncio.create_task(self._client(number)) for number in range(self._clients)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping = True
        await asyncio.gather(*self._tasks)
        await self._session.close()

    async def finished(self, count: int) -> None:
        """Waits until `count` more streams have ended."""
        goal = len([s for s in self.history.streams if s.outcome != "open"]) + count
        while len([s for s in self.history.streams if s.outcome != "open"]) < goal:
            await asyncio.sleep(0.05)

    async def _client(self, number: int) -> None:
        turn = 0
        while not self._stopping:
            turn += 1
            stream = Stream(started=time.monotonic())
            self.history.streams.append(stream)
            await self._one(stream, f"Client {number}, turn {turn}: the whale ")
            stream.ended = time.monotonic()
            if stream.outcome != "whole":
                await asyncio.sleep(0.2)

    async def _one(self, stream: Stream, prompt: str) -> None:
        body = {"inputs": prompt, "parameters": {"max_new_tokens": self._tokens, "details": True}}
        text = ""
        try:
            async with self._session.post(f"{self.url}/generate_stream", json=body) as answer:
                stream.status = answer.status
                if answer.status != 200:
                    stream.outcome, stream.detail = "refused", (await answer.text())[:200]
                    return
                async for line in answer.content:
                    if not line.startswith(b"data:"):
                        continue
                    event = json.loads(line[5:])
                    if "error" in event:
                        stream.outcome, stream.detail = "refused" if not stream.tokens else "cut", str(event)
                        return
                    if event["index"] <= stream.tokens:
                        stream.outcome, stream.detail = "doubled", str(event)
                        return
                    stream.tokens = event["index"]
                    text += event["token"]["text"] if not event["token"]["special"] else ""
                    if event["generated_text"] is not None:
                        whole = (
                            event["generated_text"] == text and event["details"]["generated_tokens"] == stream.tokens
                        )
                        stream.outcome = "whole" if whole else "cut"
                        stream.detail = "" if whole else f"{event['generated_text']!r} is not {text!r}"
            if stream.outcome == "open":
                stream.outcome, stream.detail = "cut", "ended without its last event"
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            stream.outcome = "cut" if stream.status == 200 else "refused"
            stream.detail = f"{type(error).__name__}: {error}"
