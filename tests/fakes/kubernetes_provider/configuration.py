"""When a change of the provider's own configuration means another cluster, so that everything in it is replaced."""

from typing import Any

from tests.fakes.kubernetes_provider.properties import Properties, Unknown, plain
from tests.fakes.kubernetes_provider.protocol import provider_pb2
from tests.fakes.kubernetes_provider.settings import active_cluster

_IDENTIFIER = "clusterIdentifier"
_PLACE = ("kubeconfig", "context", "cluster")


def difference(old: Properties, new: Properties) -> Any:
    """With an identifier that stays, nothing is replaced; else a kubeconfig that is unknown, or leads elsewhere, is."""
    before, after = plain(old), plain(new)
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if not changed:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)
    return provider_pb2.DiffResponse(
        changes=provider_pb2.DiffResponse.DIFF_SOME, diffs=changed, replaces=_replacing(before, after, changed)
    )


def _replacing(before: Properties, after: Properties, changed: list[str]) -> list[str]:
    identifiers = before.get(_IDENTIFIER), after.get(_IDENTIFIER)
    if all(identifiers):
        return [_IDENTIFIER] if identifiers[0] != identifiers[1] else []
    unknown = [name for name in _PLACE if isinstance(after.get(name), Unknown)]
    if unknown:
        return unknown[:1]
    place = [name for name in _PLACE if name in changed]
    return place if place and active_cluster(before) != active_cluster(after) else []
