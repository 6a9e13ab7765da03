"""`python -m images list | update | build`: the lock of images."""

import argparse
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from images.build import ROOT, Target, build
from images.lock import LOCK, ImageError, Pin, read, write
from images.registry import RegistryError, digest


def main(arguments: list[str] | None = None) -> int:
    """Runs a command; 1 when something could not be done, with the reason on standard error."""
    parser = argparse.ArgumentParser(prog="python -m images", description=__doc__)
    parser.add_argument("--lock", type=Path, default=LOCK, help="default: images/images.lock")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="every image and whether it is pinned")
    updating = commands.add_parser("update", help="ask the registries what the tags are now, and pin that")
    updating.add_argument("names", nargs="*", metavar="NAME", help="default: all that the kit does not build itself")
    building = commands.add_parser("build", help="build the kit's own images, push them, and pin them")
    building.add_argument("names", nargs="*", metavar="NAME", help="default: all of them")
    building.add_argument("--registry", required=True, metavar="HOST/PATH", help="registry.example.com/team")
    building.add_argument("--tag", help="default: the commit that is checked out")
    building.add_argument("--platform", action="append", metavar="OS/ARCH", help="default: linux/amd64")
    building.add_argument("--builder", default="docker", help="a program with `buildx build` (default: docker)")
    options = parser.parse_args(arguments)
    try:
        pins = read(options.lock)
        match options.command:
            case "list":
                _list(pins)
                return 0
            case "update":
                return _update(pins, options.names, options.lock)
            case _:
                return _build(pins, options)
    except ImageError as error:
        _complain(str(error))
        return 1


def _list(pins: Mapping[str, Pin]) -> None:
    width = max(map(len, pins), default=0)
    for name, pin in pins.items():
        where = f"{pin.repository}:{pin.tag}" if pin.repository else f"built from images/{pin.built}"
        _say(f"{name.ljust(width)}  {where}  {pin.digest or 'NOT PINNED'}")


def _update(pins: Mapping[str, Pin], names: list[str], lock: Path) -> int:
    _known(names, pins)
    chosen = names or [name for name, pin in pins.items() if not pin.built]
    found, failed = dict(pins), False
    for name in chosen:
        pin = pins[name]
        if pin.repository is None or pin.tag is None:
            _complain(f"{name}: is built from images/{pin.built}; python -m images build pins it")
            failed = True
            continue
        try:
            now = digest(pin.repository, pin.tag)
        except RegistryError as error:
            _complain(f"{name}: {error}; it stays as it was")
            failed = True
            continue
        _say(f"{name}: {pin.repository}:{pin.tag} {'is still' if now == pin.digest else 'is now'} {now}")
        found[name] = replace(pin, digest=now, source=None)
    write(found, lock)
    return int(failed)


def _build(pins: Mapping[str, Pin], options: argparse.Namespace) -> int:
    _known(options.names, pins)
    names = options.names or [name for name, pin in pins.items() if pin.built]
    if strangers := [name for name in names if not pins[name].built]:
        raise ImageError(f"{', '.join(strangers)}: not built here; python -m images update pins it")
    platforms = tuple(options.platform or ["linux/amd64"])
    target = Target(options.registry.rstrip("/"), options.tag or _commit(), platforms, options.builder)
    made = build(names, target, pins)
    write({**pins, **made}, options.lock)
    for name, pin in made.items():
        _say(f"{name}: {pin.reference}")
    return 0


def _known(names: list[str], pins: Mapping[str, Pin]) -> None:
    if strangers := [name for name in names if name not in pins]:
        raise ImageError(f"no image {', '.join(strangers)} in the lock; there are {', '.join(pins)}")


def _commit() -> str:
    asked = ["git", "rev-parse", "--short=12", "HEAD"]
    run = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    if run.returncode:
        raise ImageError("this is no git checkout, so say which tag: --tag")
    return run.stdout.strip()


def _say(text: str) -> None:
    print(text)  # noqa: T201 - a command's output


def _complain(text: str) -> None:
    print(f"images: {text}", file=sys.stderr)  # noqa: T201 - a command's message


if __name__ == "__main__":
    sys.exit(main())
