"""The gRPC server that the engine talks to about resources of the package `kubernetes`."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import grpc

from tests.fakes.kubernetes_provider.engine import Engine
from tests.fakes.kubernetes_provider.protocol import provider_pb2_grpc
from tests.fakes.kubernetes_provider.provider import Provider

MESSAGE_BYTES = 400 << 20
# Every wait holds one.
THREADS = 128
WATCH_SECONDS = 1.0


def _refuse(name: str) -> Callable[..., NoReturn]:
    def method(_self: Provider, _request: Any, context: Any) -> NoReturn:
        context.abort(
            grpc.StatusCode.UNIMPLEMENTED, f"{name} is not in the test provider for kubernetes; see its README.md"
        )
        raise NotImplementedError(name)

    return method


# The generated base class answers these with a traceback on standard error.
for _name in vars(provider_pb2_grpc.ResourceProviderServicer):
    if not _name.startswith("_") and _name not in vars(Provider):
        setattr(Provider, _name, _refuse(_name))


def serve(arguments: list[str]) -> int:
    """Serves until SIGTERM, or until the engine is gone. Prints the port, as the engine expects."""
    address = arguments[-1] if arguments and not arguments[-1].startswith("-") else ""
    provider = Provider(Engine(address))
    limits = [("grpc.max_receive_message_length", MESSAGE_BYTES), ("grpc.max_send_message_length", MESSAGE_BYTES)]
    server = grpc.server(ThreadPoolExecutor(max_workers=THREADS), options=limits)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    port = server.add_insecure_port("127.0.0.1:0")
    stop = threading.Event()
    # The engine interrupts its plugins in the end. A person's Ctrl-C does not get here: they are a group of their own.
    for kind in (signal.SIGINT, signal.SIGTERM):
        signal.signal(kind, lambda *_: stop.set())
    parent = os.getppid()
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    while not stop.wait(WATCH_SECONDS) and os.getppid() == parent:
        pass
    provider.stopping.set()
    server.stop(grace=None).wait()
    return 0
