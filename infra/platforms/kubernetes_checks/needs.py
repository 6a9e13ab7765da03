"""What a stack needs of a cluster: its version, its kinds, the GPUs of each type."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from infra.components.kubernetes.rollout import Rollout
from infra.planning import ModelPlan, Plan
from infra.platforms.devices import node_labels, resource
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
METRICS_SERVER = Extension(
    "metrics.k8s.io/v1beta1",
    "PodMetrics",
    "pods",
    "metrics-server",
    "helm install metrics-server metrics-server"
    " --repo https://kubernetes-sigs.github.io/metrics-server --namespace kube-system",
)


MOST_OF_A_NODE = 16
"""GPUs; a replica with more has several pods."""


@dataclass(frozen=True, slots=True)
class GpuNeed:
    """GPUs of one type that a stack wants at the same time."""

    gpu: str
    """Name in the catalogue; `h100:3g.40gb` is a slice."""
    resource: str
    """What pods ask for."""
    labels: Mapping[str, str]
    """By which pods select nodes."""
    planned: int
    """At the planned traffic, canaries and shadows included."""
    most: int
    """At every ceiling, and while the model that needs most beside it is updated."""
    of_a_pod: int
    """Most that one pod asks for."""
    models: Mapping[str, str]
    """By model, how its share comes about: `2 x 4`."""


def gpu_needs(settings: Settings, plan: Plan) -> list[GpuNeed]:
    """By type, in the order of their names."""
    found: dict[str, list[ModelPlan]] = {}
    for model in plan.models:
        if model.gpu is not None:
            found.setdefault(model.gpu.type, []).append(model)
    return [_need(settings, device, models) for device, models in sorted(found.items())]


def _need(settings: Settings, device: str, models: Sequence[ModelPlan]) -> GpuNeed:
    planned, held, beside, shares = 0, 0, 0, {}
    largest = max((pool.gpus for pool in settings.kubernetes.nodes.values() if pool.gpu == base(device)), default=0)
    for model in models:
        wanted = settings.models[model.model]
        others = [other.replicas for other in (wanted.canary, wanted.shadow) if other is not None]
        most = [max(model.ceiling, model.replicas), *others]
        shards = model.gpu.shards if model.gpu is not None else 0
        planned += shards * (model.replicas + sum(others))
        held += shards * sum(most)
        beside = max(beside, shards * sum(Rollout(wanted.rollout).most(count) - count for count in most))
        shares[model.model] = f"{model.replicas + sum(others)} x {shards}"
    shards = max(model.gpu.shards for model in models if model.gpu is not None)
    return GpuNeed(
        gpu=device,
        resource=resource(device),
        labels=node_labels(settings, device),
        planned=planned,
        most=held + beside,
        of_a_pod=min(shards, largest or MOST_OF_A_NODE),
        models=shares,
    )


def base(device: str) -> str:
    """The GPU that a slice is cut from; the name itself for a whole one."""
    return device.partition(":")[0]


def extensions(settings: Settings, plan: Plan) -> Iterator[tuple[tuple[str, ...], str, Extension]]:
    """What must have been installed: the value that asks for it, why, and what it is."""
    for model in plan.models:
        replicas = settings.models[model.model].replicas
        if not replicas.fixed:
            why = f"scales between {replicas.min} and {replicas.max} replicas"
            yield ("models", model.model, "replicas"), why, KEDA
    largest = max((pool.gpus for pool in settings.kubernetes.nodes.values()), default=0)
    for model in plan.models:
        if model.gpu is not None and largest and model.gpu.shards > largest:
            yield ("models", model.model, "shards"), "spans several nodes", LEADER_WORKER_SET
    for name, pool in settings.kubernetes.nodes.items():
        if pool.karpenter is not None:
            yield ("kubernetes", "nodes", name, "karpenter"), "has its nodes bought by Karpenter", KARPENTER
