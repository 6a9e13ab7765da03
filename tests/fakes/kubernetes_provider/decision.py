"""Whether a resource stays, changes or is replaced."""

from dataclasses import dataclass
from typing import Any

from tests.fakes.kubernetes_provider import differences, objects, replacing
from tests.fakes.kubernetes_provider.differences import Change
from tests.fakes.kubernetes_provider.normal import comparable
from tests.fakes.kubernetes_provider.settings import Settings


@dataclass(frozen=True, slots=True)
class Decision:
    """What a change of inputs comes to."""

    changes: tuple[Change, ...]
    replacing: tuple[Change, ...]
    """Those that need another object."""
    delete_first: bool
    """The new object has the old one's name, so the old one must go before."""


def decide(
    old_inputs: dict[str, Any],
    live: dict[str, Any],
    new: dict[str, Any],
    ignored: list[str],
    settings: Settings,
    *,
    namespaced: bool,
) -> Decision:
    """Compares the live object, as far as the old inputs speak of it, with the new inputs.

    So a field that a controller changed is put back, and one that a controller added is no change.
    """
    old = _placed(differences.pruned(live, comparable(old_inputs)), namespaced=namespaced)
    wanted = _placed(comparable(new), namespaced=namespaced)
    if objects.name(wanted):
        old = objects.with_metadata(old, name=objects.name(live))
    found = differences.changes(old, wanted, built_in=objects.is_built_in(wanted))
    changes = tuple(change for change in found if not _is_ignored(change, ignored))
    paths = replacing.fields(wanted, settings)
    replaced = tuple(change for change in changes if replacing.needs_replacement(change, paths))
    return Decision(changes, replaced, bool(replaced) and _takes_the_same_name(wanted, live, old))


def replaced(decision: Decision) -> Decision:
    """The same, and another object under the same name: the one that is there did not become ready."""
    change = Change(("metadata", "annotations", objects.REPLACE_UNREADY), differences.UPDATE, "true")
    return Decision((*decision.changes, change), (*decision.replacing, change), delete_first=True)


def _placed(item: dict[str, Any], *, namespaced: bool) -> dict[str, Any]:
    """With its namespace written out, or without one."""
    return objects.with_metadata(item, namespace=(objects.namespace(item) or "default") if namespaced else None)


def _is_ignored(change: Change, ignored: list[str]) -> bool:
    return any(change.text == path or change.text.startswith((f"{path}.", f"{path}[")) for path in ignored)


def _takes_the_same_name(wanted: dict[str, Any], live: dict[str, Any], old: dict[str, Any]) -> bool:
    return (
        not objects.is_true(wanted, objects.AUTONAMED)
        and objects.name(wanted) == objects.name(live)
        and objects.namespace(wanted) == objects.namespace(old)
    )
