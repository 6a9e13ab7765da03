"""Manifests of a stack, applied as by a tool that follows a repository: without Pulumi, in the order of the index."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.render import placeholders
from infra.tasks import render
from tests.support.cluster import Cluster
from tests.support.cluster_project import STACK, TENANT_KEY, ClusterProject
from tests.support.kubernetes_api import Client, Object

SPACE = "followed"
MODELS = {
    "chat": {
        "engine": "tgi",
        "source": "hf://meta-llama/Llama-3.1-8B-Instruct@0e9e39f249a16976918f6564b8830bc894c89659",
        "context": 4096,
        "concurrency": 4,
        "gpu": "l4",
    },
    "embed": {
        "engine": "tei",
        "source": "hf://BAAI/bge-small-en-v1.5@5c38ec7c405ec4b44b94cc5a9bb96e735b38267a",
        "context": 512,
        "gpu": "none",
    },
}


@pytest.fixture
def project(cluster: Cluster, api: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ClusterProject]:
    """A stack file with a tenant's key in it; a class for the weights. No state of the stack."""
    for name in ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_BACKEND_URL"):
        monkeypatch.delenv(name, raising=False)
    kind = ("storage.k8s.io/v1", "StorageClass")
    made: Object = {"apiVersion": kind[0], "kind": kind[1], "metadata": {"name": "shared-files"}}
    api.create({**made, "provisioner": "nfs.csi.k8s.io"})
    found = ClusterProject.make(tmp_path / "project", cluster.kubeconfig())
    space = {"namespace": SPACE, "nodes": {"small": {"gpu": "l4", "nodes": 2}}, "storage_class": "shared-files"}
    found.write(MODELS, kubernetes=space)
    yield found
    api.delete(*kind, "shared-files")
    if api.find("v1", "Namespace", SPACE) is not None:
        api.delete("v1", "Namespace", SPACE)


def indexed(folder: Path) -> list[Object]:
    names = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    return [item for name in names for item in yaml.safe_load_all((folder / name).read_text())]


def test_a_cluster_that_follows_the_manifests_serves(
    project: ClusterProject, api: Client, until: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = render.render(project.session, STACK)
    assert folder == project.root / "build/render/test"
    text = "".join(path.read_text() for path in folder.iterdir())
    assert TENANT_KEY not in text
    assert placeholders.MARK not in text
    capsys.readouterr()
    render.show_secrets(project.session, STACK)
    printed = capsys.readouterr().out
    assert placeholders.MARK not in printed
    sealed = list(yaml.safe_load_all(printed))
    assert [item["metadata"]["name"] for item in sealed] == ["gateway-routes"]

    for item in (*indexed(folder), *sealed):
        api.apply(item, manager="follower")

    def available() -> bool:
        found = api.items("apps/v1", "Deployment", SPACE)
        return len(found) == 3 and all(
            item.get("status", {}).get("availableReplicas") == item["spec"]["replicas"] for item in found
        )

    until("all servers and the gateway", available)
    jobs = api.items("batch/v1", "Job", SPACE)
    assert len(jobs) == 2
    until("the weights", lambda: all(job["status"].get("succeeded") for job in api.items("batch/v1", "Job", SPACE)))
