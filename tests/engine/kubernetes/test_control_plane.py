"""The tests' cluster itself: nodes, placement, validation, the life of simulated pods, faults."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.planning.catalogue.instances import aws_instances, instance_from_labels
from tests.fakes.kubernetes_provider.normal import quantity
from tests.support.cluster import MIXED, Cluster, Nodes
from tests.support.cluster.nodes import GPU_RESOURCE
from tests.support.cluster.timeline import ready
from tests.support.cluster.workloads import deployment, pod, pod_spec
from tests.support.kubernetes_api import ApiError, Client, Object

H100 = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}
Until = Callable[..., None]


def pods(api: Client, namespace: str, app: str = "engine") -> list[Object]:
    return api.items("v1", "Pod", namespace, labels=f"app={app}")


def instance_of(api: Client, item: Object) -> str:
    """Type of the node that a pod is on."""
    node = api.get("v1", "Node", item["spec"]["nodeName"])
    return str(node["metadata"]["labels"]["node.kubernetes.io/instance-type"])


def all_ready(api: Client, namespace: str, count: int) -> Callable[[], bool]:
    def check() -> bool:
        return sum(ready(item) for item in pods(api, namespace)) == count

    return check


def test_control_plane_is_the_pinned_one_with_ready_nodes(cluster: Cluster) -> None:
    assert cluster.api.version() == "v1.36.3"
    names = [node["metadata"]["name"] for node in cluster.api.items("v1", "Node")]
    assert sorted(names) == sorted(name for nodes in MIXED for name in nodes.names())
    assert set(cluster.processes.names()) == {"etcd", "apiserver", "controllers", "scheduler", "kwok"}


def test_planner_reads_the_nodes_as_the_types_they_are(api: Client) -> None:
    for node in api.items("v1", "Node"):
        labels, capacity = node["metadata"]["labels"], node["status"]["capacity"]
        found = instance_from_labels(labels, int(capacity["cpu"]), int(quantity(capacity["memory"]) or 0))
        known = aws_instances().get(labels["node.kubernetes.io/instance-type"])
        assert (found and (found.gpu, found.gpus)) == (known and (known.gpu, known.gpus))


def test_gpu_pods_are_placed_on_nodes_that_have_the_gpus(api: Client, namespace: str, until: Until) -> None:
    api.create(pod("small", namespace, pod_spec(1, {"nvidia.com/gpu.product": "NVIDIA-L4"})))
    api.create(pod("sharded", namespace, pod_spec(4, {"nvidia.com/gpu.product": "NVIDIA-L40S"})))
    api.create(deployment("engine", namespace, 2, pod_spec(8)))
    api.create(pod("plain", namespace, pod_spec()))
    until("ready pods", lambda: all(map(ready, found := api.items("v1", "Pod", namespace))) and len(found) == 5)
    placed = {item["metadata"]["labels"]["app"]: instance_of(api, item) for item in api.items("v1", "Pod", namespace)}
    assert placed == {
        "small": "g6.xlarge",
        "sharded": "g6e.12xlarge",
        "engine": "p5.48xlarge",
        "plain": "m6i.4xlarge",
    }
    nodes = {item["spec"]["nodeName"] for item in pods(api, namespace)}
    assert nodes == {"p5-48xlarge-1a-0", "p5-48xlarge-1b-0"}


def test_scheduler_says_why_a_pod_has_no_node(api: Client, namespace: str, until: Until) -> None:
    api.create(pod("engine", namespace, pod_spec(1, tolerations=[])))

    def unplaced() -> str:
        conditions = pods(api, namespace)[0].get("status", {}).get("conditions", [])
        return next((found["message"] for found in conditions if found["status"] == "False"), "")

    until("the scheduler's word", lambda: bool(unplaced()))
    assert "0/7 nodes are available" in unplaced()
    assert "untolerated taint" in unplaced()


CUSTOM: list[Object] = [
    {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "spec": {"scaleTargetRef": {"name": "engine"}, "triggers": [{"type": "prometheus", "metadata": {}}]},
    },
    {
        "apiVersion": "karpenter.k8s.aws/v1",
        "kind": "EC2NodeClass",
        "spec": {
            "role": "nodes",
            "amiSelectorTerms": [{"alias": "al2023@latest"}],
            "subnetSelectorTerms": [{"tags": {"a": "b"}}],
            "securityGroupSelectorTerms": [{"tags": {"a": "b"}}],
        },
    },
    {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "spec": {"rules": [{"backendRefs": [{"name": "engine", "port": 80}]}]},
    },
    {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "spec": {"selector": {}, "endpoints": [{"port": "http"}]},
    },
    {
        "apiVersion": "elasticsearch.k8s.elastic.co/v1",
        "kind": "Elasticsearch",
        "spec": {"version": "9.0.0", "nodeSets": [{"name": "all", "count": 1}]},
    },
    {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "spec": {"leaderWorkerTemplate": {"workerTemplate": {"spec": pod_spec()}}},
    },
]


@pytest.mark.parametrize("item", CUSTOM, ids=lambda item: str(item["kind"]))
def test_custom_resources_are_validated(api: Client, item: Object) -> None:
    namespaced = api.namespaced(item["apiVersion"], item["kind"])
    metadata = {"name": "engine", **({"namespace": "default"} if namespaced else {})}
    good = {**item, "metadata": metadata}
    api.create(good, dry_run=True)
    with pytest.raises(ApiError) as caught:
        api.create({**good, "spec": dict.fromkeys(item["spec"], 7)}, dry_run=True)
    assert caught.value.invalid


def test_a_trigger_without_a_type_is_refused_with_its_place(api: Client, namespace: str) -> None:
    scaled = {**CUSTOM[0], "metadata": {"name": "engine", "namespace": namespace}}
    scaled["spec"] = {**scaled["spec"], "triggers": [{"metadata": {}}]}
    with pytest.raises(ApiError, match=r"spec.triggers\[0\].type: Required value") as caught:
        api.create(scaled)
    assert any(cause.startswith("spec.triggers[0].type: ") for cause in caught.value.causes)


def test_server_side_apply_refuses_fields_of_others(api: Client, namespace: str) -> None:
    one = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": namespace}}
    api.apply({**one, "data": {"a": "1"}}, "first")
    with pytest.raises(ApiError, match=r'conflict with "first": .data.a') as caught:
        api.apply({**one, "data": {"a": "2"}}, "second", dry_run=True)
    assert caught.value.conflict
    assert api.apply({**one, "data": {"a": "2"}}, "second", force=True)["data"] == {"a": "2"}


def test_pods_of_a_dead_node_are_replaced_elsewhere(
    cluster: Cluster, api: Client, namespace: str, until: Until
) -> None:
    soon = [
        {"key": f"node.kubernetes.io/{what}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1}
        for what in ("not-ready", "unreachable")
    ]
    tolerations = [{"key": GPU_RESOURCE, "operator": "Exists"}, *soon]
    api.create(deployment("engine", namespace, 1, pod_spec(8, H100, tolerations=tolerations)))
    until("a ready pod", all_ready(api, namespace, 1))
    dead = pods(api, namespace)[0]["spec"]["nodeName"]
    cluster.fail_node(dead)
    until(
        "a ready pod elsewhere",
        lambda: {p["spec"].get("nodeName") for p in pods(api, namespace) if ready(p)} - {dead} != set(),
    )
    cluster.heal_node(dead)
    until("the end of the first", lambda: len(pods(api, namespace)) == 1)


def test_a_second_cluster_has_nodes_and_users_of_its_own(tmp_path: Path) -> None:
    nodes = (Nodes("m6i.large"),)
    with Cluster(tmp_path, nodes, users={"guest": ("guests",)}) as other:
        with pytest.raises(ApiError, match='User "guest" cannot list resource "secrets"') as caught:
            other.api_of("guest").items("v1", "Secret", "default")
        assert caught.value.code == 403
        assert other.add(Nodes("g6.xlarge", each=2)) == ["g6-xlarge-1a-0", "g6-xlarge-1a-1"]


KILLED = """
import sys, time
from pathlib import Path
from tests.support.cluster.processes import Processes
processes = Processes(Path(sys.argv[1]))
processes.start("sleeper", ["/bin/sleep", "600"])
print(processes.pids()["sleeper"], flush=True)
time.sleep(600)
"""


def test_servers_end_with_a_test_run_that_is_killed(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        server = int(run.stdout.readline())
        os.kill(server, 0)
        run.send_signal(signal.SIGKILL)
    end = time.monotonic() + 20
    while Path(f"/proc/{server}").exists():
        assert time.monotonic() < end, "it outlived the run that started it"
        time.sleep(0.05)
