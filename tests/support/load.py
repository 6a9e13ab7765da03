"""Clients in a thread of their own: streams that follow each other, and short calls at a steady rate.

They speak OpenAI's chat API to an engine that says whose answer it is (tests/fakes/engine.py), and write down what they
get. Nothing is sent twice: a client that retries would hide what a drill is to show (aiohttp does not for POST).
"""

import asyncio
import json
import random
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp

from tests.support.history import Call, History, Outcome

SILENCE_SECONDS = 25
"""An answer that is silent for longer counts as broken."""
PATIENCE_SECONDS = 60


class Load:
    """Runs from entering to leaving the block; what is open then may end.

    `streams` clients, each with one stream after the other; `rate` short calls a second, every other one on a new
    connection. Both at `url` with `key`, which may be changed meanwhile. With `once` each client has one stream.
    """

    def __init__(
        self,
        history: History,
        url: str,
        key: str,
        *,
        name: str = "",
        streams: int = 20,
        rate: float = 50,
        model: str = "chat",
        fake: dict[str, Any] | None = None,
        short: dict[str, Any] | None = None,
        once: bool = False,
        seed: int = 1,
        canary: str = "",
    ) -> None:
        """`fake` and `short`: what the engine is asked to do for a stream and for a short call. `canary`: a text that
        is in every prompt."""
        self.url = url
        self._history = history
        self.key = key
        self._name = name
        self._streams = streams
        self._rate = rate
        self._model = model
        self._fake = fake or {"tokens": 20, "gap_ms": 100, "first_ms": 50}
        self._short = short or {"tokens": 3, "first_ms": 20}
        self._once = once
        self._random = random.Random(seed)  # noqa: S311
        self._canary = canary
        self._number = 0
        self._stopping = False
        self._loop = asyncio.new_event_loop()
        self._mine: list[Call] = []
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stopping = True
        if kind is not None:
            self._loop.call_soon_threadsafe(self._main.cancel)
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive(), f"calls without an end: {History(self._mine).of(Outcome.OPEN)[:5]}"
        if self._failure is not None and kind is None:
            raise self._failure

    def mine(self) -> History:
        """The calls of this load."""
        return History(list(self._mine))

    def ended(self, streams: int = 0, short: int = 0) -> None:
        """Waits until so many more streams and short calls have ended, whatever their outcome."""
        goal = [self._ended(True) + streams, self._ended(False) + short]
        self._wait(
            lambda: self._ended(True) >= goal[0] and self._ended(False) >= goal[1],
            f"{streams} more streams and {short} more short calls have ended",
        )

    def flowing(self) -> None:
        """Waits until every stream client has an open stream with a first token."""
        self._wait(
            lambda: len([c for c in list(self._mine) if c.stream and c.chunks and not c.ended]) == self._streams,
            f"{self._streams} streams flow",
        )

    def open(self) -> list[Call]:
        """Streams that flow now."""
        return [call for call in list(self._mine) if call.stream and call.chunks and not call.ended]

    def _ended(self, stream: bool) -> int:
        return len([call for call in list(self._mine) if call.stream is stream and call.ended])

    def _wait(self, true: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while not true():
            assert time.monotonic() < end, f"not within {PATIENCE_SECONDS} s: {what}; {History(self._mine)}"
            assert self._thread.is_alive(), f"the clients have stopped: {self._failure}"
            time.sleep(0.02)

    def _run(self) -> None:
        self._main = self._loop.create_task(self._clients())
        try:
            self._loop.run_until_complete(self._main)
        except asyncio.CancelledError:
            pass
        except BaseException as error:  # noqa: BLE001 - handed to the thread that asked for the load
            self._failure = error
        finally:
            self._loop.close()

    async def _clients(self) -> None:
        sessions = self._session(limit=0), self._session(limit=0, force_close=True)
        async with sessions[0] as kept, sessions[1] as fresh, asyncio.TaskGroup() as group:
            for _ in range(self._streams):
                group.create_task(self._one_after_the_other(kept))
            if self._rate:
                group.create_task(self._steadily(group, kept, fresh))

    def _session(self, **connector: Any) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=None, sock_read=SILENCE_SECONDS, sock_connect=10),
            connector=aiohttp.TCPConnector(**connector),
        )

    async def _one_after_the_other(self, session: aiohttp.ClientSession) -> None:
        await asyncio.sleep(self._random.random() * 0.3)
        while not self._stopping:
            call = await self._call(session, self._fake, stream=True)
            if self._once:
                return
            if call.outcome is not Outcome.WHOLE:
                await asyncio.sleep(0.1 + self._random.random() * 0.2)

    async def _steadily(
        self, group: asyncio.TaskGroup, kept: aiohttp.ClientSession, fresh: aiohttp.ClientSession
    ) -> None:
        turn = 0
        while not self._stopping:
            await asyncio.sleep(self._random.expovariate(self._rate))
            turn += 1
            call: Coroutine[Any, Any, Call] = self._call(fresh if turn % 2 else kept, self._short, stream=False)
            group.create_task(call)

    async def _call(self, session: aiohttp.ClientSession, fake: dict[str, Any], *, stream: bool) -> Call:
        self._number += 1
        call = Call(f"{self._name}{'s' if stream else 'c'}{self._number}", stream, self.url, time.monotonic())
        self._mine.append(call)
        self._history.calls.append(call)
        body = {
            "model": self._model,
            "messages": [{"role": "user", "content": f"{self._canary} {call.id}"}],
            "stream": stream,
            "fake": {**fake, "say": call.id},
        }
        try:
            headers = {"authorization": f"Bearer {self.key}"}
            async with session.post(f"{call.url}/v1/chat/completions", json=body, headers=headers) as answer:
                call.status = answer.status
                if answer.status != 200:
                    _refused(call, await answer.text())
                elif stream:
                    async for line in answer.content:
                        _event(call, line)
                else:
                    _short(call, await answer.text())
            if call.outcome is Outcome.OPEN:
                call.outcome = Outcome.WHOLE if call.done else Outcome.CUT
                call.detail = "" if call.done else "ended without [DONE]"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            _broken(call, f"{type(error).__name__}: {error}")
        finally:
            call.ended = time.monotonic()
        return call


def _refused(call: Call, text: str) -> None:
    """An error must say why, in OpenAI's form."""
    try:
        call.detail = json.loads(text)["error"]["message"]
    except (ValueError, LookupError, TypeError):
        call.detail = ""
    call.outcome = Outcome.REFUSED if call.detail else Outcome.WRONG
    call.detail = f"{call.status}: {call.detail or text[:200]}"


def _short(call: Call, text: str) -> None:
    said = json.loads(text)["choices"][0]["text"]
    if said.startswith(f"{call.id}#"):
        call.done = True
    else:
        call.outcome, call.detail = Outcome.WRONG, f"{said!r} is not mine"


def _event(call: Call, line: bytes) -> None:
    """One line of a stream."""
    if not line.startswith(b"data: ") or call.outcome is Outcome.WRONG:
        return
    if call.done:
        call.outcome, call.detail = Outcome.WRONG, f"after [DONE]: {line[:100]!r}"
    elif line.strip() == b"data: [DONE]":
        call.done = call.total == call.chunks
        if not call.done:
            call.outcome, call.detail = Outcome.WRONG, f"[DONE] after {call.chunks} tokens of {call.total}"
    else:
        event = json.loads(line[6:])
        if "error" in event:
            call.outcome, call.detail = Outcome.CUT, f"error event: {json.dumps(event['error'])[:200]}"
            return
        said = event["choices"][0]["delta"]["content"]
        if said == f"{call.id}:{call.chunks} ":
            call.last = time.monotonic()
            call.first = call.first or call.last
            call.chunks += 1
        elif said == f"{call.id}#{call.chunks}":
            call.total = call.chunks
        else:
            call.outcome, call.detail = Outcome.WRONG, f"token {call.chunks} is {said!r}"


def _broken(call: Call, why: str) -> None:
    if call.outcome is Outcome.OPEN:
        call.outcome = Outcome.CUT if call.status == 200 else Outcome.LOST
        call.detail = why
