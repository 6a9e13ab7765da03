"""The stack's namespace: free, or its own."""

from collections.abc import Iterator

from infra.cluster import Client
from infra.platforms.kubernetes_checks.finding import NAMESPACE, Finding
from infra.settings import Settings

MANAGED_BY, STACK = "app.kubernetes.io/managed-by", "berth.dev/stack"


def namespace(client: Client, settings: Settings) -> Iterator[Finding]:
    """There, but another's: of someone else, of another stack, or on its way out."""
    name, context = settings.kubernetes.namespace, client.target.context
    found = client.find("v1", "Namespace", name)
    if found is None:
        return
    metadata = found["metadata"]
    labels = metadata.get("labels") or {}
    if metadata.get("deletionTimestamp"):
        held = [
            f"{condition['type']}: {condition['message']}"
            for condition in found.get("status", {}).get("conditions") or []
            if condition.get("status") == "True" and condition["type"] in _HOLDING
        ]
        why = f" ({'; '.join(held)})" if held else ""
        yield Finding(NAMESPACE, f"'{name}' is being deleted{why}; wait until it is gone, or name another")
        return
    other = labels.get(STACK)
    if labels.get(MANAGED_BY) == "berth" and other == settings.stack:
        return
    if labels.get(MANAGED_BY) == "berth" and other:
        yield Finding(
            NAMESPACE, f"'{name}' belongs to stack '{other}' of berth; every stack has a namespace of its own"
        )
        return
    owner = labels.get(MANAGED_BY)
    whose = f"is managed by {owner}" if owner else "was not made by berth"
    command = f"kubectl --context {context} label namespace {name} {MANAGED_BY}=berth {STACK}={settings.stack}"
    yield Finding(
        NAMESPACE,
        f"'{name}' exists in cluster '{context}' and {whose}: the kit would close its network, set its quota and "
        f"delete it on `make down`; name another, or give it to this stack: {command}",
    )


_HOLDING = ("NamespaceContentRemaining", "NamespaceFinalizersRemaining", "NamespaceDeletionContentFailure")
