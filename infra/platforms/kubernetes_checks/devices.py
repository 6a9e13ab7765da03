"""GPU nodes: those of the planned types must be there, or be bought."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from infra.cluster import Client, Object, label_query
from infra.planning import Plan
from infra.platforms.devices import PRODUCT
from infra.platforms.kubernetes_checks.finding import NODES, Finding, note
from infra.platforms.kubernetes_checks.needs import KARPENTER, GpuNeed, base, gpu_needs
from infra.settings import Settings
from infra.settings.kubernetes import NodePool
from infra.settings.messages import Path

ASKED_NODES = 30
"""Of more than these the pods are not looked at: it would take too long."""


def devices(client: Client, settings: Settings, plan: Plan) -> Iterator[Finding]:
    """Each type that the plan uses."""
    for need in gpu_needs(settings, plan):
        pools = {name: pool for name, pool in settings.kubernetes.nodes.items() if pool.gpu == base(need.gpu)}
        bought = {name: pool for name, pool in pools.items() if pool.karpenter is not None}
        for name, pool in bought.items():
            yield from _node_class(client, name, pool)
        if not bought:
            yield from _there(client, settings.kubernetes.namespace, need, pools)


def _there(client: Client, namespace: str, need: GpuNeed, pools: Mapping[str, NodePool]) -> Iterator[Finding]:
    path: Path = (*NODES, next(iter(pools))) if pools else NODES
    selector = label_query(need.labels)
    nodes = client.items("v1", "Node", labels=selector)
    if not nodes:
        yield _none(client, need, path, selector)
        return
    counts = {node["metadata"]["name"]: _allocatable(node, need.resource) for node in nodes}
    total = sum(counts.values())
    wanted = ", ".join(f"{model} {share}" for model, share in need.models.items())
    if not total:
        rule = f"{len(nodes)} nodes have the label {selector}, but none offers {need.resource} to pods"
        yield Finding(path, f"{rule}: the device plugin is missing; install the NVIDIA GPU operator or device plugin")
        return
    largest = max(counts.values())
    if largest < need.of_a_pod:
        rule = f"no node with {selector} has more than {largest} GPUs, and a pod is planned on {need.of_a_pod}"
        yield Finding(path, f"{rule} ({wanted}); set gpus to what the nodes have, so that the plan fits")
    if total < need.planned:
        if _scales_nodes(client):
            yield note(path, f"{_short(need, total, wanted)}; the cluster autoscaler has to add nodes")
        else:
            yield Finding(path, f"{_short(need, total, wanted)}; add nodes, lower replicas, or plan with what is there")
    elif total < need.most:
        rule = (
            f"{total} GPUs of type {need.gpu} are enough for the plan ({need.planned}), not for all replicas at their"
        )
        yield note(path, f"{rule} most while one is replaced ({need.most}); some pods will wait then")
    yield from _taken(client, namespace, need, path, nodes)
    down = sorted(node["metadata"]["name"] for node in nodes if not _usable(node))
    if down:
        yield note(path, f"{len(down)} of {len(nodes)} nodes with {selector} take no pods now: {', '.join(down[:5])}")


def _taken(client: Client, own: str, need: GpuNeed, path: Path, nodes: Sequence[Object]) -> Iterator[Finding]:
    """Too few left by pods of others. No more than a note: those may end, or have a lower priority and be evicted."""
    total = sum(_allocatable(node, need.resource) for node in nodes)
    if len(nodes) > ASKED_NODES or total < need.planned:
        return
    holders: Counter[str] = Counter()
    for node in nodes:
        for pod in client.items("v1", "Pod", fields=f"spec.nodeName={node['metadata']['name']}"):
            if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed"):
                holders[pod["metadata"]["namespace"]] += _requested(pod, need.resource)
    others = {name: count for name, count in sorted(holders.items()) if count and name != own}
    free = total - sum(others.values())
    if free < need.planned:
        whose = ", ".join(f"{count} in namespace {name}" for name, count in others.items())
        rule = f"of {total} GPUs of type {need.gpu} pods of others hold {total - free} ({whose})"
        yield note(path, f"{rule}; the plan takes {need.planned}, so some of its pods will wait for them")


def _requested(pod: Object, resource: str) -> int:
    containers = pod["spec"].get("containers") or []
    return sum(int(((one.get("resources") or {}).get("limits") or {}).get(resource, 0)) for one in containers)


def _short(need: GpuNeed, total: int, wanted: str) -> str:
    return f"the plan takes {need.planned} GPUs of type {need.gpu} ({wanted}), the cluster's nodes have {total}"


def _none(client: Client, need: GpuNeed, path: Path, selector: str) -> Finding:
    nodes = client.items("v1", "Node")
    found = Counter(
        (node["metadata"].get("labels") or {}).get(PRODUCT, "") for node in nodes if _allocatable(node, need.resource)
    )
    there = ", ".join(f"{count} x {product or 'without a label'}" for product, count in sorted(found.items()))
    rule = (
        f"cluster '{client.target.context}' has no node with {selector}, so no pod could use a GPU of type {need.gpu}"
    )
    if pool := _karpenter_pool(client, need.labels):
        return note(path, f"no node with {selector} yet; Karpenter's pool {pool} can buy them")
    if _scales_nodes(client):
        return note(path, f"no node with {selector} yet; the cluster autoscaler has to add some")
    has = f"its GPU nodes: {there}" if there else "it has no GPU nodes at all"
    return Finding(path, f"{rule} ({has}); add such nodes, set labels to those they have, or plan for another GPU type")


def _node_class(client: Client, name: str, pool: NodePool) -> Iterator[Finding]:
    wanted = pool.karpenter
    if wanted is None or not client.serves(KARPENTER.api_version, KARPENTER.kind):
        return  # its absence is a finding of its own
    found = client.find_any(wanted.group, wanted.kind, wanted.node_class)
    if found is None:
        path = (*NODES, name, "karpenter", "node_class")
        rule = f"'{wanted.node_class}' is not there: the cluster has no {wanted.kind} ({wanted.group}) of that name"
        yield Finding(path, f"{rule}; make it, or name one that exists")


def _karpenter_pool(client: Client, labels: Mapping[str, str]) -> str:
    """A pool whose nodes will bear the labels."""
    for pool in client.items(KARPENTER.api_version, KARPENTER.kind):
        template = pool["spec"]["template"]
        given: dict[str, Sequence[str]] = {
            key: (value,) for key, value in ((template.get("metadata") or {}).get("labels") or {}).items()
        }
        for requirement in template["spec"].get("requirements") or []:
            if requirement["operator"] == "In":
                given[requirement["key"]] = requirement["values"]
        if all(value in given.get(key, ()) for key, value in labels.items()):
            return str(pool["metadata"]["name"])
    return ""


def _scales_nodes(client: Client) -> bool:
    """Whether a cluster autoscaler has left word of itself (its status, which it writes by default)."""
    return client.find("v1", "ConfigMap", "cluster-autoscaler-status", "kube-system") is not None


def _allocatable(node: Object, resource: str) -> int:
    return int((node.get("status", {}).get("allocatable") or {}).get(resource, 0))


def _usable(node: Object) -> bool:
    conditions = node.get("status", {}).get("conditions") or []
    ready = any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
    return ready and not node["spec"].get("unschedulable")
