"""Who asks, for the log."""

from dataclasses import dataclass

from aiohttp import web

_LONGEST_ID = 128


@dataclass(frozen=True, slots=True)
class Caller:
    """Where a request came in, and the id that the gateway gave it."""

    route: str
    request_id: str | None


def caller(request: web.Request) -> Caller:
    """From the path and the x-request-id header."""
    request_id = request.headers.get("x-request-id")
    return Caller(request.path, request_id[:_LONGEST_ID] if request_id else None)
