"""A stand-in for a model server: answers in OpenAI's and TGI's forms at the pace that the request asks for.

It does not generate: every token is "t". It has no queue, no batch and no KV cache, and it checks nothing. What it is
good for: first-token delays, gaps, status codes, error events and abrupt ends on demand, and a list of what it was
sent. The request's member "fake" says how: {"first_ms": 0, "gap_ms": 0, "tokens": 3, "status": 200, "event": null,
"die": null, "early": false}.
"""

import argparse
import asyncio
import json
import threading
from dataclasses import dataclass, field
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
        return web.Response(status=404)

    async def _post(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        port = request.transport.get_extra_info("sockname")[1] if request.transport else 0
        self.seen.append(Seen(request.path_qs, dict(request.headers), body, port))
        fake = self.default | body.get("fake", {})
        self.open += 1
        try:
            return await self._answer(request, body, fake)
        except ConnectionResetError:  # the client has gone
            return web.Response(status=499)
        finally:
            self.open -= 1

    async def _answer(self, request: web.Request, body: dict[str, Any], fake: dict[str, Any]) -> web.StreamResponse:
        early = fake.get("early")  # headers before the first token, as vLLM sends them
        stream = body.get("stream") or request.path.endswith("/generate_stream")
        if not (stream and early):
            await asyncio.sleep(fake.get("first_ms", 0) / 1000)
        if fake.get("die") == "before" and request.transport:
            request.transport.abort()
        if fake.get("status", 200) != 200:
            return web.json_response(
                {"error": "said so", "error_type": "fake"}, status=fake["status"], headers=fake.get("headers")
            )
        tokens = fake.get("tokens", 3)
        if not stream:
            if request.path in ("/", "/generate"):
                return web.json_response({"generated_text": "t" * tokens, "details": {"generated_tokens": tokens}})
            return web.json_response(
                {"model": body.get("model"), "choices": [{"text": "t" * tokens}], "usage": self.usage}
            )
        answer = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await answer.prepare(request)
        if early:
            await asyncio.sleep(fake.get("first_ms", 0) / 1000)
        if fake.get("event") is not None:
            await answer.write(f"data: {json.dumps(fake['event'])}\n\n".encode())
            return answer
        for i in range(tokens):
            if i:
                await asyncio.sleep(fake.get("gap_ms", 0) / 1000)
            if fake.get("die") == i and request.transport:
                request.transport.abort()
                return answer
            await answer.write(b'data: {"choices":[{"delta":{"content":"t"}}]}\n\n')
        if body.get("stream_options", {}).get("include_usage"):
            await answer.write(f"data: {json.dumps({'choices': [], 'usage': self.usage})}\n\n".encode())
        await answer.write(b"data: [DONE]\n\n")
        return answer

    def start(self) -> "FakeEngine":
        """Listens; `port` is set when it returns."""
        self._loop = asyncio.new_event_loop()
        self._runner = web.AppRunner(self.app(), access_log=None, shutdown_timeout=0)
        started = threading.Event()

        async def serve() -> None:
            await self._runner.setup()
            for port in (self.port, *[0] * self.more_ports):
                await web.TCPSite(self._runner, "127.0.0.1", port, backlog=1024).start()
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


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, required=True)
    web.run_app(
        FakeEngine().app(),
        host="127.0.0.1",
        port=arguments.parse_args().port,
        access_log=None,
        print=None,
        backlog=1024,
    )
