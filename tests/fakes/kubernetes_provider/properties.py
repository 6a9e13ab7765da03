"""Properties as the engine sends them, and as plain values: secrets and unknown values are kept apart."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from tests.fakes.kubernetes_provider.protocol import Struct

Properties: TypeAlias = dict[str, Any]

_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SEALED = "1b47061264138c4ac30d75fd1eb44270"
# One for each type that a value may turn out to have.
_UNKNOWN = {
    "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
    "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
    "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
    "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
    "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
}
_ANY_UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
# The SDKs cannot name a property with dashes.
_UNDERSCORED, _DASHED = "x_kubernetes_", "x-kubernetes-"


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that the engine encrypts in the state and hides on the screen."""

    value: Any


class Unknown:
    """A value that only the deployment will tell; the one instance is UNKNOWN."""


UNKNOWN = Unknown()


def read(struct: Any) -> Properties:
    """From the engine's message; nulls are left out."""
    return {
        _dashed(name): _read(value) for name, value in struct.fields.items() if value.WhichOneof("kind") != "null_value"
    }


def write(properties: Mapping[str, Any]) -> Any:
    """As the engine's message."""
    struct = Struct()
    struct.update({_underscored(name): _json(value) for name, value in properties.items() if value is not None})
    return struct


def plain(value: Any) -> Any:
    """The value without the marks of secrets."""
    if isinstance(value, Secret):
        return plain(value.value)
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def has_unknown(value: Any) -> bool:
    """Whether something in it is not known yet."""
    if isinstance(value, Secret):
        return has_unknown(value.value)
    if isinstance(value, dict):
        return any(has_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(has_unknown(item) for item in value)
    return isinstance(value, Unknown)


def marked(values: Any, like: Any) -> Any:
    """`values` with everything secret that is secret in `like`, whose shape it shares."""
    if isinstance(like, Secret) or (isinstance(like, list) and _has_secret(like)):
        return Secret(plain(values))
    if isinstance(values, dict) and isinstance(like, dict):
        return {name: marked(value, like.get(name)) for name, value in values.items()}
    return values


def _has_secret(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_secret(item) for item in value.values())
    if isinstance(value, list):
        return any(_has_secret(item) for item in value)
    return isinstance(value, Secret)


def _read(value: Any) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        fields = value.struct_value.fields
        if _SIGNATURE not in fields:
            return read(value.struct_value)
        if fields[_SIGNATURE].string_value != _SEALED:
            raise ValueError("assets, archives and references to resources mean nothing to Kubernetes")
        return Secret(_read(fields["value"]))
    if kind == "list_value":
        return [_read(item) for item in value.list_value.values]
    if kind == "string_value":
        return UNKNOWN if value.string_value in _UNKNOWN else value.string_value
    if kind == "number_value":
        # The message knows floats only; an API server wants `3` for a whole number.
        return int(value.number_value) if value.number_value.is_integer() else value.number_value
    return value.bool_value if kind == "bool_value" else None


def _json(value: Any) -> Any:
    if isinstance(value, Secret):
        return {_SIGNATURE: _SEALED, "value": _json(value.value)}
    if isinstance(value, Unknown):
        return _ANY_UNKNOWN
    if isinstance(value, dict):
        return {_underscored(name): _json(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_json(item) for item in value]
    return value


def _dashed(name: str) -> str:
    return name.replace("_", "-") if name.startswith(_UNDERSCORED) else name


def _underscored(name: str) -> str:
    return name.replace("-", "_") if name.startswith(_DASHED) else name
