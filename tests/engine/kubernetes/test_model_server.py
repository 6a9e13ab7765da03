"""Model servers of three kinds under the real engine, on a real control plane: from nothing, unchanged, to nothing."""

from collections import Counter
from collections.abc import Callable

import pytest

from infra.components.kubernetes import namespace_objects
from infra.components.kubernetes.server import Server
from infra.components.kubernetes.server_objects import manifests as manifests_of
from tests.support.cluster import Behaviour, Item, inventory
from tests.support.cluster.program import Program
from tests.support.kubernetes_api import ApiError, Client
from tests.support.model_servers import arguments, encoder, many_hosts, sharded
from tests.support.server_program import addresses, contents, gpus, pods, simulated, text

Until = Callable[..., None]
QUICK = Behaviour(load=0.3)
PRODUCT, ZONE = "nvidia.com/gpu.product", "topology.kubernetes.io/zone"


def test_three_models_come_up_on_their_nodes_stay_and_leave_nothing(
    program: Program, api: Client, until: Until, before: set[Item]
) -> None:
    space = "three-models"
    servers = {args["model"]: simulated(args, QUICK, space) for args in (arguments(), sharded(), encoder())}
    program.write(text(space, servers, gpus=7))
    planned = program.preview()
    assert not api.find("v1", "Namespace", space), "a preview makes nothing"
    first = program.up()
    assert first.counts()["create"] == planned.counts()["create"]

    nodes = {node["metadata"]["name"]: node["metadata"]["labels"] for node in api.items("v1", "Node")}
    where = {name: [nodes[item["spec"]["nodeName"]] for item in pods(api, space, name)] for name in servers}
    assert Counter(labels.get(PRODUCT, "") for labels in where["chat"]) == {"NVIDIA-L4": 2}
    assert {labels[ZONE] for labels in where["chat"]} == {"us-east-1a", "us-east-1b"}
    assert Counter(labels.get(PRODUCT, "") for labels in where["large"]) == {"NVIDIA-L40S": 1}
    assert Counter(labels.get(PRODUCT, "") for labels in where["embed"]) == {"": 2}, "GPU nodes are for those who pay"
    assert {name: sum(map(gpus, pods(api, space, name))) for name in servers} == {"chat": 2, "large": 4, "embed": 0}
    for name in servers:
        ready_ones = {item["status"]["podIP"] for item in pods(api, space, name)}
        until(f"addresses of {name}", lambda name=name, ips=ready_ones: addresses(api, space, name) == ips)
        assert api.get("v1", "Service", name, space)["spec"]["clusterIP"] == "None"
    used = {"requests.nvidia.com/gpu": "6"}
    until("the quota's count", lambda: api.get("v1", "ResourceQuota", "gpus", space)["status"]["used"] == used)

    again = program.preview("--expect-no-changes")
    assert again.operations() == {}
    assert program.up().counts() == {"same": sum(first.counts().values())}

    program.destroy()
    until("the end of its volume", lambda: inventory(api) <= before)
    assert inventory(api) == before


def test_only_changes_of_content_roll_pods(program: Program, api: Client) -> None:
    space = "rolls"
    # Two L4s are there: one for the copy, one for the surge.
    one = {"min": 1, "max": 1}
    chat = arguments(replicas=one)
    program.write(text(space, {"chat": simulated(chat, QUICK, space)}))
    program.up()
    (old,) = pods(api, space, "chat")

    quiet = arguments(
        replicas=one, backends="chat.canary", prometheus={"namespace": "monitoring", "labels": {"app": "prometheus"}}
    )
    program.write(text(space, {"chat": simulated(quiet, QUICK, space)}))
    assert program.up().operations() == {"chat": "update"}
    assert old["metadata"]["name"] in [item["metadata"]["name"] for item in pods(api, space, "chat")]

    other = arguments(replicas=one, options={"enforce-eager": "true"})
    program.write(text(space, {"chat": simulated(other, QUICK, space)}))
    program.up()
    new = pods(api, space, "chat")
    assert old["metadata"]["name"] not in [item["metadata"]["name"] for item in new]
    assert contents(new).isdisjoint(contents([old]))
    program.destroy()


def test_the_namespace_admits_only_pods_that_harm_nobody(api: Client, until: Until) -> None:
    """The server's own pods are admitted, as the first test shows; this is what is not."""
    space = "admission"
    api.create(namespace_objects.namespace(space, "test"))
    until("its account", lambda: api.find("v1", "ServiceAccount", "default", space) is not None)
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "root", "namespace": space},
        "spec": {"containers": [{"name": "shell", "image": "shell:1"}]},
    }
    with pytest.raises(ApiError, match='violates PodSecurity "restricted'):
        api.create(pod, dry_run=True)
    api.delete("v1", "Namespace", space)


def test_a_replica_of_two_nodes_is_a_group_that_the_api_accepts(api: Client, namespace: str) -> None:
    """No controller for groups runs here: its definition checks the object, the API server the pods in it."""
    args = many_hosts(namespace=namespace, priority_class=None)
    group = next(item for item in manifests_of(Server.parse("huge", args)) if item["kind"] == "LeaderWorkerSet")
    api.create(group)
    template = group["spec"]["leaderWorkerTemplate"]
    for kind in ("leaderTemplate", "workerTemplate"):
        pod = {"apiVersion": "v1", "kind": "Pod", **template[kind]}
        pod["metadata"] = {**pod["metadata"], "name": kind.lower(), "namespace": namespace}
        pod["spec"] = {**pod["spec"], "serviceAccountName": "default"}
        api.create(pod, dry_run=True)
    api.delete("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet", "huge", namespace)
