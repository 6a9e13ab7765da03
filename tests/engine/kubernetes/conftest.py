from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import Cluster, Item, crds, inventory
from tests.support.cluster.program import Program
from tests.support.cluster.workloads import SHARED_FILES
from tests.support.cluster_project import ClusterProject
from tests.support.kubernetes_api import Client
from tests.support.served_stack import MODELS, NODES, SPACE


@pytest.fixture(scope="session", autouse=True)
def _parts() -> None:
    """Nothing of the local platform is needed here; the cluster gets its own parts."""


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster of all tests here: two zones, three GPU types, all definitions."""
    with Cluster(tmp_path_factory.mktemp("cluster"), definitions=crds.PARTS) as started:
        yield started


@pytest.fixture
def api(cluster: Cluster) -> Client:
    return cluster.api


@pytest.fixture
def namespace(cluster: Cluster, api: Client, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own, in which pods are admitted."""
    name = request.node.name.replace("_", "-").partition("[")[0][:60].strip("-")
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    cluster.processes.wait("its account", lambda: api.find("v1", "ServiceAccount", "default", name) is not None)
    yield name
    api.delete("v1", "Namespace", name)


@pytest.fixture(scope="session")
def empty(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Program:
    """What every program starts from."""
    return Program.make(tmp_path_factory.mktemp("programs") / "empty", cluster.kubeconfig())


@pytest.fixture
def program(empty: Program, tmp_path: Path) -> Program:
    """A Pulumi program with an empty stack on the cluster."""
    return empty.copy(tmp_path / "program")


@pytest.fixture
def until(cluster: Cluster) -> Any:
    """`until("what", check)`: waits, and fails with the logs of the cluster."""
    return cluster.processes.wait


@pytest.fixture(scope="module")
def storage(cluster: Cluster) -> Iterator[str]:
    """A storage class whose volumes many nodes mount."""
    name = SHARED_FILES["metadata"]["name"]
    cluster.api.create(SHARED_FILES)
    yield name
    cluster.api.delete("storage.k8s.io/v1", "StorageClass", name)


@pytest.fixture
def project(cluster: Cluster, storage: str, tmp_path: Path) -> Iterator[ClusterProject]:
    """The three models of tests.support.served_stack, not yet up."""
    project = ClusterProject.make(tmp_path / "project", cluster.kubeconfig())
    project.write(MODELS, kubernetes={"namespace": SPACE, "nodes": NODES, "storage_class": storage})
    yield project
    project.destroy()


@pytest.fixture
def before(cluster: Cluster) -> set[Item]:
    """Everything that the cluster holds, when nothing of earlier tests is on its way out any more."""
    cluster.processes.wait("the end of what earlier tests made", lambda: not _leaving(cluster.api))
    return inventory(cluster.api)


def _leaving(api: Client) -> bool:
    # In this order: what is gone with a namespace is then gone when it is looked for.
    if any("deletionTimestamp" in item["metadata"] for item in api.items("v1", "Namespace")):
        return True
    volumes = api.items("v1", "PersistentVolume")
    claims = {item["metadata"]["uid"] for item in api.items("v1", "PersistentVolumeClaim")}
    # A volume of a claim that is gone is itself told to go a moment later.
    return any(
        "deletionTimestamp" in item["metadata"] or item["spec"]["claimRef"]["uid"] not in claims for item in volumes
    )
