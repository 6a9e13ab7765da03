"""A stack of Kubernetes objects under the real engine, from its first `up` to its end, through mistakes and faults."""

import time
from collections.abc import Callable

from tests.support.cluster import Behaviour, Cluster, Item, Timeline, inventory
from tests.support.cluster.program import Placed, Program
from tests.support.cluster.timeline import ready
from tests.support.cluster.workloads import AT_ONCE, deployment, pod_spec, service
from tests.support.kubernetes_api import Client, Object

Until = Callable[..., None]


def stack(namespace: str, image: str = "engine:1", behaviour: Behaviour = AT_ONCE, patience: str = "60s") -> str:
    """Namespace, settings, Deployment, Service, budget and a scaler, with the typed SDK."""
    return f"""
    behaviour = {behaviour.annotations()!r}
    space = k8s.core.v1.Namespace("space", metadata={{"name": {namespace!r}}}, opts=on_cluster)
    inside = ResourceOptions(provider=cluster, depends_on=[space])
    patient = ResourceOptions(custom_timeouts=CustomTimeouts(create="60s", update={patience!r}))
    settings = k8s.core.v1.ConfigMap(
        "settings", metadata={{"namespace": {namespace!r}}}, data={{"image": {image!r}}}, opts=inside
    )
    labels = {{"app": "engine"}}
    engine = k8s.apps.v1.Deployment(
        "engine",
        metadata={{"name": "engine", "namespace": {namespace!r}}},
        spec={{
            "replicas": 3,
            "strategy": {{"rolling_update": {{"max_surge": 1, "max_unavailable": 0}}}},
            "selector": {{"match_labels": labels}},
            "template": {{
                "metadata": {{"labels": labels, "annotations": behaviour}},
                "spec": {{
                    "tolerations": [{{"key": "nvidia.com/gpu", "operator": "Exists"}}],
                    "containers": [
                        {{
                            "name": "engine",
                            "image": {image!r},
                            "resources": {{"limits": {{"nvidia.com/gpu": "1", "cpu": "2000m"}}}},
                            "env": [{{"name": "SETTINGS", "value": settings.metadata["name"]}}],
                        }}
                    ],
                }},
            }},
        }},
        opts=ResourceOptions.merge(inside, patient),
    )
    service = k8s.core.v1.Service(
        "engine-service",
        metadata={{"name": "engine", "namespace": {namespace!r}}},
        spec={{"selector": labels, "ports": [{{"port": 80}}]}},
        opts=inside,
    )
    budget = k8s.policy.v1.PodDisruptionBudget(
        "budget",
        metadata={{"name": "engine", "namespace": {namespace!r}}},
        spec={{"min_available": 2, "selector": {{"match_labels": labels}}}},
        opts=inside,
    )
    scaler = k8s.apiextensions.CustomResource(
        "scaler",
        api_version="keda.sh/v1alpha1",
        kind="ScaledObject",
        metadata={{"name": "engine", "namespace": {namespace!r}}},
        spec={{"scaleTargetRef": {{"name": "engine"}}, "triggers": [{{"type": "cron", "metadata": {{}}}}]}},
        opts=inside,
    )
    pulumi.export("replicas", engine.status.available_replicas)
    """


def images(api: Client, namespace: str) -> list[str]:
    """Of the pods that are ready."""
    found = [item for item in api.items("v1", "Pod", namespace) if ready(item)]
    return sorted(item["spec"]["containers"][0]["image"] for item in found)


def names(api: Client, kind: str, namespace: str, prefix: str) -> list[str]:
    found = [item["metadata"]["name"] for item in api.items("v1", kind, namespace)]
    return sorted(name for name in found if name.startswith(prefix))


def test_a_stack_comes_up_changes_fails_recovers_and_leaves_nothing(
    program: Program, api: Client, until: Until, before: set[Item]
) -> None:
    space = "whole-life"

    program.write(stack(space))
    first = program.preview()
    assert first.counts()["create"] == 8
    assert not api.find("v1", "Namespace", space), "a preview makes nothing"
    program.up()
    assert images(api, space) == ["engine:1"] * 3
    assert program.state()["engine"]["outputs"]["status"]["availableReplicas"] == 3
    again = program.preview("--expect-no-changes")
    assert again.operations() == {}

    program.write(stack(space, "engine:2", Behaviour(load=0.3)))
    old_settings = names(api, "ConfigMap", space, "settings-")
    with Timeline(api, "v1", "Pod", space) as timeline:
        changed = program.up()
    assert changed.operations() == {"settings": "delete-replaced", "engine": "update"}
    assert min(timeline.counts(ready)[2:]) == 3
    assert images(api, space) == ["engine:2"] * 3
    new_settings = names(api, "ConfigMap", space, "settings-")
    assert len(new_settings) == 1
    assert new_settings != old_settings

    program.write(stack(space, "engine:bad", Behaviour(pull_error="registry.invalid: not found"), "10s"))
    failed = program.try_up()
    assert failed.status != 0
    assert images(api, space) == ["engine:2"] * 3, "the old pods go on serving"
    (bad,) = [item for item in api.items("v1", "Pod", space) if not ready(item)]
    told = failed.output
    assert "\"whole-life/engine\" failed to fully initialize or become live: 'engine' timed out waiting" in told
    assert f"[Pod {space}/{bad['metadata']['name']}]: containers with unready status: [engine]" in told
    assert "[ImagePullBackOff] registry.invalid: not found" in told
    assert "event Failed (x1): Error: ImagePullBackOff" in told
    kept = program.state()["engine"]
    assert len(kept["initErrors"]) >= 3
    assert kept["outputs"]["spec"]["template"]["spec"]["containers"][0]["image"] == "engine:bad"

    program.write(stack(space, "engine:3"))
    assert program.up().operations()["engine"] == "update"
    assert images(api, space) == ["engine:3"] * 3
    assert "initErrors" not in program.state()["engine"]

    program.destroy()
    until("the end of its pods", lambda: inventory(api) - before == set())
    assert inventory(api) == before


def small(space: str) -> tuple[Object | Placed, ...]:
    """A namespace, a Deployment whose pods take a while to load, and its Service."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}}
    engine = deployment("engine", space, 3, pod_spec(), Behaviour(load=8))
    return namespace, Placed(engine, after=(space,)), Placed(service("engine", space), "service", after=(space,))


def uids(api: Client, space: str) -> set[str]:
    return {item["metadata"]["uid"] for item in api.items("v1", "Pod", space)}


def test_api_server_killed_in_the_middle_of_up(program: Program, cluster: Cluster, until: Until) -> None:
    program.place(*small("killed-server"))
    under_way = program.start_up()
    until("pods that load", lambda: len(uids(cluster.api, "killed-server")) == 3)
    cluster.kill_api_server()
    time.sleep(1)
    cluster.start_api_server()
    first = program.finish(under_way)
    before = uids(cluster.api, "killed-server")
    second = program.up()
    assert set(second.operations().values()) <= {"create", "update"}, first.output + second.output
    assert images(cluster.api, "killed-server") == ["engine:1"] * 3
    assert uids(cluster.api, "killed-server") == before, "nothing is replaced"
    program.destroy()


def test_up_killed_in_the_middle(program: Program, api: Client, until: Until) -> None:
    program.place(*small("killed-up"))
    under_way = program.start_up()
    until("pods", lambda: len(uids(api, "killed-up")) == 3)
    under_way.kill()
    program.finish(under_way)
    assert program.pulumi("cancel", "--yes").status == 0

    second = program.try_up()
    # The engine kept no id of what was being made, and a creation does not take over what is there.
    assert second.status != 0
    assert 'deployments.apps "engine" already exists' in second.output

    program.place(*small("killed-up"), provider={"upsertExistingObjects": "true"})
    before = uids(api, "killed-up")
    third = program.up()
    assert set(third.operations().values()) <= {"create", "update"}
    assert uids(api, "killed-up") == before
    assert program.destroy().counts()["delete"] == 5
    assert api.find("v1", "Namespace", "killed-up") is None
