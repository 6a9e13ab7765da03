"""What a stack needs of a cluster: its version, its kinds, the GPUs of each type."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from infra.planning import Plan
from infra.settings import Settings

FEATURES: Mapping[str, tuple[int, int]] = {
    "waits of a fixed time before a pod is told to stop (preStop sleep)": (1, 30),
    "spreading only the pods of one revision over zones (matchLabelKeys)": (1, 27),
    "evicting pods that are not ready whatever the budget says (unhealthyPodEvictionPolicy)": (1, 27),
    "Jobs that do not try again where it is of no use (podFailurePolicy)": (1, 26),
}
"""What the kit's objects use, and the version in which each is on without being asked for."""
MINIMUM = max(FEATURES.values())


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object that a deployment makes."""

    group: str
    """Empty for the core."""
    plural: str
    namespaced: bool = True

    @property
    def full_name(self) -> str:
        """Such as `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


@dataclass(frozen=True, slots=True)
class Extension:
    """A kind that a cluster has only where someone has installed it."""

    api_version: str
    kind: str
    plural: str
    project: str
    install: str
    """The command."""
    namespaced: bool = True

    @property
    def as_kind(self) -> Kind:
        """For the rights."""
        return Kind(self.api_version.partition("/")[0], self.plural, self.namespaced)


KINDS = (
    Kind("", "namespaces", namespaced=False),
    Kind("scheduling.k8s.io", "priorityclasses", namespaced=False),
    Kind("", "configmaps"),
    Kind("", "limitranges"),
    Kind("", "persistentvolumeclaims"),
    Kind("", "resourcequotas"),
    Kind("", "secrets"),
    Kind("", "serviceaccounts"),
    Kind("", "services"),
    Kind("apps", "deployments"),
    Kind("autoscaling", "horizontalpodautoscalers"),
    Kind("batch", "jobs"),
    Kind("networking.k8s.io", "networkpolicies"),
    Kind("policy", "poddisruptionbudgets"),
)
"""What every stack makes. A test holds the rendered manifests against it."""
WATCHED = (
    Kind("", "pods"),
    Kind("", "events"),
    Kind("apps", "replicasets"),
    Kind("discovery.k8s.io", "endpointslices"),
)
"""What is read while a deployment waits."""

KEDA = Extension(
    "keda.sh/v1alpha1",
    "ScaledObject",
    "scaledobjects",
    "KEDA",
    "helm install keda keda --repo https://kedacore.github.io/charts --namespace keda --create-namespace",
)
LEADER_WORKER_SET = Extension(
    "leaderworkerset.x-k8s.io/v1",
    "LeaderWorkerSet",
    "leaderworkersets",
    "LeaderWorkerSet",
    "helm install lws oci://registry.k8s.io/lws/charts/lws --namespace lws-system --create-namespace",
)
KARPENTER = Extension(
    "karpenter.sh/v1",
    "NodePool",
    "nodepools",
    "Karpenter",
    "helm install karpenter oci://public.ecr.aws/karpenter/karpenter --namespace kube-system",
    namespaced=False,
)


MOST_OF_A_NODE = 16
"""GPUs; a replica with more has several pods."""


@dataclass(frozen=True, slots=True)
class GpuNeed:
    """GPUs of one type that a stack wants at the same time."""

    gpu: str
    """Name in the catalogue; slices count for the GPU they are cut from."""
    planned: int
    """At the planned traffic, canaries and shadows included."""
    most: int
    """At every ceiling, and while the largest model that surges is replaced."""
    of_a_pod: int
    """Most that one pod asks for."""
    models: Mapping[str, str]
    """By model, how its share comes about: `2 x 4`."""


def gpu_needs(settings: Settings, plan: Plan) -> list[GpuNeed]:
    """By type, in the order of their names."""
    rows: dict[str, list[tuple[str, int, int, int, int]]] = {}
    largest: dict[str, int] = {}
    for pool in settings.kubernetes.nodes.values():
        largest[pool.gpu] = max(largest.get(pool.gpu, 0), pool.gpus)
    for model in plan.models:
        if model.gpu is None:
            continue
        wanted = settings.models[model.model]
        beside = sum(other.replicas for other in (wanted.canary, wanted.shadow) if other is not None)
        shards = model.gpu.shards
        now, most = model.replicas + beside, max(model.ceiling, model.replicas) + beside
        surge = {"surge": 1, "blue_green": model.replicas}.get(str(wanted.rollout), 0) * shards
        device = model.gpu.type.partition(":")[0]
        rows.setdefault(device, []).append((model.model, shards, now, most, surge))
    return [
        GpuNeed(
            gpu=device,
            planned=sum(shards * now for _, shards, now, _, _ in found),
            most=sum(shards * most for _, shards, _, most, _ in found) + max(row[4] for row in found),
            of_a_pod=min(max(row[1] for row in found), largest.get(device) or MOST_OF_A_NODE),
            models={name: f"{now} x {shards}" for name, shards, now, _, _ in found},
        )
        for device, found in sorted(rows.items())
    ]


def extensions(settings: Settings, plan: Plan) -> Iterator[tuple[tuple[str, ...], str, Extension]]:
    """What must have been installed: the value that asks for it, why, and what it is."""
    for model in plan.models:
        if model.floor != model.ceiling:
            why = f"scales between {model.floor} and {model.ceiling} replicas"
            yield ("models", model.model, "replicas"), why, KEDA
    largest = max((pool.gpus for pool in settings.kubernetes.nodes.values()), default=0)
    for model in plan.models:
        if model.gpu is not None and largest and model.gpu.shards > largest:
            yield ("models", model.model, "shards"), "spans several nodes", LEADER_WORKER_SET
    for name, pool in settings.kubernetes.nodes.items():
        if pool.karpenter is not None:
            yield ("kubernetes", "nodes", name, "karpenter"), "has its nodes bought by Karpenter", KARPENTER
