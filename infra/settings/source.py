"""Where a model's weights come from."""

import re
from dataclasses import dataclass
from typing import Annotated, Any

from infra.settings.kinds import Kind, fail
from infra.settings.messages import did_you_mean, shown

SCHEMES = ("store", "hf", "s3", "file")
"""store: the kit's model store; hf: the Hugging Face hub; s3: a bucket; file: a folder on this machine."""

_STORE = re.compile(r"(?P<name>[a-z0-9][a-z0-9._-]*)(?:@(?P<revision>.*))?")
_HUB = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?)(?:@(?P<revision>.*))?")
_BUCKET = re.compile(r"(?P<name>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[\w!.*'()/-]*[\w!.*'()-])")
_STORE_VERSION = re.compile(r"[0-9a-f]{12}")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Source:
    """A model's weights, by scheme: `store://name[@version]`, `hf://org/name@commit`, `s3://bucket/prefix`, `file:///folder`."""

    scheme: str
    """store, hf, s3 or file."""
    name: str
    """Name in the store or on the hub, bucket and prefix, or absolute folder."""
    revision: str | None = None
    """Commit on the hub (40 hex digits), version in the store (12), else None: the newest in the store."""

    def __str__(self) -> str:
        return f"{self.scheme}://{self.name}" + (f"@{self.revision}" if self.revision else "")


class SourceError(ValueError):
    """Text that is not a source; the message has rule and way out, without the value."""


def parse_source(text: str) -> Source:
    """Reads a source.

    Raises:
        SourceError: unknown scheme, malformed name, or a hub source that is not pinned to a commit.
    """
    scheme, separator, rest = text.partition("://")
    if not separator:
        raise SourceError(f"names no scheme; write {_guess(text)}")
    if scheme not in SCHEMES:
        forms = ", ".join(f"{known}://" for known in SCHEMES)
        raise SourceError(f"has the scheme '{scheme}'; use one of {forms}{did_you_mean(scheme, SCHEMES)}")
    return {"store": _store, "hf": _hub, "s3": _bucket, "file": _folder}[scheme](rest)


def _store(rest: str) -> Source:
    found = _STORE.fullmatch(rest)
    if not found:
        raise SourceError("is not a name in the store; write store://name or store://name@version, in small letters")
    version = found["revision"]
    if version is not None and not _STORE_VERSION.fullmatch(version):
        raise SourceError(
            "has a version that is not 12 hex digits; `python -m serving.store stage` prints the versions, "
            f"and store://{found['name']} takes the newest"
        )
    return Source("store", found["name"], version)


def _hub(rest: str) -> Source:
    found = _HUB.fullmatch(rest)
    if not found:
        raise SourceError("is not a model on the hub; write hf://organisation/name@commit")
    name, revision = found["name"], found["revision"]
    pinned = f"hf://{name}@<40 hex digits>"
    where = "the model's page on the hub lists its commits under 'Files'"
    if revision is None:
        raise SourceError(f"is not pinned, so weights could change under a running stack; write {pinned}: {where}")
    if not _COMMIT.fullmatch(revision):
        kind = "short" if re.fullmatch(r"[0-9a-f]{4,39}", revision) else "a branch or a tag, which can move"
        raise SourceError(f"has a revision that is {kind}; write {pinned}: {where}")
    return Source("hf", name, revision)


def _bucket(rest: str) -> Source:
    found = _BUCKET.fullmatch(rest)
    if not found:
        raise SourceError("is not a folder in a bucket; write s3://bucket/prefix, without a slash at the end")
    return Source("s3", found["name"])


def _folder(rest: str) -> Source:
    if not rest.startswith("/") or rest == "/" or ".." in rest.split("/"):
        raise SourceError("is not an absolute folder; write file:///folder/of/the/weights, with three slashes")
    return Source("file", rest.rstrip("/"))


def _guess(text: str) -> str:
    if text.startswith("/"):
        return f"file://{text}"
    if "/" in text:
        return f"hf://{text.partition('@')[0]}@<40 hex digits>"
    return f"store://{text}"


def _source(value: Any) -> Source:
    if isinstance(value, Source):
        return value
    if not isinstance(value, str):
        forms = "store://name, hf://organisation/name@commit, s3://bucket/prefix or file:///folder"
        fail(f"{shown(value)} is not a source; write {forms}")
    try:
        return parse_source(value)
    except SourceError as error:
        fail(f"{shown(value, public=True)} {error}")


SourceField = Annotated[
    Source,
    Kind(
        _source,
        {
            "type": "string",
            "pattern": r"^(store://[a-z0-9][a-z0-9._-]*(@[0-9a-f]{12})?"
            r"|hf://[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9][A-Za-z0-9_.-]*)?@[0-9a-f]{40}"
            r"|s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/.*[^/]|file:///.+)$",
        },
    ),
]
"""A source as a field of a section."""
