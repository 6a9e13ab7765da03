"""The real Karpenter, with its provider of simulated nodes: pending pods bring up nodes, empty ones go."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType

from infra import toolchain
from infra.planning.catalogue.instances import aws_instances
from infra.planning.catalogue.prices import prices
from tests.support.cluster import crds
from tests.support.cluster.apiserver import ADMIN, free_ports
from tests.support.cluster.cluster import Cluster
from tests.support.cluster.nodes import device_of
from tests.support.kubernetes_api import Object

NODE_CLASS = "default"
"""The KWOKNodeClass that a NodePool may name (group karpenter.kwok.sh)."""
_PROCESS = "karpenter"
_SPOT_FACTOR = 0.4


@dataclass(frozen=True, slots=True)
class Offer:
    """Types of the planner's catalogue that Karpenter may buy, at its prices of us-east-1."""

    instances: tuple[str, ...]
    zones: tuple[str, ...] = ("us-east-1a", "us-east-1b")
    """All types in all zones, on demand and on spot."""

    def document(self) -> list[Object]:
        """As Karpenter's provider reads it."""
        return [self._type(name) for name in self.instances]

    def _type(self, name: str) -> Object:
        instance = aws_instances()[name]
        price = prices("us-east-1").on_demand[name]
        return {
            "name": name,
            "architecture": "amd64",
            "operatingSystems": ["linux"],
            "resources": {
                "cpu": str(instance.vcpus),
                "memory": f"{instance.memory_mib}Mi",
                "pods": str(instance.max_pods),
                "ephemeral-storage": "500Gi",
                device_of(instance): str(instance.gpus),
            },
            "offerings": [
                {
                    "Price": price * factor,
                    "Available": True,
                    "Requirements": [
                        {"key": "karpenter.sh/capacity-type", "operator": "In", "values": [capacity]},
                        {"key": "topology.kubernetes.io/zone", "operator": "In", "values": [zone]},
                    ],
                }
                for capacity, factor in (("on-demand", 1.0), ("spot", _SPOT_FACTOR))
                for zone in self.zones
            ],
        }


class Karpenter:
    """`with Karpenter(cluster, Offer(...)):`; it needs crds.KARPENTER_PARTS, which it installs where they are missing.

    Its metrics and health ports are the one thing here that listens on all addresses: it knows no other way.
    """

    def __init__(self, cluster: Cluster, offer: Offer, registration_seconds: int = 2) -> None:
        """`registration_seconds`: from the purchase of a node to its first sign of life."""
        self._cluster = cluster
        self._offer = offer
        self._registration_seconds = registration_seconds
        self._program = toolchain.ensure("karpenter")

    def __enter__(self) -> "Karpenter":
        self._install()
        types = self._cluster.folder / "instance-types.json"
        types.write_text(json.dumps(self._offer.document()))
        metrics, health = free_ports(2)
        self._cluster.processes.start(
            _PROCESS,
            [str(self._program)],
            {
                "KUBECONFIG": str(self._cluster.kubeconfig(ADMIN)),
                "DISABLE_LEADER_ELECTION": "true",
                "METRICS_PORT": str(metrics),
                "HEALTH_PROBE_PORT": str(health),
                "INSTANCE_TYPES_FILE_PATH": str(types),
                "SYSTEM_NAMESPACE": "kube-system",
                "BATCH_IDLE_DURATION": "500ms",
            },
        )
        self._cluster.processes.wait("readiness of Karpenter", lambda: _answers(health))
        self._cluster.api.apply(
            {
                "apiVersion": "karpenter.kwok.sh/v1alpha1",
                "kind": "KWOKNodeClass",
                "metadata": {"name": NODE_CLASS},
                "spec": {"nodeRegistrationDelay": f"{self._registration_seconds}s"},
            }
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cluster.processes.stop(_PROCESS)

    def _install(self) -> None:
        api = self._cluster.api
        there = {item["metadata"]["name"] for item in api.items(crds.API_VERSION, crds.KIND)}
        wanted = crds.load(crds.KARPENTER_PARTS)
        crds.install(api, (item for item in wanted if item["metadata"]["name"] not in there))
        names = [item["metadata"]["name"] for item in wanted]
        self._cluster.processes.wait("served definitions", lambda: crds.established(api, names))


def node_pool(name: str, instances: Iterable[str], device: str, limit: int, labels: dict[str, str]) -> Object:
    """A NodePool for these types, on demand, tainted with their device; at most `limit` devices in all."""
    return {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": {"name": name},
        "spec": {
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "nodeClassRef": {"group": "karpenter.kwok.sh", "kind": "KWOKNodeClass", "name": NODE_CLASS},
                    "expireAfter": "720h",
                    "requirements": [
                        {"key": "node.kubernetes.io/instance-type", "operator": "In", "values": [*instances]},
                        {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["on-demand"]},
                    ],
                    "taints": [{"key": device, "value": "true", "effect": "NoSchedule"}],
                },
            },
            "limits": {device: str(limit)},
            "disruption": {"consolidationPolicy": "WhenEmpty", "consolidateAfter": "1s"},
        },
    }


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
