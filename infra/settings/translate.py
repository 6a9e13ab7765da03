"""Pydantic's errors as problems: each with its place, the value, the rule and the way out."""

from collections.abc import Callable, Iterable
from typing import Any

from pydantic_core import ErrorDetails

from infra.settings.fields import field_at, section_at
from infra.settings.messages import Path, closest, dotted, shown
from infra.settings.origins import Tree, nearest
from infra.settings.secret import SecretRef, secret_command
from infra.settings.settings import Settings

Finding = tuple[Path, str]
"""Where something is wrong, and what."""

FOLLOWS = "default_factory_not_called"
"""The type of error that only follows from another one of the same section."""


def findings(errors: Iterable[ErrorDetails], tree: Tree, stack: str) -> list[Finding]:
    """What pydantic refused, in the kit's words.

    Args:
        errors: From a ValidationError of Settings.
        tree: What was validated.
        stack: Name of the stack, for commands to copy.
    """
    found: list[Finding] = []
    meant: set[Path] = set()
    missing: list[Path] = []
    for error in errors:
        if error["type"] == FOLLOWS:
            continue
        path = path_of(error, tree)
        if any(path == known for known, _ in found):
            continue  # one value, read as two: `replicas: x` is {min: x, max: x}
        found.append((path, _text(error, path, stack)))
        if error["type"] == "extra_forbidden":
            meant.add((*path[:-1], _meant(path) or ""))
        elif error["type"] == "missing":
            missing.append(path)
    # A misspelled key is one mistake: that the right one is missing follows from it.
    return [(path, text) for path, text in found if not (path in missing and path in meant)]


def path_of(error: ErrorDetails, tree: Tree) -> Path:
    """Where the operator would look for what pydantic refused."""
    path = tuple(part for part in error["loc"] if part != "[key]")
    if error["type"] == "missing":
        return path
    # `replicas: 0` is read as {min: 0, max: 0}: the place is where it was written.
    return nearest(tree.origins, path)[0] or path


def _text(error: ErrorDetails, path: Path, stack: str) -> str:
    kind, value = error["type"], error.get("input")
    if kind == "secret_due":
        return _secret_due(value, path, stack)
    if isinstance(value, SecretRef):
        command = f"pulumi config set --plaintext --path -s {stack} '{_config_path(path)}' VALUE"
        return f"is encrypted, but is not a secret and must be readable; write it plain, or run: {command}"
    return _TEXTS.get(kind, _other)(error, path)


def _secret_due(value: Any, path: Path, stack: str) -> str:
    command = secret_command(f"berth:{path[0]}", dotted(path[1:]), stack)
    if isinstance(value, dict | list):
        return f"must be a secret, not {shown(value)}; store it with: {command}"
    return (
        "is plain text, but must be a secret; remove it, take a new one (this one was readable), "
        f"and store it with: {command}"
    )


def _missing(_: ErrorDetails, path: Path) -> str:
    field = field_at(Settings, path)
    name = f"berth:{path[0]}" if len(path) == 1 else str(path[-1])
    if field is not None and field.examples:
        return f"is missing; write one such as {name}: {field.examples[0]}"
    below = section_at(Settings, path)
    keys = [key for key, field in below.model_fields.items() if field.is_required()] if below else []
    return f"is missing; write {name}" + (f" with {', '.join(keys)}" if keys else "")


def _unknown(_: ErrorDetails, path: Path) -> str:
    return unknown_key(path)


def unknown_key(path: Path) -> str:
    """What to say of a key that no section has: the key that was meant, the section it belongs to, or all keys."""
    section = section_at(Settings, path[:-1])
    known = section.model_fields if section else {}
    prefix = "berth:" if len(path) == 1 else ""
    for name in known:
        below = section_at(Settings, (*path[:-1], name))
        if below and str(path[-1]) in below.model_fields:
            return f"is not a key here; it belongs under '{prefix}{name}'"
    meant = _meant(path)
    if meant:
        return f"is not a known key; did you mean '{prefix}{meant}'?"
    return f"is not a known key; use one of {', '.join(prefix + name for name in known)}"


def _meant(path: Path) -> str | None:
    section = section_at(Settings, path[:-1])
    return closest(path[-1], section.model_fields) if section else None


def _not_a_mapping(error: ErrorDetails, path: Path) -> str:
    # Its text is not quoted: where a mapping is due, plain text may be a key put one level too high.
    value = error.get("input")
    what = "text" if isinstance(value, str) else shown(value)
    return f"is {what} where a mapping is due{_such_as(path)}"


def _not_a_list(error: ErrorDetails, path: Path) -> str:
    value = error.get("input")
    way_out = (
        f"; write [{value}]"
        if isinstance(value, str) and shown(value) == f"'{value}'"
        else _such_as(path) or "; write one such as [name]"
    )
    return f"{shown(value)} is not a list{way_out}"


def _such_as(path: Path) -> str:
    field = field_at(Settings, path)
    if field is not None and field.examples:
        return f", such as {field.examples[0]}"
    below = section_at(Settings, path)
    return f", with keys such as {', '.join(list(below.model_fields)[:3])}" if below else ""


def _other(error: ErrorDetails, _: Path) -> str:
    return str(error["msg"])


def _config_path(path: Path) -> str:
    return f"berth:{dotted(path)}"


_TEXTS: dict[str, Callable[[ErrorDetails, Path], str]] = {
    "missing": _missing,
    "extra_forbidden": _unknown,
    "model_type": _not_a_mapping,
    "model_attributes_type": _not_a_mapping,
    "dict_type": _not_a_mapping,
    "tuple_type": _not_a_list,
    "list_type": _not_a_list,
}
