"""What runs in the Python of a project: its program, or a module or script of a plugin.

Run by path with that Python, so it needs only the standard library and the project's own Pulumi SDK:

    child.py program < request.json     child.py module NAME ARGS…     child.py script PATH ARGS…
"""

import asyncio
import json
import logging
import os
import runpy
import signal
import sys
import threading
import time
import traceback
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

# The engine has heard of the error already: the host then adds nothing (the number is that of the official host).
EXIT_SHOWN = 32
EXIT_INTERRUPTED = 130
# Sub-second, so that nobody sees a process outlive the engine; rare enough to cost nothing.
WATCH_SECONDS = 0.5
# What a process gets to finish what it is doing once its parent is gone.
ORPHAN_SECONDS = 10.0
# One environment variable holds 128 KiB at most, else no program could be started any more.
LARGEST_VARIABLE = 100_000


def end_with_parent() -> None:
    """Ends this process when the one that started it is gone: the engine, or the host, was killed.

    First as by Ctrl-C, so that servers close; for good after a grace period.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_SECONDS)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(ORPHAN_SECONDS)
        os._exit(EXIT_INTERRUPTED)

    threading.Thread(target=watch, name="end with parent", daemon=True).start()


def run_module(name: str, arguments: list[str]) -> None:
    """Like `python -m NAME ARGUMENTS`."""
    sys.path.insert(0, str(Path.cwd()))
    sys.argv = [name, *arguments]
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def run_script(path: str, arguments: list[str]) -> None:
    """Like `python PATH ARGUMENTS`, PATH a file or a folder with a `__main__.py`."""
    sys.argv = [path, *arguments]
    if Path(path).is_file():
        sys.path.insert(0, str(Path(path).parent))
    runpy.run_path(path, run_name="__main__")


def run_program(request: dict[str, Any]) -> int:
    """Runs a Pulumi program against the engine that the request names; the exit status of the process."""
    try:
        import pulumi  # noqa: PLC0415 - the project's, which may lack it
        import pulumi.runtime  # noqa: PLC0415
    except ImportError:
        traceback.print_exc()
        sys.stderr.write(
            f"\nThe Pulumi SDK is not installed in {sys.executable}: {sys.executable} -m pip install pulumi\n"
        )
        return 1
    _configure(request)
    program = str(request["program"])
    main = Path(program, "__main__.py") if Path(program).is_dir() else Path(program)
    if not main.is_file():
        pulumi.log.error(f"there is no program: {main} does not exist")
        return EXIT_SHOWN
    try:
        _run_to_end(pulumi.runtime.run_in_stack(lambda: run_script(program, request["args"])), request["parallel"])
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
        return EXIT_SHOWN
    except Exception as error:  # noqa: BLE001 - whatever a user's program may raise
        pulumi.log.error("Program failed with an unhandled exception:\n" + describe(error, main))
        return EXIT_SHOWN
    return 0


def describe(error: Exception, main: Path) -> str:
    """The traceback of a user's program, without the frames of this host and of Python's own machinery above it."""
    if isinstance(error, SyntaxError) and error.filename == str(main):
        return "".join(traceback.format_exception_only(error))
    step = error.__traceback__
    while step is not None and Path(step.tb_frame.f_code.co_filename) != main:
        step = step.tb_next
    return "".join(traceback.format_exception(error.with_traceback(step or error.__traceback__)))


def _configure(request: dict[str, Any]) -> None:
    import pulumi.runtime  # noqa: PLC0415

    config, secret_keys = request["config"], request["config_secret_keys"]
    pulumi.runtime.set_all_config(config, secret_keys)
    # A thread that the program starts sees the configuration only in these.
    for name, value in (("PULUMI_CONFIG", config), ("PULUMI_CONFIG_SECRET_KEYS", secret_keys)):
        if len(text := json.dumps(value)) < LARGEST_VARIABLE:
            os.environ[name] = text
    names = ("project", "stack", "organization", "monitor", "engine", "dry_run", "parallel", "root_directory")
    pulumi.runtime.configure(pulumi.runtime.Settings(**{name: request[name] for name in names}))


def _run_to_end(program: Coroutine[Any, Any, None], parallel: int) -> None:
    # A program that fails leaves tasks behind that nobody will ask for: that is no news.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    # Each resource operation may block several threads of the SDK.
    with ThreadPoolExecutor(max_workers=max(parallel, 1) * 4) as threads:
        loop.set_default_executor(threads)
        try:
            loop.run_until_complete(program)
        finally:
            asyncio.set_event_loop(None)
            loop.close()


def _main(mode: str, arguments: list[str]) -> int:
    # The folder of this script: its modules are none of the project's business.
    sys.path[:] = [entry for entry in sys.path if entry != str(Path(__file__).parent)]
    end_with_parent()
    try:
        if mode == "program":
            request = json.loads(sys.stdin.readline())
            return run_program(request)
        {"module": run_module, "script": run_script}[mode](arguments[0], arguments[1:])
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1], sys.argv[2:]))
