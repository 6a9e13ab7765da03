"""Builds the kit's own images, pushes them to the user's registry, and gives back their pins.

The bases of a build are arguments that come from the lock, so nothing is ever built on a tag.
"""

import json
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from images.lock import ImageError, Pin, way_out

ROOT = Path(__file__).resolve().parents[1]
_BASE = re.compile(r"^ARG ([A-Z]+)_IMAGE$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Target:
    """Where the images go."""

    registry: str
    """Registry and path: registry.example.com/team"""
    tag: str
    platforms: tuple[str, ...] = ("linux/amd64",)
    builder: str = "docker"
    """A program that understands `buildx build`."""


def bases(folder: str) -> tuple[str, ...]:
    """Names in the lock of the images that a build file stands on: ARG RUST_IMAGE is `rust`."""
    text = (ROOT / "images" / folder / "Dockerfile").read_text(encoding="utf-8")
    return tuple(name.lower() for name in _BASE.findall(text))


def command(folder: str, repository: str, target: Target, pins: Mapping[str, Pin], metadata: Path) -> list[str]:
    """Arguments of the builder; it writes what it made to `metadata`."""
    given = [word for name in bases(folder) for word in ("--build-arg", f"{name.upper()}_IMAGE={pins[name].reference}")]
    return [
        target.builder,
        "buildx",
        "build",
        "--push",
        *("--platform", ",".join(target.platforms)),
        *("--file", str(ROOT / "images" / folder / "Dockerfile")),
        *("--tag", f"{repository}:{target.tag}"),
        *("--metadata-file", str(metadata)),
        *given,
        str(ROOT),
    ]


def build(names: Sequence[str], target: Target, pins: Mapping[str, Pin]) -> dict[str, Pin]:
    """Builds and pushes; the new pins. Raises ImageError before the first build when a base has no digest."""
    needed = {base for name in names for base in bases(pins[name].built or "")}
    if missing := [way_out(base, pins[base]) for base in sorted(needed) if not pins[base].digest]:
        raise ImageError("\n".join(missing))
    made = {}
    for name in names:
        folder = pins[name].built or ""
        repository = f"{target.registry}/berth-{folder}"
        pin = replace(pins[name], repository=repository, tag=target.tag, digest=None, source=None)
        if faults := list(pin.faults()):
            raise ImageError("\n".join(f"{name}: {fault}" for fault in faults))
        made[name] = replace(pin, digest=_build(folder, repository, target, pins))
    return made


def _build(folder: str, repository: str, target: Target, pins: Mapping[str, Pin]) -> str:
    with tempfile.TemporaryDirectory() as scratch:
        metadata = Path(scratch) / "metadata.json"
        try:
            subprocess.run(command(folder, repository, target, pins, metadata), check=True)
        except FileNotFoundError as error:
            raise ImageError(f"no {target.builder} on this machine; install Docker with buildx") from error
        except subprocess.CalledProcessError as error:
            raise ImageError(f"{target.builder} could not build {folder} (exit code {error.returncode})") from error
        found = json.loads(metadata.read_text(encoding="utf-8"))
    return str(found["containerimage.digest"])
