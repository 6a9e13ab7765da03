"""What `make doctor` and a preview find in a real cluster, before anything is created."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from images import lock
from infra.planning import plan
from infra.platforms import kubernetes_checks
from infra.settings import SettingsError, load
from infra.tasks import doctor
from infra.tasks.session import Session
from tests.support.cluster import CONTEXT, Cluster, crds
from tests.support.cluster.nodes import Nodes
from tests.support.cluster.workloads import pod, pod_spec
from tests.support.cluster_project import ClusterProject
from tests.support.kubernetes_api import ApiError, Client, Object

STACK = "test"
CHAT = {
    "engine": "tgi",
    "source": "hf://meta-llama/Llama-3.1-8B-Instruct@0e9e39f249a16976918f6564b8830bc894c89659",
    "context": 8192,
    "gpu": "l4",
}
SHARED = "nfs.csi.k8s.io"
READER, STRANGER = "reader", "stranger"


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack file of one model on L4s, and a kubeconfig."""

    root: Path
    kubeconfig: Path

    def write(
        self,
        models: Mapping[str, Any] | None = None,
        certificate: str = "",
        replicas: Mapping[str, int] | None = None,
        **kubernetes: Any,
    ) -> None:
        """`replicas` of the gateway, else fixed; `kubernetes` is laid over the section of that name."""
        section = {
            "context": CONTEXT,
            "namespace": "doctored",
            "nodes": {"small": {"gpu": "l4", "nodes": 2}},
            **kubernetes,
        }
        config = {
            "berth:platform": "kubernetes",
            "berth:kubernetes": section,
            "berth:models": dict(models or {"chat": CHAT}),
            "berth:gateway": {
                "host": "llm.example.com",
                "replicas": replicas or 2,
                **({"certificate": certificate} if certificate else {}),
            },
        }
        folder = self.root / "stacks"
        folder.mkdir(exist_ok=True)
        (folder / f"Pulumi.{STACK}.yaml").write_text(yaml.safe_dump({"config": config}))

    def report(self) -> kubernetes_checks.Report:
        """All findings."""
        settings, environment = load(STACK, self.root), {"KUBECONFIG": str(self.kubeconfig)}
        planned = plan(settings, nodes=kubernetes_checks.nodes_to_plan_with(settings, environment))
        return kubernetes_checks.check(settings, planned, environment)

    def problems(self) -> list[str]:
        """What would stop a deployment, without file and line."""
        return [str(problem).partition(": ")[2] for problem in self.report().problems]

    def notes(self) -> list[str]:
        """What would not."""
        return [str(problem).partition(": ")[2] for problem in self.report().notes]


@pytest.fixture
def stack(cluster: Cluster, tmp_path: Path) -> Stack:
    """On the cluster of all tests, whose GPUs no pod of an earlier test holds any more."""
    cluster.processes.wait("the end of earlier tests' pods", lambda: not _pods_that_go(cluster.api))
    made = Stack(tmp_path, cluster.kubeconfig())
    made.write()
    return made


def _pods_that_go(api: Client) -> list[Object]:
    going = {
        item["metadata"]["name"] for item in api.items("v1", "Namespace") if "deletionTimestamp" in item["metadata"]
    }
    return [item for item in api.items("v1", "Pod") if item["metadata"]["namespace"] in going]


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """No definitions, no storage, one node without GPUs; a user who may look, and one who may nothing."""
    users = {READER: (), STRANGER: ()}
    with Cluster(tmp_path_factory.mktemp("bare"), (Nodes("m6i.large"),), users=users) as started:
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": READER},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": READER}],
        }
        started.api.create(binding)
        started.processes.wait("the reader's rights", lambda: _may_look(started.api_of(READER)))
        yield started


def _may_look(api: Client) -> bool:
    try:
        api.items("v1", "Pod", "default")
    except ApiError:
        return False
    return True


def storage_class(name: str, provisioner: str, *, default: bool = False) -> Object:
    annotations = {"storageclass.kubernetes.io/is-default-class": str(default).lower()}
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name, "annotations": annotations},
        "provisioner": provisioner,
    }


@pytest.fixture
def shared(api: Client) -> Iterator[None]:
    """A default class whose volumes many nodes mount."""
    api.create(storage_class("shared", SHARED, default=True))
    yield
    api.delete("storage.k8s.io/v1", "StorageClass", "shared")


@pytest.fixture
def claimed(api: Client, request: pytest.FixtureRequest) -> Iterator[Any]:
    """`claimed(labels)` makes a namespace; its name. They take a while to go, so each test has its own."""
    name = f"doctored-{abs(hash(request.node.name)) % 10**8}"

    def make(labels: Mapping[str, str]) -> str:
        api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": dict(labels)}})
        return name

    yield make
    try:
        api.delete("v1", "Namespace", name)
    except ApiError as error:
        # The test may have made none, or one that is gone by now.
        if not error.not_found:
            raise


@pytest.mark.usefixtures("shared")
def test_a_cluster_that_has_everything_is_told_so(stack: Stack) -> None:
    report = stack.report()
    assert (report.problems, report.notes) == ((), ())
    assert report.version.startswith("v1.")


@pytest.mark.usefixtures("shared")
def test_a_stack_that_lists_no_nodes_is_planned_on_those_of_the_cluster(stack: Stack) -> None:
    stack.write({"chat": {**CHAT, "gpu": "auto"}}, nodes={})
    settings, environment = load(STACK, stack.root), {"KUBECONFIG": str(stack.kubeconfig)}
    nodes = kubernetes_checks.nodes_to_plan_with(settings, environment)
    assert {node.gpu for node in nodes} == {"l4", "l40s", "h100"}
    assert {(node.gpus, node.vcpus) for node in nodes if node.gpu == "l40s"} == {(4, 48)}
    assert plan(settings, nodes=nodes).nodes[0].gpu == "l4"
    assert stack.problems() == []


def test_a_stack_without_nodes_needs_its_cluster_for_the_plan(stack: Stack, tmp_path: Path) -> None:
    stack.write(nodes={})
    with pytest.raises(SettingsError, match=r"kubernetes\.context: 'test' cannot be found"):
        Stack(stack.root, tmp_path / "nowhere").report()


def test_a_context_that_is_not_there_is_told_with_those_that_are(stack: Stack) -> None:
    stack.write(context="tset")
    (problem,) = stack.problems()
    assert problem == (
        f"kubernetes.context: 'tset' is not a context of the kubeconfig {stack.kubeconfig}, which has: {CONTEXT} "
        f"(did you mean '{CONTEXT}'?); name one of these or add it (the current context is never used)"
    )


def test_a_missing_kubeconfig_is_told(stack: Stack, tmp_path: Path) -> None:
    lost = Stack(stack.root, tmp_path / "nowhere")
    (problem,) = lost.problems()
    assert f"there is no kubeconfig at {tmp_path}/nowhere; set KUBECONFIG" in problem


def test_a_server_that_is_not_reachable_is_told(stack: Stack, tmp_path: Path) -> None:
    document = yaml.safe_load(stack.kubeconfig.read_text())
    document["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    away = Stack(stack.root, tmp_path / "away")
    away.kubeconfig.write_text(yaml.safe_dump(document))
    (problem,) = away.problems()
    assert (
        f"'{CONTEXT}' leads to an API server that cannot be reached: https://127.0.0.1:1: Connection refused" in problem
    )
    assert "start it, join its network" in problem


def test_another_server_s_certificate_is_not_trusted(stack: Stack, bare: Cluster, tmp_path: Path) -> None:
    document, other = (yaml.safe_load(file.read_text()) for file in (stack.kubeconfig, bare.kubeconfig()))
    document["clusters"][0]["cluster"]["server"] = other["clusters"][0]["cluster"]["server"]
    mixed = Stack(stack.root, tmp_path / "mixed")
    mixed.kubeconfig.write_text(yaml.safe_dump(document))
    (problem,) = mixed.problems()
    assert "cannot be reached" in problem
    assert "certificate" in problem


def test_a_login_that_is_not_accepted_is_told(stack: Stack, tmp_path: Path) -> None:
    document = yaml.safe_load(stack.kubeconfig.read_text())
    document["users"][0]["user"] = {"token": "expired"}
    stale = Stack(stack.root, tmp_path / "stale")
    stale.kubeconfig.write_text(yaml.safe_dump(document))
    (problem,) = stale.problems()
    assert "does not accept the login of user 'admin' (Unauthorized); log in again" in problem


def test_everything_that_a_bare_cluster_lacks_is_told_at_once(bare: Cluster, tmp_path: Path) -> None:
    stack = Stack(tmp_path, bare.kubeconfig())
    stack.write({"chat": {**CHAT, "replicas": {"min": 0, "max": 2}}})
    report = stack.report()
    assert [".".join(map(str, problem.path)) for problem in report.problems] == [
        "models.chat.replicas",
        "kubernetes.nodes.small",
        "kubernetes.storage_class",
    ]
    keda, nodes, storage = stack.problems()
    assert "scales between 0 and 2 replicas, which needs KEDA" in keda
    assert "helm install keda keda --repo https://kedacore.github.io/charts" in keda
    assert f"--kube-context {CONTEXT}" in keda
    assert "has no node with nvidia.com/gpu.product=NVIDIA-L4" in nodes
    assert "it has no GPU nodes at all" in nodes
    assert "is not set, and cluster 'test' has no default class (it has: none)" in storage
    assert str(report.problems[0]).startswith(f"stacks/Pulumi.{STACK}.yaml:")


def test_rights_that_are_lacking_are_told_in_one_finding(bare: Cluster, tmp_path: Path) -> None:
    stack = Stack(tmp_path, bare.kubeconfig(READER))
    stack.write()
    problem = next(text for text in stack.problems() if "may not" in text)
    assert "user 'reader' may not create, patch, delete cluster-wide: namespaces; " in problem
    assert "get, create, patch, delete cluster-wide: priorityclasses.scheduling.k8s.io" in problem
    assert "create, patch, delete in namespace doctored: " in problem
    assert "deployments.apps" in problem
    assert "list" not in problem


def test_what_may_not_be_looked_at_is_a_note(bare: Cluster, tmp_path: Path) -> None:
    stack = Stack(tmp_path, bare.kubeconfig(STRANGER))
    stack.write()
    (problem,) = stack.problems()
    assert "list, watch in namespace doctored: pods, events" in problem
    assert any("GPU nodes could not be looked at: nodes is forbidden" in note for note in stack.notes())


@pytest.mark.usefixtures("shared")
def test_a_gateway_that_scales_without_anyone_measuring_is_a_note(api: Client, stack: Stack, until: Any) -> None:
    stack.write(replicas={"min": 2, "max": 4})
    assert stack.problems() == []
    (note,) = stack.notes()
    assert "gateway.replicas: 2 to 4 by processor time, which metrics-server measures: cluster 'test' has none" in note
    assert f"--kube-context {CONTEXT}, or make min and max equal" in note
    api.create(_measured())
    try:
        until("the kind", lambda: stack.notes() == [])
    finally:
        api.delete("apiextensions.k8s.io/v1", "CustomResourceDefinition", "pods.metrics.k8s.io")


def _measured() -> Object:
    """The kind that metrics-server serves, with nothing behind it."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": "pods.metrics.k8s.io",
            "annotations": {"api-approved.kubernetes.io": "unapproved, a test's"},
        },
        "spec": {
            "group": "metrics.k8s.io",
            "scope": "Namespaced",
            "names": {"kind": "PodMetrics", "plural": "pods"},
            "versions": [{"name": "v1beta1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }


@pytest.mark.usefixtures("shared")
def test_gpu_nodes_of_another_type_are_named(stack: Stack) -> None:
    stack.write({"chat": {**CHAT, "gpu": "a10g"}}, nodes={"small": {"gpu": "a10g", "nodes": 2}})
    (problem,) = stack.problems()
    assert "kubernetes.nodes.small: cluster 'test' has no node with nvidia.com/gpu.product=NVIDIA-A10G" in problem
    assert "2 x NVIDIA-L4" in problem
    assert "set labels to those they have, or plan for another GPU type" in problem


@pytest.mark.usefixtures("shared")
def test_fewer_gpus_than_the_plan_takes_are_told(stack: Stack) -> None:
    stack.write({"chat": {**CHAT, "replicas": 3}}, nodes={"small": {"gpu": "l4", "nodes": 4}})
    (problem,) = stack.problems()
    assert "the plan takes 3 GPUs of type l4 (chat 3 x 1), the cluster's nodes have 2" in problem
    stack.write({"chat": {**CHAT, "replicas": 2}}, nodes={"small": {"gpu": "l4", "nodes": 4}})
    assert stack.problems() == []
    (note,) = stack.notes()
    assert "2 GPUs of type l4 are enough for the plan (2), not for all replicas at their most while one" in note


@pytest.mark.usefixtures("shared")
def test_gpus_that_others_hold_are_told(api: Client, stack: Stack, namespace: str, until: Any) -> None:
    spec = pod_spec(gpus=1, selector={"nvidia.com/gpu.product": "NVIDIA-L4"})
    for name in ("one", "two"):
        api.create(pod(name, namespace, spec))
    until("the pods", lambda: all(item["spec"].get("nodeName") for item in api.items("v1", "Pod", namespace)))
    assert stack.problems() == []
    (note,) = stack.notes()
    assert f"of 2 GPUs of type l4 pods of others hold 2 (2 in namespace {namespace}); the plan takes 1" in note


@pytest.mark.usefixtures("shared")
def test_nodes_without_a_device_plugin_are_told(cluster: Cluster, stack: Stack) -> None:
    api = cluster.api
    (node,) = Nodes("g6.xlarge", ("us-east-1f",), labels={"nvidia.com/gpu.product": "NVIDIA-H200"}).objects()
    for amounts in node["status"].values():
        amounts.pop("nvidia.com/gpu", None)
    api.create(node)
    try:
        stack.write({"chat": {**CHAT, "gpu": "h200"}}, nodes={"large": {"gpu": "h200", "nodes": 1}})
        (problem,) = stack.problems()
        assert "none offers nvidia.com/gpu to pods: the device plugin is missing" in problem
    finally:
        api.delete("v1", "Node", node["metadata"]["name"])


@pytest.mark.usefixtures("shared")
def test_karpenter_needs_its_node_class(stack: Stack) -> None:
    bought = {"gpu": "l4", "nodes": 2, "karpenter": {"instances": ["g6.xlarge"]}}
    stack.write(nodes={"small": bought})
    (problem,) = stack.problems()
    assert problem.startswith("kubernetes.nodes.small.karpenter.node_class: 'default' is not there")
    assert "EC2NodeClass (karpenter.k8s.aws)" in problem


@pytest.mark.usefixtures("shared")
def test_a_quota_that_is_too_small_is_told(api: Client, stack: Stack, claimed: Any) -> None:
    name = claimed({"app.kubernetes.io/managed-by": "berth", "berth.dev/stack": STACK})
    quota: Object = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "from-above", "namespace": name},
        "spec": {"hard": {"requests.nvidia.com/gpu": "1"}},
    }
    api.create(quota)
    stack.write({"chat": {**CHAT, "replicas": 2}}, namespace=name)
    (problem,) = stack.problems()
    assert (
        f"kubernetes.namespace: '{name}': quota from-above allows 1 nvidia.com/gpu, the stack takes 2 (chat 2 x 1)"
        in problem
    )
    assert "have it raised to 3, or lower replicas" in problem


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ({}, "exists in cluster 'test' and was not made by berth"),
        ({"app.kubernetes.io/managed-by": "Helm"}, "exists in cluster 'test' and is managed by Helm"),
        (
            {"app.kubernetes.io/managed-by": "berth", "berth.dev/stack": "prod"},
            "belongs to stack 'prod' of berth; every stack has a namespace of its own",
        ),
    ],
)
def test_a_namespace_of_someone_else_is_told(stack: Stack, claimed: Any, labels: dict[str, str], told: str) -> None:
    name = claimed(labels)
    stack.write(namespace=name)
    (problem,) = stack.problems()
    assert problem.startswith(f"kubernetes.namespace: '{name}' ")
    assert told in problem


@pytest.mark.usefixtures("shared")
def test_a_namespace_on_its_way_out_is_told_with_what_holds_it(
    api: Client, stack: Stack, claimed: Any, until: Any
) -> None:
    name = claimed({"app.kubernetes.io/managed-by": "berth", "berth.dev/stack": STACK})
    held = {"name": "held", "namespace": name, "finalizers": ["example.com/held"]}
    api.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": held})
    api.delete("v1", "Namespace", name)
    stack.write(namespace=name)
    until("the finalizer told", lambda: any("example.com/held" in problem for problem in stack.problems()))
    (problem,) = stack.problems()
    assert f"'{name}' is being deleted" in problem
    assert "wait until it is gone, or name another" in problem
    api.patch("v1", "ConfigMap", "held", {"metadata": {"finalizers": None}}, name)


@pytest.mark.usefixtures("shared")
def test_a_certificate_must_be_one(api: Client, stack: Stack, claimed: Any) -> None:
    name = claimed({"app.kubernetes.io/managed-by": "berth", "berth.dev/stack": STACK})
    stack.write(namespace=name, certificate="api-tls")
    (note,) = stack.notes()
    assert f"gateway.certificate: 'api-tls' is not in namespace {name} yet, and pods wait for it" in note
    assert "have cert-manager make it" in note
    api.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "api-tls", "namespace": name}})
    (problem,) = stack.problems()
    assert "'api-tls' is a Secret of type Opaque; one of type kubernetes.io/tls is needed" in problem


@pytest.mark.usefixtures("shared")
def test_a_secret_for_images_must_be_one(api: Client, stack: Stack, claimed: Any) -> None:
    name = claimed({"app.kubernetes.io/managed-by": "berth", "berth.dev/stack": STACK})
    stack.write(namespace=name, image_pull_secret="registry")  # noqa: S106 - a name
    (note,) = stack.notes()
    assert f"kubernetes.image_pull_secret: 'registry' is not in namespace {name} yet" in note
    assert f"--namespace {name} create secret docker-registry registry --docker-server" in note
    api.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "registry", "namespace": name}})
    (problem,) = stack.problems()
    assert "is a Secret of type Opaque; one of type kubernetes.io/dockerconfigjson is needed" in problem


@pytest.mark.usefixtures("shared")
def test_a_pod_must_fit_on_a_node(stack: Stack) -> None:
    stack.write({"chat": {**CHAT, "shards": 2}}, nodes={"small": {"gpu": "l4", "gpus": 2, "nodes": 1}})
    (problem,) = stack.problems()
    assert "no node with nvidia.com/gpu.product=NVIDIA-L4 has more than 1 GPUs, and a pod is planned on 2" in problem
    assert "set gpus to what the nodes have" in problem


def test_storage_classes_are_judged_by_what_they_can_share(api: Client, stack: Stack) -> None:
    made = [("disks", "ebs.csi.aws.com"), ("files", "efs.csi.aws.com"), ("new", "example.com/new")]
    for name, provisioner in made:
        api.create(storage_class(name, provisioner))
    try:
        stack.write(storage_class="fiels")
        (problem,) = stack.problems()
        assert (
            "'fiels' is not in cluster 'test', which has: disks (ebs.csi.aws.com), files (efs.csi.aws.com)" in problem
        )
        stack.write(storage_class="disks")
        (problem,) = stack.problems()
        assert "mounted by one node at a time" in problem
        assert "these can be shared: files (efs.csi.aws.com)" in problem
        stack.write(storage_class="files")
        assert stack.problems() == stack.notes() == []
        stack.write(storage_class="new")
        assert stack.problems() == []
        (note,) = stack.notes()
        assert "whether volumes of example.com/new can be shared by nodes is not known here" in note
    finally:
        for name, _ in made:
            api.delete("storage.k8s.io/v1", "StorageClass", name)


def test_a_preview_stops_at_what_was_found(stack: Stack) -> None:
    stack.write(context="other")
    settings = load(STACK, stack.root)
    with pytest.raises(SettingsError, match="'other' is not a context of the kubeconfig"):
        kubernetes_checks.refuse(settings, plan(settings), {"KUBECONFIG": str(stack.kubeconfig)})


def test_up_stops_before_anything_is_created(
    cluster: Cluster, api: Client, tmp_path: Path, claimed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole program under the real engine, on a cluster with a namespace of someone else and no storage."""
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE", raising=False)
    name = claimed({})
    project = ClusterProject.make(tmp_path / "project", cluster.kubeconfig())
    wanted = {**CHAT, "gpu": "a10g"}
    project.write({"chat": wanted}, kubernetes={"namespace": name, "nodes": {"small": {"gpu": "a10g", "nodes": 1}}})
    run = project.try_up()
    assert run.status != 0
    for told in (
        f"kubernetes.namespace: '{name}' exists in cluster '{CONTEXT}' and was not made by berth",
        "has no node with nvidia.com/gpu.product=NVIDIA-A10G",
        "kubernetes.storage_class: is not set, and cluster 'test' has no default class",
    ):
        assert told in run.output
    assert "Traceback" not in run.output
    assert {item["type"] for item in project.state()} <= {"pulumi:pulumi:Stack"}
    # The same for a stack that lists no nodes: it is planned on those of the cluster, and stops at the namespace.
    project.write({"chat": CHAT}, kubernetes={"namespace": name, "nodes": {}})
    run = project.try_up()
    assert run.status != 0
    assert "was not made by berth" in run.output
    assert "kubernetes.nodes" not in run.output
    assert api.items("v1", "ServiceAccount", name) == api.items(
        "v1", "ServiceAccount", name, fields="metadata.name=default"
    )


def test_the_doctor_prints_the_findings(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(stack.kubeconfig))
    (stack.root / "images").mkdir()
    lock.write(lock.read(), stack.root / "images" / lock.LOCK.name)
    assert not doctor.doctor(Session(stack.root), STACK)
    printed = capsys.readouterr().out
    assert f"stack {STACK} on cluster '{CONTEXT}', Kubernetes v1." in printed
    assert "1 thing in the way\n  ✗ stacks/Pulumi.test.yaml:" in printed
    assert "  ✗ image 'gateway' is the kit's own and is not in images.lock yet" in printed


def test_definitions_of_the_kit_s_own_tests_are_those_that_stacks_need() -> None:
    """So that `no problems` above means that the kinds were there."""
    assert {"keda-crds", "lws-crds", "karpenter-crds"} <= set(crds.PARTS)
