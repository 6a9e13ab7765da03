"""Running policy packs and plugins written in Python: their output and their end as a stream for the engine."""

import os
import queue
import subprocess
import threading
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from infra.toolchain.language_host import interpreter
from infra.toolchain.language_host.interpreter import Interpreter
from infra.toolchain.language_host.processes import Processes
from infra.toolchain.language_host.program import options
from infra.toolchain.language_host.protocol import language_pb2

# A child of the plugin may hold its output open after it; the engine need not wait for that one.
DRAIN_SECONDS = 0.5


def run(
    request: language_pb2.RunPluginRequest, processes: Processes, on_end: Callable[[Callable[[], None]], object]
) -> "Iterator[language_pb2.RunPluginResponse]":
    """Yields output as it comes, the exit status last. Raises InterpreterError.

    `on_end` takes what is to be done when the engine ends the call, its way of saying that it needs the plugin no more.
    """
    environment = dict(entry.partition("=")[::2] for entry in request.env)
    info = request.info
    python = interpreter.choose(Path(info.root_directory), options(info), environment)
    with processes.start(
        _command(python, request),
        cwd=request.pwd or info.program_directory,
        env=python.environment(environment),
        stdin=subprocess.DEVNULL,
        pipes=True,
    ) as process:
        on_end(process.terminate)
        yield from _output(process)
        yield language_pb2.RunPluginResponse(exitcode=process.wait())


def _command(python: Interpreter, request: language_pb2.RunPluginRequest) -> list[str]:
    folder = Path(request.info.program_directory)
    if request.kind == "analyzer":
        return python.command("module", "pulumi.policy", *request.args, str(folder))
    project = folder / "pyproject.toml"
    if not (folder / "__main__.py").is_file() and project.is_file():
        # A package that exports components and has no entry point of its own.
        name = tomllib.loads(project.read_text())["project"]["name"]
        return python.command("module", "pulumi.run.plugin", name, *request.args)
    return python.command("script", str(folder / request.info.entry_point), *request.args)


def _output(process: "subprocess.Popen[bytes]") -> "Iterator[language_pb2.RunPluginResponse]":
    messages: queue.SimpleQueue[language_pb2.RunPluginResponse | None] = queue.SimpleQueue()

    def pump(stream: IO[bytes], answer: Callable[[bytes], language_pb2.RunPluginResponse]) -> None:
        while chunk := os.read(stream.fileno(), 1 << 16):
            messages.put(answer(chunk))
        messages.put(None)

    streams = [
        (process.stdout, lambda chunk: language_pb2.RunPluginResponse(stdout=chunk)),
        (process.stderr, lambda chunk: language_pb2.RunPluginResponse(stderr=chunk)),
    ]
    for pair in streams:
        threading.Thread(target=pump, args=pair, daemon=True).start()
    open_streams = len(streams)
    while open_streams:
        try:
            message = messages.get(timeout=DRAIN_SECONDS)
        except queue.Empty:
            if process.poll() is not None:
                return
            continue
        if message is None:
            open_streams -= 1
        else:
            yield message
