"""The order in which objects are applied, the same whatever order they were registered in."""

from collections.abc import Hashable, Iterable, Mapping, Set
from typing import TypeVar

from infra.render.collect import Made

_Key = TypeVar("_Key", bound=Hashable)
KINDS = (
    "Namespace",
    "PriorityClass",
    "NodePool",
    "ResourceQuota",
    "LimitRange",
    "NetworkPolicy",
    "ServiceAccount",
    "ConfigMap",
    "Secret",
    "PersistentVolumeClaim",
    "Job",
    "Service",
    "Deployment",
    "StatefulSet",
    "LeaderWorkerSet",
)
"""Among objects that do not need each other, these come first, in this order; the rest last."""


def rank(item: Made) -> tuple[int, str, str]:
    """By kind, then by name."""
    kind = str(item.inputs.get("kind", ""))
    return KINDS.index(kind) if kind in KINDS else len(KINDS), kind, item.name


def sorted_by_need(
    keys: Iterable[_Key], needs: Mapping[_Key, Set[_Key]], place: Mapping[_Key, tuple[int, str, str]]
) -> list[_Key]:
    """What is needed first; of those that could come next, the first by `place`. A circle ends where it is smallest."""
    left = sorted(keys, key=lambda key: place[key])
    done: list[_Key] = []
    while left:
        free = next((key for key in left if not (needs.get(key, frozenset()) & set(left)) - {key}), left[0])
        left.remove(free)
        done.append(free)
    return done
