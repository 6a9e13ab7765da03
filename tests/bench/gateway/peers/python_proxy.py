"""A reverse proxy as one writes it in Python: aiohttp on both sides, round robin, answers passed on as they come.

    python python_proxy.py PORT BACKEND_PORT...

It stands for gateways whose request path is Python. It reads nothing of a request, and checks, limits and logs nothing,
so real ones of this kind cost more.
"""

import itertools
import sys

from aiohttp import ClientSession, ClientTimeout, TCPConnector, web

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}


async def main(backends: list[str]) -> web.Application:
    """The application; its session lives as long as it does."""
    turn = itertools.cycle(f"http://127.0.0.1:{port}" for port in backends)
    session = ClientSession(connector=TCPConnector(limit=0), timeout=ClientTimeout(total=None), auto_decompress=False)

    async def handle(request: web.Request) -> web.StreamResponse:
        headers = {k: v for k, v in request.headers.items() if k.lower() not in HOP_BY_HOP}
        body = await request.read()
        async with session.request(request.method, next(turn) + request.path_qs, headers=headers, data=body) as answer:
            kept = {k: v for k, v in answer.headers.items() if k.lower() not in HOP_BY_HOP}
            response = web.StreamResponse(status=answer.status, headers=kept)
            if answer.content_length is not None:
                response.content_length = answer.content_length
            await response.prepare(request)
            async for piece in answer.content.iter_any():
                await response.write(piece)
            await response.write_eof()
            return response

    application = web.Application(client_max_size=10_000_000)
    application.router.add_route("*", "/{path:.*}", handle)
    return application


if __name__ == "__main__":
    web.run_app(main(sys.argv[2:]), host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
