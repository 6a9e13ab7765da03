"""The stack's namespace: free, or its own."""

from collections.abc import Iterator

from infra.cluster import Client
from infra.components.kubernetes.labels import MANAGED_BY, STACK, owned
from infra.platforms.kubernetes_checks.finding import NAMESPACE, Finding
from infra.settings import Settings

_HOLDING = ("NamespaceContentRemaining", "NamespaceFinalizersRemaining", "NamespaceDeletionContentFailure")


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
    if owned(settings.stack).items() <= labels.items():
        return
    if MANAGED_BY.items() <= labels.items() and labels.get(STACK):
        rule = f"belongs to stack '{labels[STACK]}' of berth; every stack has a namespace of its own"
        yield Finding(NAMESPACE, f"'{name}' {rule}")
        return
    owner = next((labels[key] for key in MANAGED_BY if key in labels), "")
    whose = f"is managed by {owner}" if owner else "was not made by berth"
    pairs = " ".join(f"{key}={value}" for key, value in owned(settings.stack).items())
    command = f"kubectl --context {context} label --overwrite namespace {name} {pairs}"
    yield Finding(
        NAMESPACE,
        f"'{name}' exists in cluster '{context}' and {whose}: the kit would close its network, set its quota and "
        f"delete it on `make down`; name another, or give it to this stack: {command}",
    )
