"""Asks a registry what a tag is now: the read side of the OCI distribution protocol, for public images.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md: manifests, and the bearer tokens that registries
give anybody. Only registries on this machine are spoken to without TLS.
"""

import hashlib
import json
import re
import urllib.error
import urllib.parse
import urllib.request
from email.message import Message

_KINDS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_MOST_BYTES = 4 << 20
"""The protocol's bound of a manifest."""
_PATIENCE_SECONDS = 30
_DOCKER_HUB = {"docker.io": "registry-1.docker.io"}
_LOOPBACK = re.compile(r"(127\.0\.0\.1|localhost)(:[0-9]+)?")
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


class RegistryError(RuntimeError):
    """The registry does not answer, or not as the protocol says."""


def digest(repository: str, tag: str) -> str:
    """sha256:… of what the tag points at now, the index of all processors where there is one.

    It is taken of the bytes themselves; a header that says otherwise is an error.
    """
    registry, _, path = repository.partition("/")
    registry = _DOCKER_HUB.get(registry, registry)
    scheme = "http" if _LOOPBACK.fullmatch(registry) else "https"
    url = f"{scheme}://{registry}/v2/{path}/manifests/{urllib.parse.quote(tag)}"
    content, headers = _manifest(url)
    found = f"sha256:{hashlib.sha256(content).hexdigest()}"
    said = headers.get("docker-content-digest", found)
    if said != found:
        raise RegistryError(f"{repository}:{tag}: the registry says {said}, but its bytes are {found}")
    return found


def _manifest(url: str) -> tuple[bytes, Message]:
    try:
        return _get(url, accept=", ".join(_KINDS))
    except urllib.error.HTTPError as error:
        with error:
            if error.code != 401:
                raise RegistryError(f"{url}: {error.code} {error.reason}") from error
            challenge = error.headers.get("www-authenticate", "")
    try:
        return _get(url, accept=", ".join(_KINDS), token=_token(challenge, url))
    except urllib.error.HTTPError as error:
        with error:
            raise RegistryError(f"{url}: {error.code} {error.reason} (with an anonymous token)") from error


def _token(challenge: str, url: str) -> str:
    """The token that the registry's own service gives to anybody who asks."""
    kind, _, rest = challenge.partition(" ")
    asked = dict(_CHALLENGE.findall(rest))
    if kind.lower() != "bearer" or "realm" not in asked:
        raise RegistryError(f"{url}: asks for {kind or 'nothing'}, which is not for anonymous readers")
    realm = asked.pop("realm")
    parts = urllib.parse.urlsplit(realm)
    if parts.scheme != "https" and not _LOOPBACK.fullmatch(parts.netloc):
        raise RegistryError(f"{url}: its tokens come from {realm}, without TLS")
    query = urllib.parse.urlencode({key: value for key, value in asked.items() if key in ("service", "scope")})
    try:
        content, _ = _get(f"{realm}?{query}", accept="application/json")
        found = json.loads(content)
        return str(found.get("token") or found["access_token"])
    except (urllib.error.HTTPError, ValueError, KeyError, AttributeError) as error:
        raise RegistryError(f"{url}: no token from {realm}: {error}") from error


def _get(url: str, *, accept: str, token: str = "") -> tuple[bytes, Message]:
    headers = {"accept": accept, "user-agent": "berth-images"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - http and https alone, see `digest`
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE_SECONDS) as answer:  # noqa: S310
            content: bytes = answer.read(_MOST_BYTES + 1)
            if len(content) > _MOST_BYTES:
                raise RegistryError(f"{url}: the answer is larger than {_MOST_BYTES} bytes")
            return content, answer.headers
    except urllib.error.HTTPError:
        raise
    except (urllib.error.URLError, OSError) as error:
        raise RegistryError(f"{url}: {getattr(error, 'reason', error)}") from error
