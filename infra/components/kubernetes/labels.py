"""Labels of everything that the kit makes in a cluster: what selects pods, and what finds left-overs."""

from enum import StrEnum

MANAGED_BY = {"app.kubernetes.io/managed-by": "berth"}
NAME, INSTANCE = "app.kubernetes.io/name", "app.kubernetes.io/instance"
STACK, MODEL, REVISION = "berth.dev/stack", "berth.dev/model", "berth.dev/revision"


class Role(StrEnum):
    """What a pod is for: the value of `app.kubernetes.io/name`."""

    SERVER = "model-server"
    GATEWAY = "gateway"
    STORE = "model-store"
    PROMETHEUS = "prometheus"


def owned(stack: str) -> dict[str, str]:
    """On every object, so that what a stack left behind is found: `managed-by=berth,berth.dev/stack=<stack>`."""
    return {**MANAGED_BY, STACK: stack}


def labels(role: Role, instance: str, stack: str, **more: str) -> dict[str, str]:
    """Of an object with a role; `more` are further ones by the names of the constants here (`model="chat"`)."""
    keys = {"model": MODEL, "revision": REVISION}
    return {**selector(role, instance), **owned(stack), **{keys[name]: value for name, value in more.items()}}


def selector(role: Role, instance: str) -> dict[str, str]:
    """What pods are selected by: it never changes, as the API forbids it for most selectors."""
    return {NAME: str(role), INSTANCE: instance}
