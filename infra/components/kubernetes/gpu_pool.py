"""Nodes of one GPU type that Karpenter buys when pods wait for them, and gives back when they are empty."""

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import pulumi
import pulumi_kubernetes as k8s

EMPTY_SECONDS = 600
"""Twice what a scaler takes to change its mind."""


class NodeClass(TypedDict):
    """What Karpenter makes the nodes from: image, network, disks."""

    group: str
    """API group of the class, such as karpenter.k8s.aws."""
    kind: str
    """Such as EC2NodeClass."""
    name: str
    """Its name."""


class GpuPoolArgs(TypedDict):
    """One pool."""

    name: str
    """Name of the NodePool, which is cluster-wide."""
    labels: dict[str, str]
    """Of the NodePool, not of its nodes."""
    node_labels: dict[str, str]
    """Of its nodes: what model servers select. Karpenter buys for a pod only if it knows each label that the pod asks
    for, and feature discovery labels a node after it has been bought."""
    instances: list[str]
    """Instance types, all with the same GPU: given a choice, Karpenter packs pods on one large node at any price."""
    resource: str
    """Device resource of the nodes, such as nvidia.com/gpu. Nodes are tainted with it."""
    limit: int
    """Most devices of all its nodes together."""
    node_class: NodeClass
    """What nodes are made from."""
    capacity: NotRequired[list[str]]
    """What may be bought: reserved, spot, on-demand. Default: on-demand."""
    empty_seconds: NotRequired[int]
    """How long a node may be empty before it goes. Default: 600."""
    grace_seconds: NotRequired[int]
    """Longest that a node waits for its pods to drain before it goes. Default: 2 hours."""


class GpuPool(pulumi.ComponentResource):
    """A Karpenter NodePool with safe defaults: limited, no expiry, one node at a time, and only empty ones."""

    name: pulumi.Output[str]
    """Name of the NodePool."""

    def __init__(self, name: str, args: GpuPoolArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("berth:index:GpuPool", name, {**args}, opts)
        pool = k8s.apiextensions.CustomResource(name, **node_pool(args), opts=pulumi.ResourceOptions(parent=self))
        self.name = pool.metadata.apply(lambda metadata: str(metadata["name"]))
        self.register_outputs({"name": self.name})


def node_pool(args: GpuPoolArgs) -> dict[str, Any]:
    """The NodePool, in the argument names of a custom resource."""
    return {
        "api_version": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": {"name": args["name"], "labels": args["labels"]},
        "spec": {
            "template": {
                "metadata": {"labels": args["node_labels"]},
                "spec": {
                    "nodeClassRef": {**args["node_class"]},
                    # Expiry replaces a node with whatever runs on it, at an hour that nobody chose.
                    "expireAfter": "Never",
                    "terminationGracePeriod": f"{args.get('grace_seconds', 7200)}s",
                    "requirements": _requirements(args["instances"], args.get("capacity", ["on-demand"])),
                    "taints": [{"key": args["resource"], "value": "true", "effect": "NoSchedule"}],
                },
            },
            "limits": {args["resource"]: str(args["limit"])},
            "disruption": {
                "consolidationPolicy": "WhenEmpty",
                "consolidateAfter": f"{args.get('empty_seconds', EMPTY_SECONDS)}s",
                "budgets": [{"nodes": "1"}],
            },
        },
    }


def _requirements(instances: Sequence[str], capacity: Sequence[str]) -> list[Mapping[str, Any]]:
    return [
        {"key": "node.kubernetes.io/instance-type", "operator": "In", "values": [*instances]},
        {"key": "karpenter.sh/capacity-type", "operator": "In", "values": [*capacity]},
    ]
