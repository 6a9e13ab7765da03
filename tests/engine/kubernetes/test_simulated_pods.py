"""The life of simulated pods: load, failure, drain, rollout, eviction; and what a cloud would add to objects."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.cluster import Behaviour, Cluster, Timeline
from tests.support.cluster.timeline import ready
from tests.support.cluster.workloads import deployment, pod, pod_spec, service
from tests.support.kubernetes_api import ApiError, Client, Object

Until = Callable[..., None]


def pods(api: Client, namespace: str, app: str = "engine") -> list[Object]:
    return api.items("v1", "Pod", namespace, labels=f"app={app}")


def all_ready(api: Client, namespace: str, count: int) -> Callable[[], bool]:
    def check() -> bool:
        return sum(ready(item) for item in pods(api, namespace)) == count

    return check


def test_pods_live_as_their_annotations_say(api: Client, namespace: str, until: Until) -> None:
    lives = {
        "loads": (pod_spec(initContainers=[{"name": "fetch", "image": "x"}]), Behaviour(init=0.2, load=0.5)),
        "unready": (pod_spec(), Behaviour(unready=True)),
        "loops": (pod_spec(), Behaviour(crash=0.2)),
        "fails": (pod_spec(restartPolicy="Never"), Behaviour(crash=0.2)),
        "unpulled": (pod_spec(), Behaviour(pull_error="registry.invalid: not found")),
    }
    for name, (spec, behaviour) in lives.items():
        api.create(pod(name, namespace, spec, behaviour))

    def states() -> dict[str, str]:
        return {item["metadata"]["name"]: _state(item) for item in api.items("v1", "Pod", namespace)}

    wanted = {
        "loads": "ready",
        "unready": "Running",
        "loops": "CrashLoopBackOff back-off 10s restarting failed container",
        "fails": "Failed",
        "unpulled": "ImagePullBackOff registry.invalid: not found",
    }
    until("these states", lambda: states() == wanted)
    until("an event of the crash", lambda: [e["reason"] for e in api.events(namespace, "loops")][-1:] == ["BackOff"])


def _state(item: Object) -> str:
    if ready(item):
        return "ready"
    status = item.get("status", {})
    waiting = [found["state"].get("waiting") for found in status.get("containerStatuses", ()) if found["state"]]
    if waiting and waiting[0] and "message" in waiting[0]:
        return f"{waiting[0]['reason']} {waiting[0]['message']}"
    return str(status.get("phase"))


def test_drain_is_capped_by_the_grace_period(api: Client, namespace: str, until: Until) -> None:
    api.create(pod("engine", namespace, pod_spec(terminationGracePeriodSeconds=2), Behaviour(stop=60)))
    until("a ready pod", all_ready(api, namespace, 1))
    started = time.monotonic()
    api.delete("v1", "Pod", "engine", namespace)
    until("its end", lambda: not pods(api, namespace))
    assert 1.9 < time.monotonic() - started < 30


def test_job_load_balancer_volume_and_ingress_get_what_a_cloud_gives(api: Client, namespace: str, until: Until) -> None:
    api.create(
        {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "fast"}, "provisioner": "x"}
    )
    claim = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": "fast",
    }
    path = {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "engine", "port": {"number": 80}}}}
    job = {"template": {"spec": pod_spec(restartPolicy="Never")}}
    made = [
        ("batch/v1", "Job", job),
        ("v1", "PersistentVolumeClaim", claim),
        ("networking.k8s.io/v1", "Ingress", {"rules": [{"http": {"paths": [path]}}]}),
    ]
    for version, kind, spec in made:
        metadata = {"name": "engine", "namespace": namespace}
        api.create({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec})
    api.create(service("engine", namespace, type="LoadBalancer"))

    def status(version: str, kind: str) -> Object:
        return dict(api.get(version, kind, "engine", namespace).get("status", {}))

    def host(version: str, kind: str) -> Any:
        return [entry["hostname"] for entry in status(version, kind).get("loadBalancer", {}).get("ingress", ())]

    until("a complete Job", lambda: status("batch/v1", "Job").get("succeeded") == 1)
    until("a bound claim", lambda: status("v1", "PersistentVolumeClaim").get("phase") == "Bound")
    until("a host name", lambda: host("v1", "Service") == [f"engine-{namespace}.elb.test.invalid"])
    until("another", lambda: host("networking.k8s.io/v1", "Ingress") == [f"engine-{namespace}.alb.test.invalid"])
    api.delete("v1", "PersistentVolumeClaim", "engine", namespace)
    api.delete("storage.k8s.io/v1", "StorageClass", "fast")
    until("no volume", lambda: not api.items("v1", "PersistentVolume"))


def test_rolling_update_keeps_as_many_ready_as_promised(api: Client, namespace: str, until: Until) -> None:
    strategy = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    wanted = deployment("engine", namespace, 3, pod_spec(), Behaviour(load=0.5), strategy=strategy)
    api.apply(wanted)
    until("ready pods", all_ready(api, namespace, 3))
    with Timeline(api, "v1", "Pod", namespace) as timeline:
        wanted["spec"]["template"]["spec"]["containers"][0]["image"] = "engine:2"
        api.apply(wanted)

        def rolled() -> bool:
            found = pods(api, namespace)
            images = {item["spec"]["containers"][0]["image"] for item in found}
            return len(found) == 3 and images == {"engine:2"} and all(map(ready, found))

        until("the new pods", rolled)
    assert min(timeline.counts(ready)[2:]) == 3
    assert max(timeline.counts(ready)) <= 4


def test_eviction_heeds_the_disruption_budget(cluster: Cluster, api: Client, namespace: str, until: Until) -> None:
    budget = {"minAvailable": 2, "selector": {"matchLabels": {"app": "engine"}}}
    metadata = {"name": "engine", "namespace": namespace}
    api.create({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": budget})
    api.create(deployment("engine", namespace, 3, pod_spec()))
    until("a budget of one", lambda: _allowed(api, namespace) == 1)
    first, second = (item["metadata"]["name"] for item in pods(api, namespace)[:2])
    with cluster.cordoned():
        api.evict(first, namespace)
        with pytest.raises(ApiError) as caught:
            api.evict(second, namespace)
    assert caught.value.code == 429


def _allowed(api: Client, namespace: str) -> int:
    found = api.get("policy/v1", "PodDisruptionBudget", "engine", namespace)
    return int(found.get("status", {}).get("disruptionsAllowed", 0))
