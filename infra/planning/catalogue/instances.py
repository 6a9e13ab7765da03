"""Node types: which accelerators they hold, and what is left on them for pods."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from infra.planning.catalogue.gpus import Gpu, gpus
from infra.planning.text import GIB, MIB

_VM_OVERHEAD = 0.075
"""Memory that the hypervisor and kernel keep (Karpenter's default `vm-memory-overhead-percent`)."""
_EVICTION_MIB = 100
"""The kubelet's hard eviction threshold `memory.available<100Mi`."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One node type."""

    name: str
    gpu: str
    gpus: int
    vcpus: int
    memory_mib: int
    network: float
    """Bytes a second that hold, not the burst figure."""
    nvme_bytes: int
    max_pods: int
    efa: int = 0
    """Elastic Fabric Adapter cards."""

    @property
    def device(self) -> Gpu:
        """Return the accelerator."""
        return gpus()[self.gpu]

    @property
    def allocatable_cpu_millis(self) -> int:
        """Return CPU for pods: vCPUs less 6 % of the first, 1 % of the second, .5 % of two, .25 % of the rest.

        Source: EKS AMI bootstrap and Karpenter `kubeReservedResources`; 3,920m on a g6.xlarge.
        """
        reserved = 0.0
        for first, last, share in ((0, 1, 60.0), (1, 2, 10.0), (2, 4, 5.0), (4, 10**6, 2.5)):
            reserved += max(0, min(self.vcpus, last) - first) * share
        return int(self.vcpus * 1000 - reserved)

    @property
    def allocatable_memory_bytes(self) -> int:
        """Return memory for pods: less the hypervisor's share, 255 MiB + 11 MiB a pod, and the eviction threshold.

        Source: Karpenter `memory()`, `kubeReservedResources`, `evictionThreshold`; 14,162 Mi on a g6.xlarge.
        """
        reserved = 255 + 11 * self.max_pods + _EVICTION_MIB
        return int((int(self.memory_mib * (1 - _VM_OVERHEAD)) - reserved) * MIB)

    @property
    def disk_bytes(self) -> int:
        """Return instance storage; 0 means a network volume of any size."""
        return self.nvme_bytes


@cache
def aws_instances() -> Mapping[str, Instance]:
    """Return AWS's types with accelerators by name (data/instances.json, written by `refresh`)."""
    content = json.loads(files("infra.planning.data").joinpath("instances.json").read_text())
    return {name: Instance(name=name, **fields) for name, fields in content["types"].items()}


def instance_from_labels(labels: Mapping[str, str], vcpus: int, memory_bytes: int) -> Instance | None:
    """Return the node type that a node's labels describe, or None when the node has no known accelerator.

    Reads GPU feature discovery's `nvidia.com/gpu.product`, `.count`, `.memory` (MiB). `vcpus` and `memory_bytes` are
    the node's own capacity; unknown networks and disks count as 10 Gbit/s and a network volume.
    """
    product = labels.get("nvidia.com/gpu.product", "")
    memory_mib = int(labels.get("nvidia.com/gpu.memory", "0"))
    name = _gpu_of_product(product, memory_mib)
    if name is None:
        return None
    return Instance(
        name=labels.get("node.kubernetes.io/instance-type", product),
        gpu=name,
        gpus=int(labels.get("nvidia.com/gpu.count", "1")),
        vcpus=vcpus,
        memory_mib=memory_bytes // MIB,
        network=1.25e9,
        nvme_bytes=0,
        max_pods=110,
    )


def fixed_instance(name: str, gpu: str, count: int, memory_gib: int, vcpus: int) -> Instance:
    """Return a node type that a stack file describes."""
    return Instance(name, gpu, count, vcpus, memory_gib * GIB // MIB, 1.25e9, 0, 110)


def _gpu_of_product(product: str, memory_mib: int) -> str | None:
    words = re.split(r"[-_ ]", product.lower())
    if "a100" in words:
        return "a100-80" if memory_mib > 60_000 else "a100-40"
    if "rtx" in words and "6000" in words and "pro" in words:
        return "rtx-pro-6000"
    return next((name for name in gpus() if name in words), None)
