"""`images.lock`: every image that the kit deploys or builds on, by name.

A digest says exactly which bytes run; a tag may be another image tomorrow. An entry without a digest is honest about
it and cannot be deployed: `image` raises, and says what to do.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

LOCK = Path(__file__).parent / "images.lock"
_HEADER = """\
# Every image of the kit, by name: repository, tag, and the digest of exactly these bytes. Written by python -m images:
#   python -m images update              asks the registries what the tags are now (NAME… for some of them)
#   make images REGISTRY=<registry/path> builds and pushes the kit's own images (`built`) and pins them here
# `digest: null`: not known yet. Nothing is ever deployed without a digest. `source`: where a digest comes from that no
# registry was asked for.
"""
_REPOSITORY = re.compile(r"[a-z0-9.-]+(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class ImageError(RuntimeError):
    """An image that is not known, or not pinned; `str()` says how to pin it."""


@dataclass(frozen=True, slots=True)
class Pin:
    """One entry."""

    repository: str | None = None
    """Registry and path, such as ghcr.io/huggingface/text-generation-inference; None until a built image is pushed."""
    tag: str | None = None
    digest: str | None = None
    """sha256:… of the image index, so that it holds for every kind of processor that the image is made for."""
    built: str | None = None
    """Folder of the kit's own image's build file below images/."""
    source: str | None = None
    """Where the digest comes from, if not from the registry."""

    @property
    def reference(self) -> str | None:
        """repository:tag@digest; None while there is no digest."""
        return f"{self.repository}:{self.tag}@{self.digest}" if self.digest else None

    def faults(self) -> Iterable[str]:
        """What is wrong with the entry."""
        if self.built is None and self.repository is None:
            yield "has no repository"
        if self.repository is not None and not _REPOSITORY.fullmatch(self.repository):
            yield f"repository {self.repository!r} is not registry/path, such as ghcr.io/owner/name"
        if (self.repository is None) != (self.tag is None):
            yield "must have both repository and tag, or neither"
        if self.tag is not None and not _TAG.fullmatch(self.tag):
            yield f"tag {self.tag!r} is not a tag"
        if self.digest is not None and not _DIGEST.fullmatch(self.digest):
            yield f"digest {self.digest!r} is not sha256: and 64 hexadecimal digits"
        if self.digest is not None and self.repository is None:
            yield "has a digest but no repository"


def read(path: Path = LOCK) -> dict[str, Pin]:
    """All entries by name. Raises ImageError with every fault of the file."""
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    known = {field.name for field in fields(Pin)}
    faults, pins = [], {}
    for name, entry in (document or {}).items():
        if not isinstance(entry, Mapping) or not set(entry) <= known:
            faults.append(f"{name}: an entry has the keys {', '.join(sorted(known))}")
            continue
        pins[str(name)] = Pin(**{key: None if value is None else str(value) for key, value in entry.items()})
        faults += [f"{name}: {text}" for text in pins[str(name)].faults()]
    if faults:
        raise ImageError("\n".join(f"{path.name}: {fault}" for fault in faults))
    return pins


def write(pins: Mapping[str, Pin], path: Path = LOCK) -> None:
    """Puts the entries in place of those of the file."""
    document = {name: _entry(pin) for name, pin in sorted(pins.items())}
    draft = path.with_name(f"{path.name}.draft")
    draft.write_text(_HEADER + yaml.safe_dump(document, sort_keys=False, width=200), encoding="utf-8")
    draft.replace(path)


def image(name: str, path: Path = LOCK) -> str:
    """The image's reference with its digest. Raises ImageError where there is none, with the command that gets it."""
    pins = read(path)
    if name not in pins:
        near = difflib.get_close_matches(name, pins, 1)
        raise ImageError(f"no image {name!r} in {path.name}" + (f"; did you mean {near[0]!r}?" if near else ""))
    reference = pins[name].reference
    if reference is None:
        raise ImageError(way_out(name, pins[name]))
    return reference


def lacking(names: Iterable[str], path: Path = LOCK) -> list[str]:
    """For each of the images that has no digest, what to do about it."""
    pins = read(path)
    found = {name: pins.get(name) for name in sorted(set(names))}
    return [
        way_out(name, pin) if pin else f"no image {name!r} in {path.name}"
        for name, pin in found.items()
        if pin is None or pin.digest is None
    ]


def way_out(name: str, pin: Pin) -> str:
    """What to do about an image without a digest."""
    if pin.built:
        return (
            f"image {name!r} is the kit's own and is not in {LOCK.name} yet; build it, push it to a registry that your "
            "cluster can pull from, and pin it: make images REGISTRY=registry.example.com/team"
        )
    return (
        f"image {name!r} ({pin.repository}:{pin.tag}) has no digest in {LOCK.name}; on a machine that reaches "
        f"{(pin.repository or '').partition('/')[0]}: python -m images update {name}"
    )


def _entry(pin: Pin) -> dict[str, Any]:
    always = ("repository", "tag", "digest")
    found = {field.name: getattr(pin, field.name) for field in fields(Pin)}
    return {name: value for name, value in found.items() if name in always or value is not None}
