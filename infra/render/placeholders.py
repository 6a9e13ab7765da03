"""What stands in for secrets while a stack is rendered."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from infra.settings import Settings
from infra.settings.settings import stack_file

MARK = "beef00dd1e5ec4e7"
"""Stands at the front of every placeholder, so that one that gets into a manifest is found."""


def placeholder(place: str) -> str:
    """64 hexadecimal digits, others for each place."""
    return MARK + hashlib.sha256(place.encode()).hexdigest()[len(MARK) :]


def config(settings: Settings, root: Path) -> tuple[dict[str, str], list[str]]:
    """The stack's config as the engine would give it to the program, and its secret keys; placeholders for secrets."""
    document = yaml.safe_load((root / stack_file(settings.stack)).read_text()) or {}
    values, secret = {}, []
    for key, value in (document.get("config") or {}).items():
        found: list[str] = []
        plain = _plain(value, key, found)
        values[key] = plain if isinstance(plain, str) else json.dumps(plain)
        if found:
            secret.append(key)
    return values, secret


def _plain(value: Any, place: str, found: list[str]) -> Any:
    if isinstance(value, Mapping):
        if set(value) == {"secure"}:
            found.append(place)
            return placeholder(place)
        return {key: _plain(item, f"{place}.{key}", found) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, f"{place}[{number}]", found) for number, item in enumerate(value)]
    return value
