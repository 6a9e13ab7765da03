"""The namespace of a stack."""

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

import pulumi

from infra.components.kubernetes import namespace_objects
from infra.components.kubernetes.labels import Role
from infra.components.kubernetes.making import make
from infra.components.kubernetes.names import priority_class


class NamespaceArgs(TypedDict):
    """One namespace."""

    name: str
    """Its name."""
    stack: str
    """Name of the stack, for labels."""
    adopt: NotRequired[bool]
    """Whether the namespace is there already and stays when the stack goes: the kit makes what is inside, and does not
    touch its labels, so pod security is its owner's. Default: false."""
    gpu_quota: NotRequired[dict[str, int]]
    """Most devices by resource, such as nvidia.com/gpu: those of all replicas and of what rollouts need beside them
    (`Rollout.most`). Default: no quota."""


class Namespace(pulumi.ComponentResource):
    """Restricted pod security, no connection that is not opened, GPU quota, default limits, two priority classes."""

    name: pulumi.Output[str]
    """Its name, known at preview."""
    gateway_priority: pulumi.Output[str]
    """Name of the priority class for the gateway."""
    server_priority: pulumi.Output[str]
    """Name of the priority class for model servers; below the gateway's."""

    def __init__(self, name: str, args: NamespaceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("berth:index:Namespace", name, {**args}, opts)
        space, devices = args["name"], args.get("gpu_quota", {})
        made: list[pulumi.Resource] = []
        for manifest in namespace_objects.manifests(space, args["stack"], devices, adopt=args.get("adopt", False)):
            inside = "namespace" in manifest["metadata"]
            made.append(
                make(
                    _logical_name(name, manifest),
                    manifest,
                    pulumi.ResourceOptions(parent=self, depends_on=made[:1] if inside else []),
                )
            )
        self.name = pulumi.Output.from_input(space)
        self.gateway_priority = pulumi.Output.from_input(priority_class(space, Role.GATEWAY))
        self.server_priority = pulumi.Output.from_input(priority_class(space, Role.SERVER))
        self.register_outputs(
            {"name": self.name, "gateway_priority": self.gateway_priority, "server_priority": self.server_priority}
        )


def _logical_name(name: str, manifest: Mapping[str, Any]) -> str:
    return name if manifest["kind"] == "Namespace" else f"{name}-{manifest['metadata']['name']}"
