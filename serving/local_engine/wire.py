"""Reading JSON bodies and writing server-sent events."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NoReturn

from aiohttp import web

from serving.local_engine.errors import MalformedBodyError

MAX_BODY_BYTES = 2_000_000
"""TGI's PAYLOAD_LIMIT."""


async def json_object(request: web.Request) -> dict[str, Any]:
    """The body; MalformedBodyError when it is too large (413), no JSON (400) or no object (422)."""
    try:
        content = json.loads(await request.read(), parse_constant=_refuse_constant)
    except web.HTTPRequestEntityTooLarge as error:
        raise MalformedBodyError(f"the body is larger than {MAX_BODY_BYTES} bytes", status=413) from error
    except ValueError as error:
        raise MalformedBodyError(f"Failed to parse the request body as JSON: {error}", status=400) from error
    if not isinstance(content, dict):
        raise MalformedBodyError("the request body must be a JSON object")
    return content


def string(body: Mapping[str, Any], name: str) -> str:
    """A field that must be there and must be a string."""
    value = body.get(name)
    if not isinstance(value, str):
        raise MalformedBodyError(f"`{name}` is missing" if value is None else f"`{name}` must be a string")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def compact(payload: object) -> bytes:
    """JSON without spaces, as TGI writes it."""
    return json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode()


class EventStream:
    """An open stream of server-sent events."""

    def __init__(self, response: web.StreamResponse) -> None:
        self.response = response

    async def send(self, *payloads: object) -> None:
        """One event a payload, all in one write; strings go as they are."""
        lines = (payload.encode() if isinstance(payload, str) else compact(payload) for payload in payloads)
        await self.response.write(b"".join(b"data: " + line + b"\n\n" for line in lines))

    async def keep_alive(self) -> None:
        """A comment, which clients ignore and proxies take as a sign of life."""
        await self.response.write(b":\n\n")


@asynccontextmanager
async def event_stream(request: web.Request, headers: Mapping[str, str]) -> AsyncIterator[EventStream]:
    """Send the head of an answer of events; the stream is ended when the block is left."""
    response = web.StreamResponse(
        headers={"content-type": "text/event-stream", "cache-control": "no-cache", "x-accel-buffering": "no", **headers}
    )
    await response.prepare(request)
    yield EventStream(response)
    await response.write_eof()
