"""`python -m infra.toolchain`: what is there (`doctor`), get it (`ensure NAME…`), use it in a shell (`env`)."""

import argparse
import shlex
import signal
import sys
from pathlib import Path
from types import FrameType

from infra.toolchain import doctor
from infra.toolchain.engine import engine_env
from infra.toolchain.errors import ToolchainError
from infra.toolchain.parts import LOCK_FILE
from infra.toolchain.toolchain import Toolchain

INTERRUPTED = 130
TERMINATED = 143


def main(argv: list[str] | None = None) -> int:
    """Runs one command; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m infra.toolchain", description=__doc__)
    parser.add_argument("--parts", type=Path, default=LOCK_FILE, help="another lock file than the kit's")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("doctor", help="table of all parts")
    ensure = commands.add_parser("ensure", help="get parts and print their paths")
    ensure.add_argument("names", nargs="+", metavar="NAME")
    commands.add_parser("env", help='shell lines for `pulumi` by hand: eval "$(python -m infra.toolchain env)"')
    arguments = parser.parse_args(argv)
    toolchain = Toolchain(lock=arguments.parts)
    signal.signal(signal.SIGTERM, _terminate)
    try:
        return _run(toolchain, arguments)
    except ToolchainError as error:
        sys.stderr.write(f"{str(error).rstrip()}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted. Nothing half-done counts; run it again and it goes on where it was.\n")
        return INTERRUPTED


def _run(toolchain: Toolchain, arguments: argparse.Namespace) -> int:
    if arguments.command == "doctor":
        text, good = doctor.report(toolchain)
        sys.stdout.write(text)
        return 0 if good else 1
    if arguments.command == "ensure":
        for name in arguments.names:
            sys.stdout.write(f"{toolchain.ensure(name)}\n")
            sys.stdout.flush()
        return 0
    for name, value in engine_env(toolchain).items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
    return 0


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    """Lets what is under way end its children before this process goes."""
    raise SystemExit(TERMINATED)


if __name__ == "__main__":
    sys.exit(main())
