"""From start to exit: load, listen, serve, and on SIGTERM stop listening, finish what is open, leave."""

import asyncio
import signal
import sys
import time
from collections.abc import Callable

from aiohttp import web

from serving.local_engine.app import LimitsError, build
from serving.local_engine.loading import Loaded, load
from serving.local_engine.log import log
from serving.local_engine.options import Options
from serving.store.errors import StoreError

EXIT_CUT = 1
"""Requests were still open when the time to drain was over."""
EXIT_LIMITS = 2
"""The flags do not fit the model."""
EXIT_WEIGHTS = 3
"""The weights are not what their manifest says."""
EXIT_ADDRESS = 4
"""The address could not be bound."""


def run(options: Options) -> int:
    """Serve until told to stop; the exit code."""
    started_at = time.perf_counter()
    try:
        loaded = load(options.weights, workers=options.workers, prefix_cache_tokens=options.prefix_cache_tokens)
    except StoreError as error:
        return _refuse(EXIT_WEIGHTS, str(error))
    return asyncio.run(_serve(loaded, options, started_at))


async def _serve(loaded: Loaded, options: Options, started_at: float) -> int:
    try:
        serving = build(loaded, options)
    except LimitsError as error:
        return _refuse(EXIT_LIMITS, str(error))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal(_number: int, _frame: object) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(stop.set)

    # Not loop.add_signal_handler: a second signal while the process leaves would meet the default action and turn an
    # orderly exit into a kill.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    runner = web.AppRunner(
        serving.app,
        access_log=None,
        handler_cancellation=True,  # a handler whose client is gone ends, and its place is free
        shutdown_timeout=options.drain_seconds + 0.5,
    )
    await runner.setup()
    try:
        # As with TGI, the port opens when the model is ready: until then probes are refused.
        await web.TCPSite(runner, options.host, options.port).start()
    except OSError as error:
        where = f"{options.host}:{options.port}"
        return _refuse(EXIT_ADDRESS, f"cannot listen on {where}: {error.strerror or error}; choose another --port")
    _, port = runner.addresses[0][:2]
    log(
        "ready",
        model=options.model_id,
        weights=f"{loaded.manifest.name}@{loaded.manifest.version}",
        task=loaded.manifest.task,
        host=options.host,
        port=port,
        start_seconds=round(time.perf_counter() - started_at, 2),
    )
    await stop.wait()
    return await _drain(runner, serving.scheduler.open_requests, options.drain_seconds)


async def _drain(runner: web.AppRunner, open_requests: Callable[[], int], seconds: float) -> int:
    """Close the listener at once and idle connections with it, and let handlers finish; 0 when all did in time."""
    started_at = time.perf_counter()
    log("draining", open=open_requests(), seconds=seconds)
    cut = 0

    def deadline() -> None:
        nonlocal cut
        cut = open_requests()
        if cut:
            log("cutting", level="WARN", open=cut)

    timer = asyncio.get_running_loop().call_later(seconds, deadline)
    await runner.cleanup()
    timer.cancel()
    log("drained", cut=cut, took_seconds=round(time.perf_counter() - started_at, 2))
    return EXIT_CUT if cut else 0


def _refuse(code: int, message: str) -> int:
    log("refused to start", level="ERROR", error=message, exit_code=code)
    sys.stderr.write(f"local engine: {message}\n")
    return code
