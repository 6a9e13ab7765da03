"""A whole stack on the cluster: `up`, again, changes, failures, `destroy`."""

from collections.abc import Callable

from infra.components.kubernetes.model_store_job import SOURCE
from tests.support.cluster import Item, inventory
from tests.support.cluster.timeline import ready
from tests.support.cluster_project import TENANT_KEY, ClusterProject
from tests.support.kubernetes_api import Client, Object
from tests.support.served_stack import BGE, EMBED, LLAMA_8B, LLAMA_70B, SPACE, addresses, instances, pods


def test_three_models_come_up_where_they_belong_and_leave_nothing(
    project: ClusterProject, api: Client, until: Callable[..., None], before: set[Item]
) -> None:
    done = project.up()
    assert TENANT_KEY not in done.output
    for model, node_type, count in (("chat", "g6.xlarge", 2), ("large", "g6e.12xlarge", 1), ("embed", "", 1)):
        found = pods(api, model)
        assert len(found) == count, model
        assert all(map(ready, found)), model
        if node_type:
            assert instances(api, found) == [node_type] * count, model
        until(f"addresses of {model}", lambda model=model, count=count: len(addresses(api, model)) == count)
    until("addresses of the gateway", lambda: len(addresses(api, "gateway")) == 2)

    again = project.preview()
    assert again.operations() == {}

    project.destroy()
    until("nothing that was not there before", lambda: inventory(api) <= before)
    assert inventory(api) == before


def test_every_edit_of_the_file_does_what_it_says_and_nothing_else(
    project: ClusterProject, api: Client, until: Callable[..., None]
) -> None:
    project.up()
    kept = {item["metadata"]["uid"] for model in ("large", "embed") for item in pods(api, model)}

    # Resized: one more or less of what there is, no pod is touched.
    first = {item["metadata"]["uid"] for item in pods(api, "chat")}
    project.edit("chat", replicas=1)
    project.up()
    until("one pod", lambda: len(pods(api, "chat")) == 1)
    assert {item["metadata"]["uid"] for item in pods(api, "chat")} <= first

    # Another engine, and with it another image: the pods roll.
    project.edit("chat", engine="vllm")
    project.up()
    until("the end of the old pod", lambda: len(pods(api, "chat")) == 1)
    (upgraded,) = pods(api, "chat")
    assert upgraded["metadata"]["uid"] not in first
    assert "vllm" in upgraded["spec"]["containers"][0]["image"]

    # Another GPU type: another kind of node.
    project.edit("chat", gpu="h100")
    project.edit_nodes(huge={"gpu": "h100", "gpus": 8, "nodes": 2})
    project.up()
    until("a pod", lambda: len(pods(api, "chat")) == 1)
    assert instances(api, pods(api, "chat")) == ["p5.48xlarge"]

    # A model that is new, and one that goes.
    project.edit("search", **EMBED)
    project.remove("chat")
    project.up()
    until("no pod of the removed model", lambda: not pods(api, "chat"))
    assert api.find("v1", "Service", "chat", SPACE) is None
    assert len(pods(api, "search")) == 1
    assert {item["metadata"]["uid"] for model in ("large", "embed") for item in pods(api, model)} == kept


def test_a_new_revision_begins_with_the_replicas_that_the_scaler_made_and_beside_the_old_weights(
    project: ClusterProject, api: Client, until: Callable[..., None]
) -> None:
    project.edit("embed", rollout="blue_green", replicas={"min": 1, "max": 4})
    project.up()
    (first,) = deployments(api, "embed")
    assert first["spec"]["replicas"] == 1

    # As the scaler does on a busy day.
    api.patch("apps/v1", "Deployment", first["metadata"]["name"], {"spec": {"replicas": 3}}, SPACE)
    until("three pods", lambda: sum(map(ready, pods(api, "embed"))) == 3)
    assert project.preview().operations() == {}

    # Weights of another commit, which may take the room of those that neither it nor the replicas read.
    commit = f"{BGE.partition('@')[0]}@{'1' * 40}"
    project.edit("embed", source=commit)
    project.up()
    (second,) = deployments(api, "embed")
    assert second["metadata"]["name"] != first["metadata"]["name"]
    assert second["spec"]["replicas"] == 3
    jobs = {item["metadata"]["annotations"][SOURCE]: item for item in api.items("batch/v1", "Job", SPACE)}
    assert set(jobs) == {LLAMA_8B, LLAMA_70B, commit}
    args = jobs[commit]["spec"]["template"]["spec"]["containers"][0]["args"]
    assert {args[at + 1] for at, part in enumerate(args) if part == "--keep"} == {*jobs, BGE}
    assert project.preview().operations() == {}


def deployments(api: Client, model: str) -> list[Object]:
    return api.items("apps/v1", "Deployment", SPACE, labels=f"berth.dev/model={model}")
