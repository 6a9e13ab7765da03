"""From what a program registered to what goes into a file."""

from collections.abc import Iterator, Mapping
from typing import Any

from pulumi.runtime import rpc

from infra.render.collect import Made

_PULUMI = "pulumi.com/"


def is_secret(value: Any) -> bool:
    """Whether the SDK marked a value as secret."""
    return isinstance(value, Mapping) and value.get(rpc._special_sig_key) == rpc._special_secret_sig


def plain(value: Any) -> Any:
    """Without marks, whole numbers as such (the protocol has only floats), without absent values."""
    if is_secret(value):
        return plain(value["value"])
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def manifest(made: Made) -> dict[str, Any]:
    """One object: without notes to Pulumi, and without the replicas that a scaler owns."""
    found: dict[str, Any] = plain(made.inputs)
    metadata = found.get("metadata") or {}
    kept = {key: text for key, text in (metadata.get("annotations") or {}).items() if not key.startswith(_PULUMI)}
    metadata.pop("annotations", None)
    if kept:
        metadata["annotations"] = kept
    if "spec.replicas" in made.ignored:
        found["spec"].pop("replicas", None)
    return found


def unfit(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Places of a manifest that cannot be written down, and why: secrets, and values that only a cluster knows."""
    if is_secret(value):
        yield path, "is secret"
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from unfit(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from unfit(item, f"{path}[{number}]")
    elif value == rpc.UNKNOWN:
        yield path, "is known only to the cluster"
