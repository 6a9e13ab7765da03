"""A stand-in for a model server: answers in OpenAI's and TGI's forms at the pace that the request asks for.

It does not generate: every token is "t". It has no queue, no batch and no KV cache, and it checks nothing. What it is
good for: first-token delays, gaps, status codes, error events and abrupt ends on demand, and a list of what it was
sent. The request's member "fake" says how: {"first_ms": 0, "gap_ms": 0, "tokens": 3, "status": 200, "event": null,
"die": null, "early": false, "say": null, "hold": false}.

With "say": "x" the tokens are "x:0 ", "x:1 " … and "x#n" tells their number at the end, so that a client can tell
whether it got all of its own answer and nothing else. With "hold" a stream goes on until the engine is released. A
journal gets one line an event: what was asked, begun, ended, and left by its client.
"""

import argparse
import asyncio
import json
import ssl
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web


@dataclass
class Seen:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    port: int
    """The port it came to."""


@dataclass
class FakeEngine:
    """A server on 127.0.0.1, in a thread of its own loop."""

    port: int = 0
    seen: list[Seen] = field(default_factory=list)
    healthy: bool = True
    usage: dict[str, Any] = field(
        default_factory=lambda: {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    )
    default: dict[str, Any] = field(default_factory=dict)
    """Stands in for members of "fake" that a request does not have."""
    open: int = 0
    """Requests in progress."""
    more_ports: int = 0
    """Further ports, so that one process looks like many servers."""
    journal: Path | None = None
    """A file that gets a line {"id": <say>, "event": "asked" | "begun" | "ended" | "left"} an event, at once."""
    released: bool = False
    """Streams that were held end."""

    @property
    def ports(self) -> list[int]:
        """All ports it listens on."""
        return [address[1] for address in self._runner.addresses]

    def app(self) -> web.Application:
        app = web.Application(client_max_size=64 << 20)
        app.router.add_get("/health", self._health)
        app.router.add_get("/{path:.*}", self._get)
        app.router.add_post("/{path:.*}", self._post)
        return app

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response(status=200 if self.healthy else 503)

    async def _get(self, request: web.Request) -> web.Response:
        match request.path:
            case "/info":
                return web.json_response({"model_id": "fake"})
            case "/metrics":
                return web.Response(text="secret 1\n")
            case "/_seen":
                return web.json_response([s.__dict__ for s in self.seen])
            case "/_release":
                self.released = True
                return web.Response()
        return web.Response(status=404)

    async def _post(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        port = request.transport.get_extra_info("sockname")[1] if request.transport else 0
        self.seen.append(Seen(request.path_qs, dict(request.headers), body, port))
        fake = self.default | body.get("fake", {})
        self.open += 1
        self._note(fake, "asked")
        try:
            answer = await self._answer(request, body, fake)
        except ConnectionResetError:  # the client has gone
            self._note(fake, "left")
            return web.Response(status=499)
        else:
            if answer.status == 200:
                self._note(fake, "ended")
            return answer
        finally:
            self.open -= 1

    def _note(self, fake: dict[str, Any], event: str) -> None:
        if self.journal and fake.get("say"):
            with self.journal.open("a") as file:
                file.write(json.dumps({"id": fake["say"], "event": event}) + "\n")

    async def _answer(self, request: web.Request, body: dict[str, Any], fake: dict[str, Any]) -> web.StreamResponse:
        stream = body.get("stream") or request.path.endswith("/generate_stream")
        if not (stream and fake.get("early")):  # headers before the first token, as vLLM sends them
            await asyncio.sleep(fake.get("first_ms", 0) / 1000)
        if fake.get("die") == "before" and request.transport:
            request.transport.abort()
        if fake.get("status", 200) != 200:
            return web.json_response(
                {"error": "said so", "error_type": "fake"}, status=fake["status"], headers=fake.get("headers")
            )
        tokens = fake.get("tokens", 3)
        if not stream:
            text = f"{fake['say']}#{tokens}" if fake.get("say") else "t" * tokens
            self._note(fake, "begun")
            if request.path in ("/", "/generate"):
                return web.json_response({"generated_text": text, "details": {"generated_tokens": tokens}})
            return web.json_response({"model": body.get("model"), "choices": [{"text": text}], "usage": self.usage})
        return await self._stream(request, body, fake, tokens)

    async def _stream(
        self, request: web.Request, body: dict[str, Any], fake: dict[str, Any], tokens: int
    ) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await answer.prepare(request)
        if fake.get("early"):
            await asyncio.sleep(fake.get("first_ms", 0) / 1000)
        if fake.get("event") is not None:
            await answer.write(f"data: {json.dumps(fake['event'])}\n\n".encode())
            return answer
        i = 0
        while i < tokens or (fake.get("hold") and not self.released):
            if i:
                await asyncio.sleep(fake.get("gap_ms", 0) / 1000)
            if fake.get("die") == i and request.transport:
                request.transport.abort()
                raise ConnectionResetError
            await answer.write(_chunk(f"{fake['say']}:{i} " if fake.get("say") else "t"))
            if i == 0:
                self._note(fake, "begun")
            i += 1
        if fake.get("say"):
            await answer.write(_chunk(f"{fake['say']}#{i}"))
        if body.get("stream_options", {}).get("include_usage"):
            await answer.write(f"data: {json.dumps({'choices': [], 'usage': self.usage})}\n\n".encode())
        await answer.write(b"data: [DONE]\n\n")
        return answer

    def start(self, tls: ssl.SSLContext | None = None) -> "FakeEngine":
        """Listens, with TLS where there is a context; `port` is set when it returns."""
        self._loop = asyncio.new_event_loop()
        # aiohttp takes 0 for no limit at all.
        self._runner = web.AppRunner(self.app(), access_log=None, shutdown_timeout=0.1)
        started = threading.Event()

        async def serve() -> None:
            await self._runner.setup()
            for port in (self.port, *[0] * self.more_ports):
                await web.TCPSite(self._runner, "127.0.0.1", port, backlog=1024, ssl_context=tls).start()
            self.port = self._runner.addresses[0][1]
            started.set()

        def run() -> None:
            self._loop.run_until_complete(serve())
            self._loop.run_forever()
            self._loop.run_until_complete(self._runner.cleanup())
            self._loop.close()

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        if not started.wait(10):
            raise RuntimeError("the fake engine does not start")
        return self

    def stop(self) -> None:
        """Closes the port and cuts what is open."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)


def _chunk(content: str) -> bytes:
    return b'data: {"choices":[{"delta":{"content":"%s"}}]}\n\n' % content.encode()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--journal", type=Path)
    parser.add_argument("--default", type=json.loads, default={}, help='members of "fake" for all requests, as JSON')
    options = parser.parse_args()
    # SIGTERM closes the port and waits for open streams, as the kit's own engine does.
    web.run_app(
        FakeEngine(journal=options.journal, default=options.default).app(),
        host="127.0.0.1",
        port=options.port,
        access_log=None,
        print=None,
        backlog=1024,
    )
