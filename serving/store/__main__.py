"""`python -m serving.store`: stage, verify and list models."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from serving.store.errors import RefusedError, StoreError
from serving.store.folder import resolve, versions
from serving.store.kit import stage_kit, stage_kit_model
from serving.store.location import KitModel, parse
from serving.store.plain.staging import stage_source
from serving.store.staging import stage
from serving.store.verifying import verify_folder

REFUSED = 3
"""Exit code when trying again is in vain: a Job then gives up at once."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 1 when it failed, 3 when it always will, with the reason on stderr."""
    options = _parser().parse_args(arguments)
    try:
        return {"stage": _stage, "verify": _verify, "list": _list}[options.command](options)
    except (StoreError, OSError) as error:
        _say(str(error))
        return REFUSED if isinstance(error, RefusedError) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m serving.store", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    staging = commands.add_parser(
        "stage",
        help="store models; prints name@version lines, or the folder below the root for sources with a scheme",
    )
    staging.add_argument(
        "sources",
        nargs="*",
        metavar="SOURCE",
        help="hf://org/name@commit, s3://bucket/prefix, file:///folder: stored as they are. A plain folder: converted "
        "for the local engine (default: the kit's own). store://name@version: that model of the kit. A token for "
        "the hub is read from the file that HF_TOKEN_PATH names",
    )
    staging.add_argument(
        "--minilm", type=Path, metavar="DIR", help="folder of the MiniLM weights, staged with the kit's"
    )
    staging.add_argument(
        "--keep",
        action="append",
        metavar="SOURCE",
        help="where a source with a scheme does not fit, remove weights of all others but those of this one and of the "
        "sources staged (may be repeated; default: nothing is removed)",
    )
    staging.add_argument("--bytes", type=int, metavar="N", help="refuse a source with a scheme that has more")
    verifying = commands.add_parser(
        "verify", help="compare stored models with their manifests: all of the small files and samples of large ones"
    )
    verifying.add_argument(
        "models", nargs="*", metavar="FOLDER|NAME[@VERSION]", help="names need --root; default: all below it"
    )
    verifying.add_argument("--whole", action="store_true", help="hash every byte of large files too")
    listing = commands.add_parser("list", help="what is stored")
    for command, required in ((staging, True), (verifying, False), (listing, True)):
        command.add_argument("--root", type=Path, required=required, metavar="DIR", help="folder of the store")
    return parser


def _stage(options: argparse.Namespace) -> int:
    for source in options.sources:
        if "://" in source:
            found = _stage_source(source, options)
            print(found.relative_to(options.root))  # noqa: T201 - a command's output
        else:
            print(stage(Path(source), options.root, report=_say))  # noqa: T201 - a command's output
    if not options.sources or options.minilm:
        for version in stage_kit(options.root, minilm=options.minilm, report=_say):
            print(version)  # noqa: T201 - a command's output
    return 0


def _stage_source(source: str, options: argparse.Namespace) -> Path:
    parsed = parse(source)
    if isinstance(parsed, KitModel):
        return stage_kit_model(parsed, options.root, report=_say)
    keep = None if options.keep is None else [*options.keep, *options.sources]
    return stage_source(source, options.root, most_bytes=options.bytes, keep=keep, report=_say)


def _verify(options: argparse.Namespace) -> int:
    failed = 0
    for model in options.models:
        if "/" in model:
            failed |= _verified(Path(model), model, whole=options.whole)
    if options.root is not None:
        names = [model for model in options.models if "/" not in model]
        chosen = [resolve(options.root, name) for name in names] if options.models else versions(options.root)
        for version in chosen:
            failed |= _verified(version.path, str(version), whole=True)
    elif not options.models or not all("/" in model for model in options.models):
        raise StoreError("say which folder to verify, or where the store is: --root DIR")
    return failed


def _verified(folder: Path, name: str, *, whole: bool) -> int:
    try:
        verify_folder(folder, whole=whole)
    except StoreError as error:
        _say(str(error))
        return 1
    print(f"{name} ok")  # noqa: T201 - a command's output
    return 0


def _list(options: argparse.Namespace) -> int:
    for version in versions(options.root):
        manifest = version.manifest
        size = f"{manifest.bytes / 1e6:.1f} MB"
        print(version, manifest.family, manifest.task, f"{manifest.context_tokens} tokens", size)  # noqa: T201
    return 0


def _say(line: str) -> None:
    print(f"store: {line}", file=sys.stderr, flush=True)  # noqa: T201 - a command's message


if __name__ == "__main__":
    sys.exit(main())
