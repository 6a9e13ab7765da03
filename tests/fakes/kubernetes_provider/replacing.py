"""Which changes need another object: the API forbids them, or dependants are to notice."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.fakes.kubernetes_provider import objects
from tests.fakes.kubernetes_provider.differences import DELETE, Change
from tests.fakes.kubernetes_provider.settings import Settings

_ALWAYS = ("metadata.name", "metadata.namespace")


def fields(item: Mapping[str, Any], settings: Settings) -> tuple[str, ...]:
    """Paths whose change replaces this object."""
    kind = objects.kind(item)
    immutable = item.get("immutable") is True
    if kind == "v1/ConfigMap":
        fixed = immutable or not settings.mutable_config_maps
        return (*_ALWAYS, *(("data", "binaryData") if fixed else ()))
    if kind == "v1/Secret":
        fixed = immutable or not settings.mutable_secrets
        return (*_ALWAYS, "type", *(("data", "stringData") if fixed else ()))
    return (*_ALWAYS, *_by_kind().get(kind, ()))


def needs_replacement(change: Change, paths: tuple[str, ...]) -> bool:
    """Whether a change touches one of the paths."""
    return any(_touches(change, tuple(path.replace("[*]", ".*").split("."))) for path in paths)


@cache
def _by_kind() -> Mapping[str, list[str]]:
    return dict(yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text()))


def _touches(change: Change, path: tuple[str, ...]) -> bool:
    common = min(len(change.path), len(path))
    if any(want not in ("*", step) for step, want in zip(change.path[:common], path[:common], strict=True)):
        return False
    if len(change.path) >= len(path):
        return True
    # A whole subtree came: does it hold the path? One that went is a deletion of its top, not of the path.
    return change.kind != DELETE and _holds(change.value, path[common:])


def _holds(value: Any, path: tuple[str, ...]) -> bool:
    if not path:
        return True
    step, *rest = path
    if step == "*":
        return isinstance(value, list) and any(_holds(item, tuple(rest)) for item in value)
    return isinstance(value, dict) and step in value and _holds(value[step], tuple(rest))
