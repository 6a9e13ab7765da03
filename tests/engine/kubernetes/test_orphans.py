"""What a destroyed stack has left in its cluster, and what a failed rollout is told with."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.cluster import Client as Reader
from infra.cluster import Kubeconfig
from infra.settings import load
from infra.tasks import down, rollout_report
from infra.tasks.orphans import leftovers
from infra.tasks.rollout_report import Failed, failures
from infra.tasks.session import Session
from tests.support.cluster import CONTEXT, Behaviour, Cluster
from tests.support.cluster.workloads import deployment, pod_spec
from tests.support.kubernetes_api import Client, Object

LABELS = {"app.kubernetes.io/managed-by": "berth", "berth.dev/stack": "gone"}


def reader_of(kubeconfig: Path) -> Reader:
    return Reader(Kubeconfig.load({"KUBECONFIG": str(kubeconfig)}).target(CONTEXT))


@pytest.fixture
def reader(cluster: Cluster) -> Iterator[Reader]:
    with reader_of(cluster.kubeconfig()) as client:
        yield client


def labelled(item: Object, **more: str) -> Object:
    metadata = item["metadata"]
    return {**item, "metadata": {**metadata, "labels": {**metadata.get("labels", {}), **LABELS, **more}}}


def test_leftovers_of_a_stack_are_found_over_all_groups(
    api: Client, reader: Reader, namespace: str, until: Any
) -> None:
    quota: Object = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "gpus", "namespace": namespace}}
    scaled: Object = {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": "chat", "namespace": namespace},
        "spec": {"scaleTargetRef": {"name": "chat"}, "triggers": [{"type": "cpu", "metadata": {"value": "50"}}]},
    }
    priority: Object = {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": "orphans-first"},
        "value": 10,
    }
    other: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other", "namespace": namespace}}
    servers = deployment("chat", namespace, 1, pod_spec())
    servers["spec"]["template"]["metadata"]["labels"] |= LABELS
    for item in (quota, scaled, priority, servers):
        api.create(labelled(item))
    api.create(labelled(other, **{"berth.dev/stack": "another"}))
    held: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "held", "namespace": namespace}}
    held["metadata"]["finalizers"] = ["example.com/held"]
    api.create(labelled(held))
    api.delete("v1", "ConfigMap", "held", namespace)
    until("a pod of the server", lambda: api.items("v1", "Pod", namespace, labels="app=chat"))

    found = leftovers(reader, "gone")
    assert [str(orphan) for orphan in found.orphans] == [
        f"configmaps held in {namespace} (being deleted)",
        f"deployments.apps chat in {namespace}",
        "priorityclasses.scheduling.k8s.io orphans-first",
        f"resourcequotas gpus in {namespace}",
        f"scaledobjects.keda.sh chat in {namespace}",
    ]
    assert found.unseen == ()
    text = found.text("gone", CONTEXT)
    assert "stack gone has left 5 objects in cluster 'test':" in text
    assert f"\n  kubectl --context test --namespace {namespace} delete deployments.apps chat\n" in text
    assert "\n  kubectl --context test delete priorityclasses.scheduling.k8s.io orphans-first\n" in text
    assert "delete configmaps held" not in text

    api.patch("v1", "ConfigMap", "held", {"metadata": {"finalizers": None}}, namespace)
    api.delete("apps/v1", "Deployment", "chat", namespace)
    api.delete("v1", "ResourceQuota", "gpus", namespace)
    api.delete("keda.sh/v1alpha1", "ScaledObject", "chat", namespace)
    api.delete("scheduling.k8s.io/v1", "PriorityClass", "orphans-first")
    until("nothing to be left", lambda: not leftovers(reader, "gone").orphans)
    assert leftovers(reader, "gone").text("gone", CONTEXT) == ""


STACK_FILE = """\
config:
  berth:platform: kubernetes
  berth:kubernetes: {context: CONTEXT, namespace: NAMESPACE}
  berth:models: {tiny: {engine: local, source: store://tiny-gpt2, context: 512}}
  berth:gateway: {host: llm.example.com}
"""


@pytest.fixture
def session(cluster: Cluster, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    """A checkout with a stack `gone` on the cluster."""
    (tmp_path / "stacks").mkdir()
    text = STACK_FILE.replace("CONTEXT", CONTEXT).replace("NAMESPACE", namespace)
    (tmp_path / "stacks/Pulumi.gone.yaml").write_text(text)
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig()))
    return Session(tmp_path)


def test_down_tells_what_is_left(
    api: Client, session: Session, namespace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    item: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "left", "namespace": namespace}}
    api.create(labelled(item))
    down.look_for_orphans(session, "gone")
    told = capsys.readouterr().err
    assert "stack gone has left 1 object in cluster 'test':" in told
    assert f"kubectl --context test --namespace {namespace} delete configmaps left" in told
    api.delete("v1", "ConfigMap", "left", namespace)
    down.look_for_orphans(session, "gone")
    assert capsys.readouterr().err == ""


def test_down_says_so_when_nobody_could_look(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    file = session.stack_file("gone")
    file.write_text(file.read_text().replace(f"context: {CONTEXT}", "context: removed"))
    down.look_for_orphans(session, "gone")
    told = capsys.readouterr().err
    assert "cluster 'removed' could not be looked through for leftovers of stack gone: kubeconfig " in told
    file.write_text("config: {berth:platform: nowhere}")
    down.look_for_orphans(session, "gone")
    assert "nobody looked for leftovers there" in capsys.readouterr().err


def test_a_failed_up_tells_the_reasons(
    api: Client, session: Session, namespace: str, until: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    api.create(labelled(deployment("chat", namespace, 1, pod_spec(), Behaviour(crash=0.2))))
    settings = load("gone", session.root)

    def told() -> str:
        rollout_report.report(settings)
        return capsys.readouterr().err

    until("the crash told", lambda: "CrashLoopBackOff" in told())
    text = told()
    assert "berth: Deployment chat: 0 of 1 new pods are ready" in text
    assert "\n  pod chat-" in text
    assert "it ended with 1 (Error)" in text


def failed(reader: Reader, namespace: str) -> list[Failed]:
    return failures(reader, namespace, "gone")


def test_a_rollout_that_failed_names_pod_reason_and_events(
    api: Client, reader: Reader, namespace: str, until: Any
) -> None:
    good = labelled(deployment("chat", namespace, 2, pod_spec()))
    api.create(good)
    until("the servers", lambda: not failed(reader, namespace))

    message = "registry.example.com/tgi:4: not found"
    bad = labelled(deployment("chat", namespace, 2, pod_spec(), Behaviour(pull_error=message)))
    api.apply(bad, force=True)
    parts = ("0 of 2 new pods are ready", "; 2 old pods still serve", message, "Normal Scheduled: ")
    until("the failed pull", lambda: any(all(part in str(one) for part in parts) for one in failed(reader, namespace)))
    (one,) = failed(reader, namespace)
    assert (one.kind, one.name) == ("Deployment", "chat")
    assert one.state.startswith("0 of 2 new pods are ready")
    assert one.state.endswith("; 2 old pods still serve")
    (pod,) = [line for line in one.pods if line.startswith("pod ")]
    assert pod.startswith("pod chat-")
    assert " on " in pod
    assert message in pod
    assert any(line.strip().startswith("Normal Scheduled: Successfully assigned") for line in one.pods)


def test_a_pod_without_a_place_is_told_in_the_scheduler_s_words(
    api: Client, reader: Reader, namespace: str, until: Any
) -> None:
    spec = pod_spec(gpus=4, selector={"nvidia.com/gpu.product": "NVIDIA-L4"})
    api.create(labelled(deployment("large", namespace, 1, spec)))
    # Its event may be there before the pod's condition.
    until("the scheduler's word", lambda: any("Unschedulable: 0/" in str(one) for one in failed(reader, namespace)))
    (one,) = failed(reader, namespace)
    assert one.state == "0 of 1 new pods are ready"
    assert "Unschedulable: 0/" in one.pods[0]
    assert "Insufficient nvidia.com/gpu" in one.pods[0]


def test_a_refused_pod_is_told_with_the_rule(api: Client, reader: Reader, namespace: str, until: Any) -> None:
    quota: Object = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none", "namespace": namespace},
        "spec": {"hard": {"requests.nvidia.com/gpu": "0"}},
    }
    api.create(quota)
    until("the quota", lambda: api.get("v1", "ResourceQuota", "none", namespace).get("status", {}).get("hard"))
    api.create(labelled(deployment("large", namespace, 1, pod_spec(gpus=1))))
    # The event and the condition of the Deployment come one after the other.
    parts = ("pods are refused: ", "Warning FailedCreate")
    until("the refusal", lambda: any(all(part in str(one) for part in parts) for one in failed(reader, namespace)))
    (one,) = failed(reader, namespace)
    assert "pods are refused: " in one.state
    assert "exceeded quota: none, requested: requests.nvidia.com/gpu=1" in one.state
    assert any("Warning FailedCreate" in line for line in one.pods)


def test_crashing_pods_and_failed_jobs_are_told_with_their_status(
    api: Client, reader: Reader, namespace: str, until: Any
) -> None:
    api.create(labelled(deployment("crash", namespace, 1, pod_spec(), Behaviour(crash=0.2))))
    template = {
        "metadata": {"annotations": Behaviour(crash=0.2).annotations()},
        "spec": pod_spec(restartPolicy="Never"),
    }
    job: Object = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "stage", "namespace": namespace},
        "spec": {"backoffLimit": 0, "template": template},
    }
    api.create(labelled(job))
    until(
        "both failures",
        lambda: (
            {"CrashLoopBackOff", "BackoffLimitExceeded"}
            <= {word for one in failed(reader, namespace) for word in str(one).replace(":", " ").split()}
        ),
    )
    crash, stage = failed(reader, namespace)
    assert "container engine: CrashLoopBackOff" in crash.pods[0]
    assert "it ended with 1 (Error)" in crash.pods[0]
    assert stage.kind == "Job"
    assert "failed: BackoffLimitExceeded" in stage.state
    assert any("container engine ended with 1" in line for line in stage.pods)
