"""What a stack has left in its cluster: objects with its labels that no state knows any more."""

from collections.abc import Sequence
from dataclasses import dataclass

from infra.cluster import ApiError, Client, ClusterError, label_query
from infra.components.kubernetes.labels import owned
from infra.platforms.kubernetes_checks import client_of
from infra.settings import Settings
from infra.tasks.engine import say

PASSING = frozenset({"Event", "Lease", "EndpointSlice", "Endpoints", "ControllerRevision", "PodMetrics"})
"""Kinds that come and go by themselves."""


@dataclass(frozen=True, slots=True, order=True)
class Orphan:
    """One object."""

    resource: str
    """As `kubectl` takes it: `deployments.apps`."""
    namespace: str
    """Empty for kinds without."""
    name: str
    leaving: bool
    """It has been told to go; a finalizer or a grace period holds it."""

    def command(self, context: str) -> str:
        """Removes it."""
        scope = f" --namespace {self.namespace}" if self.namespace else ""
        return f"kubectl --context {context}{scope} delete {self.resource} {self.name}"

    def __str__(self) -> str:
        place = f" in {self.namespace}" if self.namespace else ""
        return f"{self.resource} {self.name}{place}{' (being deleted)' if self.leaving else ''}"


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What was found."""

    orphans: tuple[Orphan, ...]
    unseen: tuple[str, ...]
    """Kinds and groups that could not be listed."""

    def text(self, stack: str, context: str) -> str:
        """For a person; empty where there is nothing to tell."""
        lines = []
        if self.orphans:
            many = f"{len(self.orphans)} object{'s' * (len(self.orphans) > 1)}"
            lines.append(f"stack {stack} has left {many} in cluster '{context}':")
            lines += [f"  {orphan}" for orphan in self.orphans]
            lines.append("What is not wanted any more is removed by:")
            lines += [f"  {orphan.command(context)}" for orphan in self.orphans if not orphan.leaving]
        if self.unseen:
            lines.append(f"could not be looked through for leftovers: {', '.join(self.unseen)}")
        return "\n".join(lines)


def leftovers(client: Client, stack: str) -> Leftovers:
    """All objects of all kinds that bear the stack's labels; those that go with an owner are left out."""
    labels = label_query(owned(stack))
    resources, silent = client.discovery.everything()
    found: dict[str, Orphan] = {}
    unseen = list(silent)
    for resource in resources:
        if "list" not in resource.verbs or resource.kind in PASSING:
            continue
        try:
            items = client.all_of(resource, labels=labels)
        except ApiError as error:
            if error.forbidden or error.code >= 500:
                unseen.append(resource.full_name)
                continue
            if error.not_found or error.code == 405:
                continue
            raise
        for item in items:
            metadata = item["metadata"]
            if metadata.get("ownerReferences"):
                continue
            # The same object may be served by more than one group.
            found[metadata["uid"]] = Orphan(
                resource.full_name, metadata.get("namespace", ""), metadata["name"], "deletionTimestamp" in metadata
            )
    return Leftovers(tuple(sorted(found.values())), tuple(sorted(unseen)))


def report(settings: Settings) -> Sequence[Orphan]:
    """Tells what the stack has left. Says why where the cluster cannot be asked: it may be gone with all in it."""
    context = settings.kubernetes.context or ""
    try:
        with client_of(settings) as client:
            left = leftovers(client, settings.stack)
    except ClusterError as error:
        say(f"cluster '{context}' could not be looked through for leftovers of stack {settings.stack}: {error}")
        return ()
    if text := left.text(settings.stack, context):
        say(text)
    return left.orphans
