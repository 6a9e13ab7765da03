"""One form for objects that mean the same, so that a second run of a program finds nothing to change."""

import base64
import re
from decimal import Decimal, InvalidOperation
from typing import Any

from tests.fakes.kubernetes_provider import objects
from tests.fakes.kubernetes_provider.properties import has_unknown

_READ_ONLY = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "uid",
)
# Maps whose values are quantities, and single fields that hold one.
_QUANTITIES = {
    "requests",
    "limits",
    "hard",
    "capacity",
    "allocatable",
    "default",
    "defaultRequest",
    "min",
    "max",
    "podFixed",
}
_QUANTITY = {"sizeLimit", "averageValue", "value", "divisor"}
_SUFFIXES = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    **{letter: Decimal(10) ** (3 * power) for power, letter in enumerate("kMGTPE", 1)},
    **{f"{letter}i": Decimal(2) ** (10 * power) for power, letter in enumerate("KMGTPE", 1)},
}
_FORM = re.compile(r"([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([a-zA-Z]*)")


def trimmed(item: dict[str, Any]) -> dict[str, Any]:
    """Without what only the server writes."""
    if not isinstance(item.get("metadata"), dict):
        return item
    return objects.with_metadata(item, **dict.fromkeys(_READ_ONLY))


def comparable(item: dict[str, Any]) -> dict[str, Any]:
    """As the server keeps it: the `stringData` of a Secret is in its `data`."""
    text = item.get("stringData")
    if objects.kind(item) != "v1/Secret" or not isinstance(text, dict) or has_unknown(item):
        return trimmed(item)
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in text.items()}
    rest = {name: value for name, value in item.items() if name != "stringData"}
    return trimmed({**rest, "data": {**(item.get("data") or {}), **encoded}})


def same(path: tuple[str | int, ...], one: Any, other: Any, *, built_in: bool) -> bool:
    """Whether two scalars at a path mean the same.

    The server rewrites quantities of kinds that it knows (`1000m` becomes `1`), and takes those of others as they are.
    """
    if one == other and isinstance(one, bool) == isinstance(other, bool):
        return True
    if not built_in or not _is_quantity(path):
        return False
    first, second = quantity(one), quantity(other)
    return first is not None and first == second


def quantity(value: Any) -> Decimal | None:
    """`1500m`, `2Gi`, `3` as a number; None when it is none."""
    form = _FORM.fullmatch(str(value))
    if form is None or form[2] not in _SUFFIXES:
        return None
    try:
        return Decimal(form[1]) * _SUFFIXES[form[2]]
    except InvalidOperation:
        return None


def _is_quantity(path: tuple[str | int, ...]) -> bool:
    return (len(path) > 1 and path[-2] in _QUANTITIES) or path[-1] in _QUANTITY
