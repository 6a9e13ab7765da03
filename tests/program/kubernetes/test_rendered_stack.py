"""The stack `dev` as manifests, whole: what reviewers see change when a stack file, a component or the plan does.

`UPDATE_GOLDEN=1 pytest tests/program/kubernetes/test_rendered_stack.py`, then read the difference.
"""

import hashlib
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from images import lock
from infra.platforms.kubernetes_checks.needs import KARPENTER, KEDA, KINDS, LEADER_WORKER_SET
from infra.render import placeholders
from infra.tasks import render
from infra.tasks.engine import TaskError
from infra.tasks.session import ROOT

GOLDEN = Path(__file__).parent / "golden/dev"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout whose images are pinned: to digests that no registry has."""
    made = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "stacks", made / "stacks")
    (made / "images").mkdir()
    pins = {
        name: replace(
            pin,
            repository=pin.repository or f"registry.test/berth/{name}",
            tag=pin.tag or "test",
            digest=f"sha256:{hashlib.sha256(name.encode()).hexdigest()}",
        )
        for name, pin in lock.read().items()
    }
    lock.write(pins, made / "images/images.lock")
    return made


@pytest.fixture(scope="module")
def files(root: Path) -> dict[str, str]:
    return render.files(root, "dev")


def objects(files: dict[str, str]) -> list[dict[str, Any]]:
    index = yaml.safe_load(files["kustomization.yaml"])["resources"]
    return [item for name in index for item in yaml.safe_load_all(files[name])]


def test_the_manifests_are_as_reviewed(files: dict[str, str]) -> None:
    if os.environ.get("UPDATE_GOLDEN"):
        shutil.rmtree(GOLDEN, ignore_errors=True)
        GOLDEN.mkdir(parents=True)
        for name, content in files.items():
            (GOLDEN / name).write_text(content)
    assert sorted(path.name for path in GOLDEN.iterdir()) == sorted(files)
    for name, content in files.items():
        assert (GOLDEN / name).read_text() == content, f"{name} differs; UPDATE_GOLDEN=1 writes it anew"


def test_every_kind_is_one_that_the_doctor_asks_rights_for(files: dict[str, str]) -> None:
    """So a user who may do too little is told before, not in the middle of, an `up`."""
    extensions = {(item.api_version.partition("/")[0], item.plural) for item in (KARPENTER, KEDA, LEADER_WORKER_SET)}
    known = {(kind.group, kind.plural) for kind in KINDS} | extensions
    for item in objects(files):
        group = item["apiVersion"].rpartition("/")[0]
        kind = item["kind"].lower()
        plurals = {f"{kind}s", f"{kind}es", f"{kind[:-1]}ies"}
        assert any((group, plural) in known for plural in plurals), f"{item['kind']} is not in KINDS"


def test_every_object_is_in_the_stacks_namespace_and_bears_its_labels(files: dict[str, str]) -> None:
    for item in objects(files):
        metadata = item["metadata"]
        assert metadata.get("namespace", "berth") == "berth"
        assert metadata["labels"]["app.kubernetes.io/managed-by"] == "berth"
        assert metadata["labels"]["berth.dev/stack"] == "dev"


def test_nothing_in_them_is_secret(files: dict[str, str]) -> None:
    assert "Secret" not in {item["kind"] for item in objects(files)}
    assert "| `gateway-routes` | `berth` |" in files["README.md"]
    assert not any(placeholders.MARK in content for content in files.values())


def test_no_cluster_is_asked(root: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str]) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    assert render.files(root, "dev") == files


def test_all_pods_pull_with_the_secret_that_the_stack_file_names(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "checkout")
    file = tmp_path / "checkout/stacks/Pulumi.dev.yaml"
    document = yaml.safe_load(file.read_text())
    document["config"]["berth:kubernetes"]["image_pull_secret"] = "registry"  # noqa: S105 - a name
    file.write_text(yaml.safe_dump(document))
    made = objects(render.files(tmp_path / "checkout", "dev"))
    pods = {
        f"{item['kind']}/{item['metadata']['name']}": item["spec"]["template"]["spec"]
        for item in made
        if "template" in item.get("spec", {})
    }
    assert {name.partition("/")[0] for name in pods} == {"Deployment", "Job"}
    assert all(pod["imagePullSecrets"] == [{"name": "registry"}] for pod in pods.values()), pods


def test_images_that_are_not_pinned_stop_it_with_the_way_to_pin_them(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "stacks", tmp_path / "stacks")
    (tmp_path / "images").mkdir()
    shutil.copy(ROOT / "images/images.lock", tmp_path / "images")
    with pytest.raises(TaskError, match=r"image 'gateway' is the kit's own and is not in images\.lock yet"):
        render.files(tmp_path, "dev")


def test_other_platforms_have_no_manifests(root: Path) -> None:
    with pytest.raises(TaskError, match="stack local is on platform local; only those on kubernetes are manifests"):
        render.files(root, "local")
