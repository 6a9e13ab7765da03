"""`python -m serving.store`: stage, verify and list models."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from serving.store.errors import StoreError
from serving.store.folder import resolve, versions
from serving.store.kit import stage_kit
from serving.store.manifest import verify
from serving.store.staging import stage


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 1 when it failed, with the reason on stderr."""
    parser = argparse.ArgumentParser(prog="python -m serving.store", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    staging = commands.add_parser("stage", help="convert and store models; prints name@version lines")
    staging.add_argument("sources", nargs="*", type=Path, metavar="DIR", help="model folders (default: the kit's own)")
    staging.add_argument(
        "--minilm", type=Path, metavar="DIR", help="folder of the MiniLM weights, staged with the kit's"
    )
    verifying = commands.add_parser("verify", help="hash the files of stored models and compare")
    verifying.add_argument("models", nargs="*", metavar="NAME[@VERSION]", help="default: all")
    listing = commands.add_parser("list", help="what is stored")
    for command in (staging, verifying, listing):
        command.add_argument("--root", type=Path, required=True, metavar="DIR", help="folder of the store")
    options = parser.parse_args(arguments)
    try:
        return {"stage": _stage, "verify": _verify, "list": _list}[options.command](options)
    except (StoreError, OSError) as error:
        print(f"store: {error}", file=sys.stderr)  # noqa: T201 - a command's message
        return 1


def _stage(options: argparse.Namespace) -> int:
    staged = [stage(source, options.root, report=_say) for source in options.sources]
    if not options.sources or options.minilm:
        staged += stage_kit(options.root, minilm=options.minilm, report=_say)
    for version in staged:
        print(version)  # noqa: T201 - a command's output
    return 0


def _verify(options: argparse.Namespace) -> int:
    chosen = [resolve(options.root, model) for model in options.models] or versions(options.root)
    failed = 0
    for version in chosen:
        try:
            verify(version.path)
            print(f"{version} ok")  # noqa: T201 - a command's output
        except StoreError as error:
            failed = 1
            print(f"store: {error}", file=sys.stderr)  # noqa: T201 - a command's message
    return failed


def _list(options: argparse.Namespace) -> int:
    for version in versions(options.root):
        manifest = version.manifest
        size = f"{manifest.bytes / 1e6:.1f} MB"
        print(version, manifest.family, manifest.task, f"{manifest.context_tokens} tokens", size)  # noqa: T201
    return 0


def _say(line: str) -> None:
    print(f"store: {line}", file=sys.stderr)  # noqa: T201 - a command's message


if __name__ == "__main__":
    sys.exit(main())
