"""Who owns which field (`metadata.managedFields`): taking over what a creation wrote, and leaving others theirs."""

from typing import Any

from tests.fakes.kubernetes_provider import objects
from tests.support.kubernetes_api import Object

# Managers of tools that this provider follows on from: kubectl, and the provider itself before server-side apply.
_FORERUNNERS = {
    "kubectl",
    "before-first-apply",
    "pulumi-kubernetes",
    "pulumi-kubernetes.exe",
    "pulumi-resource-kubernetes",
}


def takeover(live: Object, manager: str) -> list[Object]:
    """A JSON patch that makes `manager` the applier of what it created, or a forerunner wrote; empty when it is.

    Objects are created by a plain POST (so that one that exists is an error), whose fields count as updated, not as
    applied: without this a field that a program drops would stay, as its creator still owns it.
    """
    entries = live["metadata"].get("managedFields", [])
    ours = [entry for entry in entries if _is_ours(entry, manager)]
    if not any(entry["operation"] == "Update" or entry["manager"] != manager for entry in ours):
        return []
    fields: dict[str, Any] = {}
    for entry in ours:
        _merge(fields, entry["fieldsV1"])
    applied = {**ours[0], "manager": manager, "operation": "Apply", "fieldsV1": fields}
    rest = [entry for entry in entries if entry not in ours]
    return [
        {"op": "test", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"]},
        {"op": "replace", "path": "/metadata/managedFields", "value": [*rest, applied]},
    ]


def has_forerunner(live: Object, manager: str) -> bool:
    """Whether a takeover is due. A preview cannot make it, and forces the dry run instead."""
    return bool(takeover(live, manager))


def without_ignored(inputs: Object, live: Object, ignored: list[str], manager: str) -> Object:
    """Inputs in which ignored fields stay as they are.

    What only others own is left out; anything else is sent as it is on the server, since a field that an applier stops
    sending is removed.
    """
    for text in ignored:
        path = tuple(text.split("."))
        owners = [entry["manager"] for entry in live["metadata"].get("managedFields", ()) if _owns(entry, path)]
        if owners and manager not in owners:
            inputs = objects.replaced_at(inputs, path, None)
        elif (value := objects.at(live, *path)) is not None:
            inputs = objects.replaced_at(inputs, path, value)
    return inputs


def _is_ours(entry: Object, manager: str) -> bool:
    if entry.get("subresource"):
        return False
    if entry["manager"] == manager:
        return True
    return entry["manager"] == "kubectl" or (entry["operation"] == "Update" and entry["manager"] in _FORERUNNERS)


def _merge(into: dict[str, Any], more: dict[str, Any]) -> None:
    for name, value in more.items():
        _merge(into.setdefault(name, {}), value)


def _owns(entry: Object, path: tuple[str, ...]) -> bool:
    place = entry["fieldsV1"]
    for step in path:
        if f"f:{step}" not in place:
            return False
        place = place[f"f:{step}"]
    return True
