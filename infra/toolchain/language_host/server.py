"""The gRPC server that the engine talks to about Python programs."""

import importlib.metadata
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import grpc

from infra.toolchain.language_host import interpreter, plugin, program
from infra.toolchain.language_host.child import WATCH_SECONDS
from infra.toolchain.language_host.interpreter import InterpreterError
from infra.toolchain.language_host.processes import Processes
from infra.toolchain.language_host.protocol import Empty, language_pb2, language_pb2_grpc, plugin_pb2

# As the engine's own limit: a state of thousands of resources passes in one message.
MESSAGE_BYTES = 400 << 20
# Every program and every plugin holds one thread for as long as it runs; threads are only made when needed.
THREADS = 256
STOP_SECONDS = 2.0


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """What the engine may ask. Code generation and packaging are refused: they need an official installation."""

    def __init__(self, engine: str, environment: Mapping[str, str]) -> None:
        self._engine = engine
        self._environment = dict(environment)
        self.processes = Processes()

    def Handshake(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002 - names of the protocol
        """The engine may tell its address here instead of as an argument."""
        self._engine = request.engine_address or self._engine
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        """The version of the SDK that this host speaks for."""
        return plugin_pb2.PluginInfo(version=importlib.metadata.version("pulumi"))

    def GetRequiredPackages(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        """None: this host runs where plugins cannot be fetched; the engine says at its use which one is missing."""
        return language_pb2.GetRequiredPackagesResponse()

    def InstallDependencies(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Nothing to do where the environment is there, which `make` or its owner made."""
        try:
            interpreter.choose(Path(request.info.root_directory), program.options(request.info), self._environment)
        except InterpreterError as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        return iter(())

    def RuntimeOptionsPrompts(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        """No questions for `pulumi new`."""
        return language_pb2.RuntimeOptionsResponse()

    def About(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Which Python runs the program."""
        python = self._choose(request.info, context)
        print_version = "import platform; print(platform.python_version())"
        done = subprocess.run([python, "-c", print_version], capture_output=True, text=True, check=True)
        return language_pb2.AboutResponse(executable=python, version=done.stdout.strip())

    def GetProgramDependencies(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Packages of the program's Python."""
        python = self._choose(request.info, context)
        show = "import importlib.metadata as m; [print(d.name, d.version) for d in m.distributions()]"
        done = subprocess.run([python, "-c", show], capture_output=True, text=True, check=True)
        pairs = sorted(line.split() for line in done.stdout.splitlines())
        found = [language_pb2.DependencyInfo(name=name, version=version) for name, version in pairs]
        return language_pb2.GetProgramDependenciesResponse(dependencies=found)

    def Run(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Runs a program to its end."""
        return program.run(request, self._engine, self._environment, self.processes, context.add_callback)

    def RunPlugin(self, request: Any, context: Any) -> "Iterator[Any]":  # noqa: N802
        """Runs a policy pack or a plugin until it ends, or the engine has no use for it any more."""
        try:
            yield from plugin.run(request, self.processes, context.add_callback)
        except InterpreterError as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))

    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        """The engine gives up: so do the programs."""
        self.processes.end_all()
        return Empty()

    def _choose(self, info: Any, context: Any) -> str:
        try:
            return interpreter.choose(Path(info.root_directory), program.options(info), self._environment).python
        except InterpreterError as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
            raise


def _refuse(name: str) -> Callable[..., NoReturn]:
    def method(_self: LanguageHost, _request: Any, context: Any) -> NoReturn:
        context.abort(
            grpc.StatusCode.UNIMPLEMENTED,
            f"{name} is not part of berth's small Python host; install an official Pulumi for it",
        )
        raise NotImplementedError(name)

    return method


# The generated base class answers these with a traceback on standard error.
for _method in language_pb2.DESCRIPTOR.services_by_name["LanguageRuntime"].methods:
    if _method.name not in vars(LanguageHost):
        setattr(LanguageHost, _method.name, _refuse(_method.name))


def serve(engine: str, environment: Mapping[str, str]) -> int:
    """Serves until SIGINT or SIGTERM, or until the engine is gone; no process of its own is left then."""
    host = LanguageHost(engine, environment)
    limits = [("grpc.max_receive_message_length", MESSAGE_BYTES), ("grpc.max_send_message_length", MESSAGE_BYTES)]
    server = grpc.server(ThreadPoolExecutor(max_workers=THREADS), options=limits)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    port = server.add_insecure_port("127.0.0.1:0")
    stop = threading.Event()
    for kind in (signal.SIGINT, signal.SIGTERM):
        signal.signal(kind, lambda *_: stop.set())
    parent = os.getppid()
    server.start()
    # The engine reads the port from the first line.
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    while not stop.wait(WATCH_SECONDS) and os.getppid() == parent:
        pass
    host.processes.end_all()
    server.stop(STOP_SECONDS).wait()
    return 0
