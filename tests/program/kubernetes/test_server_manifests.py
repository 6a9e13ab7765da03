"""Manifests of model servers: what a reviewer sees change, and what rolls pods.

`UPDATE_GOLDEN=1 pytest tests/program/kubernetes/test_server_manifests.py`, then read the difference.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.components.kubernetes import namespace_objects, server_objects
from infra.components.kubernetes.arguments import ArgumentsError
from infra.components.kubernetes.rollout import Rollout
from infra.components.kubernetes.server import Server
from infra.components.kubernetes.server_args import ModelServerArgs
from infra.components.kubernetes.server_pods import pod_spec, probe_failures, revision_of, worker_spec
from infra.components.kubernetes.server_workload import limits, workload, workload_name
from serving import engines
from tests.support.model_servers import DIGEST, arguments, encoder, gpu, many_hosts, scaled, sharded

GOLDEN = Path(__file__).parent / "golden"


def parse(args: ModelServerArgs) -> Server:
    return Server.parse(args["model"], args)


def manifests(args: ModelServerArgs) -> list[dict[str, Any]]:
    return server_objects.manifests(parse(args))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("server-one-gpu", lambda: manifests(arguments())),
        ("server-four-gpus", lambda: manifests(sharded())),
        ("server-encoder", lambda: manifests(encoder())),
        ("server-blue-green", lambda: manifests(arguments(rollout="blue_green"))),
        ("server-scaled", lambda: manifests(scaled())),
        ("server-two-hosts", lambda: manifests(many_hosts())),
        (
            "namespace",
            lambda: namespace_objects.manifests("berth", "test", {"nvidia.com/gpu": 6}, adopt=False),
        ),
    ],
)
def test_manifests_are_as_reviewed(name: str, content: Callable[[], list[dict[str, Any]]]) -> None:
    file = GOLDEN / f"{name}.yaml"
    text = yaml.dump_all(content(), Dumper=_Plain, sort_keys=False, width=120)
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(text)
    assert file.read_text() == text, f"{file.name} differs; UPDATE_GOLDEN=1 writes it anew"


class _Plain(yaml.SafeDumper):
    """Without references: a reviewer reads each object alone."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


CHANGES: dict[str, dict[str, Any]] = {
    "an option": {"options": {"enforce-eager": "true"}},
    "an image": {"image": f"registry.test/vllm:2@{DIGEST}"},
    "weights": {"weights": {**arguments()["weights"], "location": "qwen/other/0123456789ab"}},
    "a limit": {"limits": {"max_input_tokens": 1024, "max_total_tokens": 2048, "max_concurrent_requests": 64}},
    "another GPU": {"gpu": gpu("l40s", 1, "NVIDIA-L40S")},
    "more memory": {"memory_bytes": 9 * 2**30},
}
QUIET: dict[str, dict[str, Any]] = {
    "replicas": {"replicas": {"min": 5, "max": 5}},
    "a scaler": {"replicas": {"min": 1, "max": 9}, "scaling": {"min": 1, "max": 9, "in_flight": 32}},
    "the name of the backends": {"backends": "chat.canary"},
    "who may scrape": {"prometheus": {"namespace": "monitoring", "labels": {"app": "prometheus"}}},
    "an estimate that moved a little": {
        "startup": {"probe_period_seconds": 10, "probe_failures": 43, "cold_seconds": 430.0}
    },
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_pods_must_be_new_for_rolls_them(what: str) -> None:
    before, after = parse(arguments()), parse(arguments(**CHANGES[what]))
    assert revision_of(before) != revision_of(after)
    assert workload(before)["spec"]["template"] != workload(after)["spec"]["template"]


@pytest.mark.parametrize("what", QUIET)
@pytest.mark.parametrize("rollout", ["surge", "blue_green"])
def test_what_pods_need_not_be_new_for_leaves_them(what: str, rollout: str) -> None:
    before, after = parse(arguments(rollout=rollout)), parse(arguments(rollout=rollout, **QUIET[what]))
    assert revision_of(before) == revision_of(after)
    assert workload_name(before) == workload_name(after)
    assert workload(before)["spec"]["template"] == workload(after)["spec"]["template"]


def test_the_rollout_alone_is_no_reason_for_other_content() -> None:
    assert len({revision_of(parse(arguments(rollout=str(kind)))) for kind in Rollout}) == 1


@pytest.mark.parametrize("rollout", [*Rollout])
def test_selectors_stay_as_they_are_unless_the_pods_are_another_workloads(rollout: Rollout) -> None:
    """The API forbids to change a Deployment's selector, and Pulumi would replace it for that."""
    before, after = (parse(arguments(rollout=str(rollout), **change)) for change in ({}, CHANGES["an image"]))
    selectors = [workload(server)["spec"]["selector"] for server in (before, after)]
    assert (selectors[0] == selectors[1]) == (workload_name(before) == workload_name(after))
    assert server_objects.disruption_budget(before) == server_objects.disruption_budget(after)


@pytest.mark.parametrize("kind", ["vllm", "tgi"])
def test_pods_end_as_the_adapter_says(kind: str) -> None:
    server = parse(arguments(engine=kind))
    drain, spec = engines.engine(kind).drain, pod_spec(server)
    (container,) = spec["containers"]
    assert container["lifecycle"]["preStop"]["sleep"]["seconds"] == drain.prestop_seconds
    assert spec["terminationGracePeriodSeconds"] == drain.grace_seconds
    assert drain.grace_seconds > drain.prestop_seconds + drain.engine_seconds
    assert limits(server).delete > drain.grace_seconds


def test_hosts_without_a_port_outlive_the_requests_of_the_first() -> None:
    server = parse(many_hosts())
    drain, (container,) = server.engine.drain, worker_spec(server)["containers"]
    assert container["lifecycle"]["preStop"]["sleep"]["seconds"] == drain.prestop_seconds + drain.engine_seconds
    assert "readinessProbe" not in container


def test_the_startup_probe_allows_at_least_the_planned_start() -> None:
    assert [probe_failures(planned) for planned in (1, 2, 3, 5, 12, 13, 40, 100)] == [1, 2, 3, 6, 12, 16, 48, 128]


@pytest.mark.parametrize(
    ("kind", "most", "least"), [(Rollout.SURGE, 4, 3), (Rollout.IN_PLACE, 3, 2), (Rollout.BLUE_GREEN, 6, 3)]
)
def test_a_rollout_says_what_it_costs(kind: Rollout, most: int, least: int) -> None:
    assert (kind.most(3), kind.least(3)) == (most, least)


def test_slices_of_a_gpu_are_on_nodes_with_the_taint_of_whole_ones() -> None:
    args = arguments(gpu={**gpu("h100:3g.40gb", 1, "NVIDIA-H100-80GB-HBM3"), "resource": "nvidia.com/mig-3g.40gb"})
    spec = pod_spec(parse(args))
    assert spec["containers"][0]["resources"]["limits"]["nvidia.com/mig-3g.40gb"] == "1"
    assert spec["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image": "registry.test/vllm:latest"}, "image is 'registry.test/vllm:latest'; it must be pinned by digest"),
        ({"rollout": "bluegreen"}, "rollout is 'bluegreen'; did you mean 'blue_green'?"),
        ({"replicas": {"min": 1, "max": 4}}, "replicas are 1 to 4, and nothing scales them"),
        (
            {"replicas": {"min": 1, "max": 4}, "scaling": {"min": 0, "max": 4, "in_flight": 32}},
            "replicas are 1 to 4, those of scaling 0 to 4; make them equal",
        ),
        ({"replicas": {"min": 0, "max": 0}}, "a max of at least 1"),
        ({"shards": 2}, "shards is 2; 1 x 1 GPUs are too few"),
        ({"gpu": {**gpu("l4", 1, ""), "node_labels": {}}}, "name the labels of the nodes with l4"),
        ({"shm_bytes": 8 * 2**30}, "it counts against memory_bytes"),
        ({"model": "Chat_1"}, "the name 'Chat_1' is not a DNS label"),
        ({"engine": "vlm"}, "engine is 'vlm'; did you mean 'vllm'?"),
        ({"task": "chat"}, "task is 'chat'; known: embed, generate"),
        ({"model": "gateway"}, "the name 'gateway' is that of another object in the namespace"),
        ({"options": {"no-such": "1"}}, "unknown option 'no-such'"),
        (
            {"weights": {**arguments()["weights"], "location": "../secrets"}},
            "weights.location is '../secrets'; it must be a folder below the store's root",
        ),
    ],
)
def test_bad_arguments_are_told_with_the_way_out(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ArgumentsError) as caught:
        parse(arguments(**changes))
    assert said in str(caught.value)


def test_all_bad_arguments_are_told_at_once() -> None:
    with pytest.raises(ArgumentsError) as caught:
        parse(arguments(image="a:1", rollout="none", shards=2))
    assert len(str(caught.value).splitlines()) == 3
