"""A whole stack on the cluster: `up`, again, changes, failures, `destroy`."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import Cluster, inventory
from tests.support.cluster.timeline import ready
from tests.support.cluster_project import TENANT_KEY, ClusterProject
from tests.support.kubernetes_api import Client, Object

SPACE = "berth"
LLAMA_8B = "hf://meta-llama/Llama-3.1-8B-Instruct@0e9e39f249a16976918f6564b8830bc894c89659"
LLAMA_70B = "hf://meta-llama/Llama-3.1-70B-Instruct@1605565b47bb9346c5515c34102e054115b4f98b"
BGE = "hf://BAAI/bge-small-en-v1.5@5c38ec7c405ec4b44b94cc5a9bb96e735b38267a"
MODELS: dict[str, dict[str, Any]] = {
    "chat": {"engine": "tgi", "source": LLAMA_8B, "context": 4096, "concurrency": 4, "gpu": "l4", "replicas": 2},
    "large": {
        "engine": "tgi",
        "source": LLAMA_70B,
        "context": 8192,
        "concurrency": 8,
        "gpu": "l40s",
        "shards": 4,
        "rollout": "in_place",
    },
    "embed": {"engine": "tei", "source": BGE, "context": 512, "gpu": "none"},
}
NODES = {"small": {"gpu": "l4", "nodes": 2}, "large": {"gpu": "l40s", "gpus": 4, "nodes": 1}}


@pytest.fixture(scope="module")
def storage(cluster: Cluster) -> Iterator[str]:
    """A storage class whose volumes many nodes mount."""
    kind = ("storage.k8s.io/v1", "StorageClass")
    cluster.api.create(
        {"apiVersion": kind[0], "kind": kind[1], "metadata": {"name": "files"}, "provisioner": "nfs.csi.k8s.io"}
    )
    yield "files"
    cluster.api.delete(*kind, "files")


@pytest.fixture
def project(cluster: Cluster, storage: str, tmp_path: Path) -> Iterator[ClusterProject]:
    project = ClusterProject.make(tmp_path / "project", cluster.kubeconfig())
    project.write(MODELS, kubernetes={"namespace": SPACE, "nodes": NODES, "storage_class": storage})
    yield project
    project.destroy()


def pods(api: Client, model: str) -> list[Object]:
    return api.items("v1", "Pod", SPACE, labels=f"berth.dev/model={model}")


def addresses(api: Client, service: str) -> list[str]:
    found = api.items("discovery.k8s.io/v1", "EndpointSlice", SPACE, labels=f"kubernetes.io/service-name={service}")
    return [
        address
        for item in found
        for endpoint in item.get("endpoints") or []
        if endpoint["conditions"].get("ready")
        for address in endpoint["addresses"]
    ]


def test_three_models_come_up_where_they_belong_and_leave_nothing(
    project: ClusterProject, api: Client, until: Callable[..., None]
) -> None:
    before = inventory(api)
    done = project.up()
    assert TENANT_KEY not in done.output
    for model, node_type, count in (("chat", "g6.xlarge", 2), ("large", "g6e.12xlarge", 1), ("embed", "", 1)):
        found = pods(api, model)
        assert len(found) == count, model
        assert all(map(ready, found)), model
        nodes = [api.get("v1", "Node", item["spec"]["nodeName"]) for item in found]
        types = {node["metadata"]["labels"]["node.kubernetes.io/instance-type"] for node in nodes}
        if node_type:
            assert types == {node_type}, model
        until(f"addresses of {model}", lambda model=model, count=count: len(addresses(api, model)) == count)
    until("addresses of the gateway", lambda: len(addresses(api, "gateway")) == 2)

    again = project.preview()
    assert again.operations() == {}

    project.destroy()
    until("nothing that was not there before", lambda: inventory(api) <= before)
    assert inventory(api) == before
