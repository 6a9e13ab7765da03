"""What a namespace of the kit holds before any server: rules, limits and priorities."""

from collections.abc import Mapping
from typing import Any

from infra.components.kubernetes.labels import Role, owned
from infra.components.kubernetes.names import priority_class

PRIORITIES = {Role.GATEWAY: 1_000_000, Role.SERVER: 100_000}
"""Without a gateway no server is of use; both go before what runs without a class. Below a billion: those are the
cluster's own."""
_RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}


def namespace(name: str, stack: str) -> dict[str, Any]:
    """Its pods run without root, privileges, host folders and host networks, or not at all."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {**owned(stack), **_RESTRICTED}},
    }


def deny_all(name: str, stack: str) -> dict[str, Any]:
    """No connection from or to any pod; each component opens what its own pods need."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _metadata("deny-all", name, stack),
        "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
    }


def gpu_quota(name: str, stack: str, devices: Mapping[str, int]) -> dict[str, Any]:
    """No more devices than planned, by resource: an update waits instead of buying nodes that nobody planned."""
    hard = {f"requests.{resource}": str(count) for resource, count in sorted(devices.items())}
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": _metadata("gpus", name, stack),
        "spec": {"hard": hard},
    }


def defaults(name: str, stack: str) -> dict[str, Any]:
    """For containers that ask for nothing, such as those that a webhook adds: no pod without bounds.

    No limit of processor time: it would hold for every container without one, the model servers' among them.
    """
    return {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": _metadata("defaults", name, stack),
        "spec": {
            "limits": [
                {
                    "type": "Container",
                    "defaultRequest": {"cpu": "50m", "memory": "128Mi"},
                    "default": {"memory": "512Mi"},
                }
            ]
        },
    }


def priority(name: str, stack: str, role: Role) -> dict[str, Any]:
    """The class of the pods of a role in this namespace."""
    return {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": priority_class(name, role), "labels": owned(stack)},
        "value": PRIORITIES[role],
        "globalDefault": False,
        "description": f"Pods of the role {role} in namespace {name}.",
    }


def _metadata(item: str, name: str, stack: str) -> dict[str, Any]:
    return {"name": item, "namespace": name, "labels": owned(stack)}


def manifests(name: str, stack: str, devices: Mapping[str, int], *, adopt: bool) -> list[dict[str, Any]]:
    """All of them, in the order of their creation; without the namespace itself where it is somebody else's."""
    return [
        *([] if adopt else [namespace(name, stack)]),
        deny_all(name, stack),
        *([gpu_quota(name, stack, devices)] if devices else []),
        defaults(name, stack),
        *(priority(name, stack, role) for role in PRIORITIES),
    ]
