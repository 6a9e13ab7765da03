"""Where in a store the weights of a source lie: known before they are there, as the source is pinned."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from serving.store.errors import StoreError

_HUB = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?)@(?P<commit>[0-9a-f]{40})")
_KIT = re.compile(r"(?P<name>[a-z0-9][a-z0-9._-]*)@(?P<version>[0-9a-f]{12})")
_BUCKET = re.compile(r"(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(?P<prefix>[^/].*[^/]|[^/])")

KIT_FOLDER = "store"
"""Folder of the kit's own models in a shared store: itself a store of converted models."""


@dataclass(frozen=True, slots=True)
class Hub:
    """A commit of a model on the Hugging Face hub."""

    name: str
    commit: str


@dataclass(frozen=True, slots=True)
class Bucket:
    """What lies below a prefix of an S3 bucket. A prefix is a version: it is written once."""

    bucket: str
    prefix: str
    """Without a slash at either end."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder, which like a prefix is written once."""

    path: str


@dataclass(frozen=True, slots=True)
class KitModel:
    """A version of one of the kit's own models."""

    name: str
    version: str


Source = Hub | Bucket | Folder | KitModel


def parse(source: str) -> Source:
    """Reads `hf://org/name@commit`, `s3://bucket/prefix`, `file:///folder` or `store://name@version`.

    Raises StoreError, also when the source may come to mean other weights.
    """
    scheme, separator, rest = source.partition("://")
    if scheme == "hf" and (found := _HUB.fullmatch(rest)):
        return Hub(found["name"], found["commit"])
    if scheme == "s3" and (found := _BUCKET.fullmatch(rest)):
        return Bucket(found["bucket"], found["prefix"])
    if scheme == "file" and rest.startswith("/") and rest != "/" and ".." not in rest.split("/"):
        return Folder(rest.rstrip("/"))
    if scheme == "store" and (found := _KIT.fullmatch(rest)):
        return KitModel(found["name"], found["version"])
    rules = {
        "hf": "write hf://organisation/name@commit with all 40 hex digits of the commit: branches and tags move",
        "s3": "write s3://bucket/prefix, without a slash at the end",
        "file": "write file:///folder, an absolute folder",
        "store": "write store://name@version with the 12 hex digits of the version: the newest one changes",
    }
    rule = rules.get(scheme) if separator else None
    raise StoreError(f"{source!r} cannot be staged; {rule or 'sources begin with hf://, s3://, file:// or store://'}")


def location(source: str) -> str:
    """Folder of a source's weights below the root of a store, such as hf/org--name/0123456789ab.

    It depends on the text of the source alone. Raises StoreError as `parse` does.
    """
    match parse(source):
        case Hub(name, commit):
            return f"hf/{name.replace('/', '--')}/{commit[:12]}"
        case KitModel(name, version):
            return f"{KIT_FOLDER}/{name}/{version}"
        case Bucket(bucket, prefix):
            return f"s3/{_slug(prefix)}/{_digest(f'{bucket}/{prefix}')}"
        case Folder(path):
            return f"file/{_slug(path)}/{_digest(path)}"


def _slug(path: str) -> str:
    """For people only: the digest beside it tells two apart."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", PurePosixPath(path).name).strip("-.") or "weights"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
