"""GPUs as a cluster names them: device resources, and the labels of the nodes that have them. Pure."""

from collections import Counter
from collections.abc import Mapping

from infra.components.kubernetes.rollout import Rollout
from infra.components.kubernetes.server_args import ServerGpu
from infra.planning import ModelPlan, Plan
from infra.planning.catalogue import gpus
from infra.settings import Settings

GPU = "nvidia.com/gpu"
PRODUCT = "nvidia.com/gpu.product"
"""What GPU feature discovery labels a node with."""


def resource(device: str) -> str:
    """Device resource of a GPU, or of a slice such as `h100:3g.40gb` (NVIDIA's device plugin, strategy `mixed`)."""
    profile = device.partition(":")[2]
    return f"nvidia.com/mig-{profile}" if profile else GPU


def node_labels(settings: Settings, device: str) -> dict[str, str]:
    """Labels of the nodes of a GPU type; settings see to it that all pools of a type agree."""
    kind = device.partition(":")[0]
    given: Mapping[str, str] = next(
        (pool.labels for pool in settings.kubernetes.nodes.values() if pool.gpu == kind and pool.labels), {}
    )
    return dict(given) or {PRODUCT: gpus()[kind].product}


def gpu_args(settings: Settings, planned: ModelPlan) -> ServerGpu | None:
    """What one replica asks for; None without a GPU."""
    need = planned.gpu
    if need is None:
        return None
    return {
        "type": need.type,
        "resource": resource(need.type),
        "count": need.shards,
        "node_labels": node_labels(settings, need.type),
        "capability": gpus()[need.type.partition(":")[0]].capability,
    }


def quota(settings: Settings, plan: Plan) -> dict[str, int]:
    """Most devices of each resource: every model at its ceiling, and what the one that rolls needs beside it."""
    held: Counter[str] = Counter()
    beside: Counter[str] = Counter()
    for planned in plan.models:
        if planned.gpu is None:
            continue
        wanted, name = settings.models[planned.model], resource(planned.gpu.type)
        revisions = [max(planned.ceiling, planned.replicas)]
        revisions += [other.replicas for other in (wanted.canary, wanted.shadow) if other is not None]
        held[name] += planned.gpu.shards * sum(revisions)
        # One update replaces the model and its canary alike, so what each needs for it adds up.
        rollout = Rollout(wanted.rollout)
        beside[name] += planned.gpu.shards * sum(rollout.most(count) - count for count in revisions)
    return {name: held[name] + beside[name] for name in sorted(held)}
