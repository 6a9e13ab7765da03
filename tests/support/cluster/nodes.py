"""Nodes for a cluster of simulated kubelets: what a cloud's node of a type looks like to a scheduler."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from infra.planning.catalogue import gpus
from infra.planning.catalogue.instances import Instance, aws_instances
from infra.planning.text import GIB, MIB
from tests.support.kubernetes_api import Object

GPU_RESOURCE = "nvidia.com/gpu"
NEURON_RESOURCE = "aws.amazon.com/neuron"

_DISK = "500Gi"
# Node types without accelerators, which the planner's catalogue does not hold: vCPUs, GiB, pods.
_PLAIN = {"m6i.large": (2, 8, 29), "m6i.xlarge": (4, 16, 58), "m6i.4xlarge": (16, 64, 234)}


@dataclass(frozen=True, slots=True)
class Nodes:
    """Equal nodes: `each` in every zone."""

    instance: str
    """AWS type with accelerators as in the planner's catalogue, or an m6i without."""
    zones: tuple[str, ...] = ("us-east-1a",)
    each: int = 1
    spot: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    """Further labels, such as the pool's."""

    def names(self) -> list[str]:
        """`<type>-<zone>-<number>`, by zone."""
        stem = self.instance.replace(".", "-")
        return [f"{stem}-{zone.rpartition('-')[2]}-{number}" for zone in self.zones for number in range(self.each)]

    def objects(self) -> list[Object]:
        """The Node objects."""
        zones = [zone for zone in self.zones for _ in range(self.each)]
        return [self._object(name, zone) for name, zone in zip(self.names(), zones, strict=True)]

    def _object(self, name: str, zone: str) -> Object:
        instance = _instance(self.instance)
        device = device_of(instance)
        labels = {
            "kubernetes.io/hostname": name,
            "kubernetes.io/arch": "amd64",
            "kubernetes.io/os": "linux",
            "node.kubernetes.io/instance-type": self.instance,
            "topology.kubernetes.io/zone": zone,
            "topology.kubernetes.io/region": zone.rstrip("abcdef"),
            "karpenter.sh/capacity-type": "spot" if self.spot else "on-demand",
            **_device_labels(instance),
            **self.labels,
        }
        spec: Object = {"providerID": f"simulated:///{zone}/{name}"}
        if device:
            spec["taints"] = [{"key": device, "value": "true", "effect": "NoSchedule"}]
        devices = {device: str(instance.gpus)} if device else {}
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": labels},
            "spec": spec,
            "status": {
                "capacity": {
                    "cpu": str(instance.vcpus),
                    "memory": f"{instance.memory_mib}Mi",
                    "ephemeral-storage": _DISK,
                    "pods": str(instance.max_pods),
                    **devices,
                },
                "allocatable": {
                    "cpu": f"{instance.allocatable_cpu_millis}m",
                    "memory": str(instance.allocatable_memory_bytes),
                    "ephemeral-storage": _DISK,
                    "pods": str(instance.max_pods),
                    **devices,
                },
            },
        }


# One node of each kind that most tests need: two zones, three GPU types, one of them on spot.
MIXED = (
    Nodes("m6i.4xlarge", ("us-east-1a", "us-east-1b")),
    Nodes("g6.xlarge", ("us-east-1a", "us-east-1b")),
    Nodes("g6e.12xlarge", ("us-east-1b",), spot=True),
    Nodes("p5.48xlarge", ("us-east-1a", "us-east-1b")),
)


def _instance(name: str) -> Instance:
    if name in _PLAIN:
        vcpus, gib, pods = _PLAIN[name]
        return Instance(name, "", 0, vcpus, gib * GIB // MIB, 1.25e9, 0, pods)
    return aws_instances()[name]


def device_of(instance: Instance) -> str:
    """The resource that its accelerators are asked for by; empty when it has none."""
    if not instance.gpu:
        return ""
    return GPU_RESOURCE if gpus()[instance.gpu].product else NEURON_RESOURCE


def _device_labels(instance: Instance) -> dict[str, str]:
    if device_of(instance) != GPU_RESOURCE:
        return {}
    return {
        "nvidia.com/gpu.present": "true",
        "nvidia.com/gpu.count": str(instance.gpus),
        "nvidia.com/gpu.product": gpus()[instance.gpu].product,
        "nvidia.com/gpu.memory": str(instance.device.memory_bytes // MIB),
        "karpenter.k8s.aws/instance-gpu-name": instance.gpu.partition("-")[0],
        "karpenter.k8s.aws/instance-gpu-count": str(instance.gpus),
    }
