"""Faults while a whole stack comes up, and under one that is up: a second `up` converges and replaces nothing."""

import time
from collections.abc import Callable

import pytest

from infra.tasks.engine import clear_dead_locks
from tests.support.cluster import Cluster
from tests.support.cluster.timeline import ready
from tests.support.cluster_project import STACK, ClusterProject
from tests.support.kubernetes_api import ApiError, Client
from tests.support.served_stack import MODELS, SPACE, addresses, pods

Until = Callable[..., None]
REPLACING = {"replace", "create-replacement", "delete-replaced"}


def uids(api: Client) -> set[str]:
    return {item["metadata"]["uid"] for model in MODELS for item in pods(api, model)}


def allowed(api: Client) -> int:
    """Pods of chat that may be evicted now."""
    budget = api.get("policy/v1", "PodDisruptionBudget", "chat", SPACE)
    return int(budget.get("status", {}).get("disruptionsAllowed", 0))


def converges(project: ClusterProject, api: Client, until: Until) -> None:
    """The next `up` ends well, touches no pod that is there, and leaves nothing to do."""
    before = uids(api)
    done = project.up()
    assert not REPLACING & set(done.operations().values()), done.output
    assert before <= uids(api)
    for model, count in (("chat", 2), ("large", 1), ("embed", 1)):
        until(f"addresses of {model}", lambda model=model, count=count: len(addresses(api, model)) == count)
    assert project.preview().operations() == {}


def test_up_killed_in_the_middle(project: ClusterProject, api: Client, until: Until) -> None:
    under_way = project.start_up()
    until("pods", lambda: bool(uids(api)), 90)
    under_way.kill()
    project.finish(under_way)
    clear_dead_locks(project.session, STACK)
    converges(project, api, until)


def test_api_server_killed_in_the_middle_of_up(
    project: ClusterProject, cluster: Cluster, api: Client, until: Until
) -> None:
    under_way = project.start_up()
    until("pods", lambda: bool(uids(api)), 90)
    cluster.kill_api_server()
    time.sleep(2)
    cluster.start_api_server()
    project.finish(under_way)
    converges(project, api, until)


def test_a_dead_node_and_evictions_leave_a_replica_serving(
    project: ClusterProject, cluster: Cluster, api: Client, until: Until
) -> None:
    project.up()
    until("two addresses", lambda: len(addresses(api, "chat")) == 2)
    until("a budget of one", lambda: allowed(api) == 1)

    # A drain of one node: the budget lets one pod go, and the second one only when the first is back.
    first, second = (item["metadata"]["name"] for item in pods(api, "chat"))
    node = next(item["spec"]["nodeName"] for item in pods(api, "chat") if item["metadata"]["name"] == first)
    api.patch("v1", "Node", node, {"spec": {"unschedulable": True}})
    api.evict(first, SPACE)
    with pytest.raises(ApiError) as refused:
        api.evict(second, SPACE)
    assert refused.value.code == 429
    assert len(addresses(api, "chat")) >= 1
    api.patch("v1", "Node", node, {"spec": {"unschedulable": None}})
    until("two ready pods", lambda: sum(map(ready, pods(api, "chat"))) == 2)

    # A kubelet that dies takes its pod out of the Service, and nothing else.
    dead = pods(api, "chat")[0]["spec"]["nodeName"]
    cluster.fail_node(dead)
    until("one address", lambda: len(addresses(api, "chat")) == 1)
    cluster.heal_node(dead)
    until("two addresses", lambda: len(addresses(api, "chat")) == 2)
    converges(project, api, until)
