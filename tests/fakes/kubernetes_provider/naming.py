"""Names for objects that were given none."""

import hashlib
import secrets
from typing import Any

from tests.fakes.kubernetes_provider import objects
from tests.fakes.kubernetes_provider.protocol import provider_pb2

_MODES = provider_pb2.CheckRequest.AutonamingOptions
SUFFIX_LENGTH = 8


class NamingError(ValueError):
    """The project forbids generated names, and the object has no other."""


def named(new: dict[str, Any], old: dict[str, Any], logical: str, seed: bytes, options: Any) -> dict[str, Any]:
    """The new inputs with a name: their own, the one generated before, or a new one.

    `options` are what the project's `pulumi:autonaming` makes of it. A generated name is marked by an annotation, by
    which a later replacement knows that it may take another one.
    """
    if objects.name(new) or "generateName" in (new.get("metadata") or {}):
        return new
    if old:
        if objects.is_true(old, objects.AUTONAMED):
            return _marked(new, objects.name(old))
        return new
    if options is not None and options.mode == _MODES.DISABLE:
        raise NamingError(
            f"autonaming is disabled, resource {logical} requires explicit `.metadata.name` or `.metadata.generateName`"
        )
    if options is not None and options.proposed_name:
        return _marked(new, options.proposed_name)
    digest = hashlib.sha256(seed or secrets.token_bytes(16)).hexdigest()
    return _marked(new, f"{logical}-{digest[:SUFFIX_LENGTH]}")


def _marked(new: dict[str, Any], name: str) -> dict[str, Any]:
    return objects.with_annotation(objects.with_metadata(new, name=name), objects.AUTONAMED, "true")
