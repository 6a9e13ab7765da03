"""A ModelServer as the engine sees it: what it registers, in which order, with how much patience."""

import pytest

from infra.components.kubernetes.arguments import ArgumentsError
from infra.components.kubernetes.model_server import ModelServer
from infra.components.kubernetes.namespace import Namespace
from infra.components.kubernetes.server_args import ModelServerArgs
from tests.support.model_servers import arguments, many_hosts, scaled
from tests.support.registrations import Registration, registrations

Made = dict[tuple[str, str], Registration]


def made(args: ModelServerArgs, *, preview: bool = False) -> Made:
    return registrations(lambda: ModelServer(args["model"], args), preview=preview)


def workload(args: ModelServerArgs, kind: str = "Deployment") -> Registration:
    (found,) = [item for (its_kind, _), item in made(args).items() if its_kind == kind]
    return found


def test_all_objects_are_children_of_the_component() -> None:
    found = made(arguments())
    assert set(found) == {
        ("berth:ModelServer", "chat"),
        ("ServiceAccount", "chat"),
        ("NetworkPolicy", "chat"),
        ("Deployment", "chat"),
        ("Service", "chat"),
        ("PodDisruptionBudget", "chat"),
    }
    assert {item.parent for key, item in found.items() if key[0] != "berth:ModelServer"} == {"chat"}
    assert found["berth:ModelServer", "chat"].inputs["image"].startswith("registry.test/vllm")


def test_a_preview_asks_for_the_same_as_the_deployment() -> None:
    assert made(arguments(), preview=True) == made(arguments())


def test_every_object_bears_its_name_and_the_labels_that_find_left_overs() -> None:
    for (kind, _), item in made(arguments()).items():
        if kind == "berth:ModelServer":
            continue
        metadata = item.inputs["metadata"]
        assert metadata["name"] == "chat"
        assert metadata["namespace"] == "berth"
        assert metadata["labels"]["app.kubernetes.io/managed-by"] == "berth"
        assert metadata["labels"]["berth.dev/stack"] == "test"


def test_pods_come_after_their_account_and_their_policy() -> None:
    assert workload(arguments()).dependencies == {("ServiceAccount", "chat"), ("NetworkPolicy", "chat")}


def test_the_service_is_there_at_once_unless_it_is_the_switch() -> None:
    assert made(arguments())["Service", "chat"].dependencies == set()
    found = made(arguments(rollout="blue_green"))
    ((_, name),) = [key for key in found if key[0] == "Deployment"]
    assert name.startswith("chat-")
    assert found["Service", "chat"].dependencies == {("Deployment", name)}


def test_waits_are_as_long_as_the_planned_start_and_the_rollout_need() -> None:
    # 400 s cold, a startup probe of 48 x 10 s (the next rung above 40), and 120 s of slack.
    start, grace = 400 + 480 + 120, 120
    assert workload(arguments()).timeouts == (f"{start}s", f"{2 * (start + grace)}s", f"{120 + grace}s")
    assert workload(arguments(rollout="blue_green")).timeouts[1] == f"{start}s"


def test_replicas_are_the_scalers_where_there_is_one() -> None:
    assert workload(arguments()).ignored == ()
    assert workload(arguments()).inputs["metadata"]["annotations"] == {"pulumi.com/patchForce": "true"}
    found = workload(scaled())
    assert found.ignored == ("spec.replicas",)
    assert "annotations" not in found.inputs["metadata"]


def test_the_scaler_comes_after_what_it_scales() -> None:
    found = made(scaled(rollout="blue_green"))
    ((_, name),) = [key for key in found if key[0] == "Deployment"]
    assert found["ScaledObject", "chat"].dependencies == {("Deployment", name)}
    assert found["ScaledObject", "chat"].inputs["spec"]["scaleTargetRef"]["name"] == name


def test_several_hosts_make_a_leader_worker_set() -> None:
    item = workload(many_hosts(), "LeaderWorkerSet")
    assert item.type == "kubernetes:leaderworkerset.x-k8s.io/v1:LeaderWorkerSet"
    assert item.inputs["spec"]["leaderWorkerTemplate"]["size"] == 2


def test_a_tag_without_digest_is_refused_before_anything_is_registered() -> None:
    with pytest.raises(ArgumentsError, match=r"image is 'registry\.test/vllm:1'; it must be pinned by digest"):
        made(arguments(image="registry.test/vllm:1"))


def test_a_namespace_holds_what_servers_and_gateway_rely_on() -> None:
    found = registrations(
        lambda: Namespace("space", {"name": "berth", "stack": "test", "gpu_quota": {"nvidia.com/gpu": 6}})
    )
    assert set(found) == {
        ("berth:Namespace", "space"),
        ("Namespace", "space"),
        ("NetworkPolicy", "space-deny-all"),
        ("ResourceQuota", "space-gpus"),
        ("LimitRange", "space-defaults"),
        ("PriorityClass", "space-berth-gateway"),
        ("PriorityClass", "space-berth-model-server"),
    }
    assert found["NetworkPolicy", "space-deny-all"].dependencies == {("Namespace", "space")}
    gateway, server = (found["PriorityClass", f"space-berth-{role}"].inputs for role in ("gateway", "model-server"))
    assert gateway["value"] > server["value"]


def test_a_namespace_of_somebody_else_is_left_alone() -> None:
    found = registrations(lambda: Namespace("space", {"name": "team", "stack": "test", "adopt": True}))
    kinds = [item.type for item in found.values()]
    assert "kubernetes:core/v1:Namespace" not in kinds
    assert "kubernetes:networking.k8s.io/v1:NetworkPolicy" in kinds
