"""GPU nodes to plan with, for stacks that do not list theirs."""

import os
from collections.abc import Mapping

from infra.cluster import Client, ClusterError, Object
from infra.planning.catalogue import Instance, instance_from_labels
from infra.platforms.kubernetes_checks import access
from infra.platforms.kubernetes_checks.finding import CONTEXT, Finding
from infra.settings import Platform, Settings, SettingsError

_UNITS = {
    "": 1.0,
    "m": 1e-3,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "Ki": 2.0**10,
    "Mi": 2.0**20,
    "Gi": 2.0**30,
    "Ti": 2.0**40,
}


def nodes_to_plan_with(settings: Settings, environment: Mapping[str, str] = os.environ) -> tuple[Instance, ...]:
    """The cluster's GPU nodes by their labels; none where the stack file lists pools, or no model wants a GPU.

    Raises SettingsError where the cluster would have to be asked and cannot be.
    """
    wanted = settings.platform is Platform.KUBERNETES and not settings.kubernetes.nodes
    if not wanted or all(model.gpu == "none" for model in settings.models.values()):
        return ()
    client = access.connect(settings, environment)
    if isinstance(client, Finding):
        raise SettingsError([settings.problem(client.path, client.text)])
    with client:
        try:
            return _nodes(client)
        except ClusterError as error:
            rule = f"'{client.target.context}': its nodes cannot be read: {error}; list them in kubernetes.nodes"
            raise SettingsError([settings.problem(CONTEXT, rule)]) from error


def _nodes(client: Client) -> tuple[Instance, ...]:
    found = [_instance(node) for node in client.items("v1", "Node")]
    return tuple(sorted((node for node in found if node is not None), key=lambda node: (node.name, node.gpus)))


def _instance(node: Object) -> Instance | None:
    capacity = node.get("status", {}).get("capacity") or {}
    labels = node["metadata"].get("labels") or {}
    return instance_from_labels(labels, int(amount(capacity.get("cpu", "0"))), int(amount(capacity.get("memory", "0"))))


def amount(quantity: str) -> float:
    """A quantity of Kubernetes as a number: `1500m` is 1.5, `2Ki` is 2,048."""
    number = quantity.rstrip("".join(set("".join(_UNITS))))
    return float(number) * _UNITS[quantity[len(number) :]]
