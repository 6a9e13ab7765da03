"""Rollouts as the API server tells them: never fewer ready than promised, never more GPUs; failures spare old pods."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from infra.components.kubernetes.rollout import Rollout
from infra.components.kubernetes.server_args import ModelServerArgs
from serving import engines
from tests.support.cluster import Behaviour, Timeline
from tests.support.cluster.program import Program
from tests.support.cluster.timeline import ready
from tests.support.kubernetes_api import Client, Object
from tests.support.model_servers import arguments, encoder, gpu
from tests.support.server_program import addresses, contents, gpus, pods, simulated, text

Until = Callable[..., None]
REPLICAS = 3
LIFE = Behaviour(load=0.4, stop=1.2)
"""Draining takes longer than loading: a pod that ends still holds its GPU while the next one wants it."""
SLICE = "discovery.k8s.io/v1", "EndpointSlice"


def model(space: str, rollout: str, life: Behaviour = LIFE, **changes: Any) -> ModelServerArgs:
    """Three copies on the H100s, of which there are sixteen."""
    fields = {
        "rollout": rollout,
        "gpu": gpu("h100", 1, "NVIDIA-H100-80GB-HBM3"),
        "replicas": {"min": REPLICAS, "max": REPLICAS},
    }
    return simulated(arguments(**{**fields, **changes}), life, space)


def holds(pod: Object) -> bool:
    return gpus(pod) == 1


def over_time(slices: Timeline) -> Iterator[set[str]]:
    """Ready addresses behind the Service, after each change of its slices."""
    now: dict[str, Object] = {}
    for moment in slices.moments:
        uid = moment.item["metadata"]["uid"]
        now[uid] = {} if moment.change == "DELETED" else moment.item
        yield {
            address
            for item in now.values()
            for endpoint in item.get("endpoints") or ()
            if endpoint["conditions"].get("ready")
            for address in endpoint["addresses"]
        }


def all_served(api: Client, space: str) -> bool:
    """The Service's addresses are those of all ready pods: its controller follows them a moment later."""
    found = {item["status"]["podIP"] for item in pods(api, space, "chat")}
    return len(found) == REPLICAS and addresses(api, space, "chat") == found


@pytest.mark.parametrize("rollout", [*Rollout])
def test_a_rollout_keeps_its_promise(program: Program, api: Client, until: Until, rollout: Rollout) -> None:
    space = f"promise-{rollout}".replace("_", "-")
    most = rollout.most(REPLICAS)
    program.write(text(space, {"chat": model(space, str(rollout))}, gpus=most))
    program.up()
    until("all addresses", lambda: all_served(api, space))
    old = contents(pods(api, space, "chat"))

    changed = model(space, str(rollout), options={"enforce-eager": "true"})
    program.write(text(space, {"chat": changed}, gpus=most))
    with Timeline(api, "v1", "Pod", space) as seen, Timeline(api, *SLICE, space) as slices:
        program.up()
    new = pods(api, space, "chat")
    assert len(new) == REPLICAS
    assert contents(new).isdisjoint(old)
    assert min(seen.counts(ready)[REPLICAS - 1 :]) == rollout.least(REPLICAS)
    assert max(seen.counts(holds)) == most
    assert min(map(len, over_time(slices))) >= rollout.least(REPLICAS)
    until("all addresses", lambda: addresses(api, space, "chat") == {item["status"]["podIP"] for item in new})
    assert program.preview("--expect-no-changes").operations() == {}
    program.destroy()


def test_requests_change_over_at_once_and_before_an_old_pod_ends(program: Program, api: Client, until: Until) -> None:
    space = "switch"
    program.write(text(space, {"chat": model(space, "blue_green")}))
    program.up()
    until("all addresses", lambda: all_served(api, space))
    before = addresses(api, space, "chat")
    program.write(text(space, {"chat": model(space, "blue_green", options={"enforce-eager": "true"})}))
    with Timeline(api, "v1", "Pod", space) as seen, Timeline(api, *SLICE, space) as slices:
        assert sorted(program.up().operations().values()) == ["create", "delete", "update"]
    after = addresses(api, space, "chat")
    stages = [found for found, following in pairwise([*over_time(slices), set()]) if found != following]
    assert stages == [before, after], "all old ones, then all new ones, and nothing between"
    switched = next(
        moment.at for moment, found in zip(slices.moments, over_time(slices), strict=True) if found == after
    )
    ended = [moment.at for moment in seen.moments if "deletionTimestamp" in moment.item["metadata"]]
    assert switched < min(ended) + 0.5, "the watches are two, so their order is known to a moment only"
    program.destroy()


@pytest.mark.parametrize("rollout", [*Rollout])
def test_old_pods_serve_on_when_new_ones_fail_and_going_back_is_easy(
    program: Program, api: Client, rollout: Rollout
) -> None:
    space = f"failure-{rollout}".replace("_", "-")
    good = text(space, {"chat": model(space, str(rollout))})
    program.write(good)
    program.up()
    before = {item["metadata"]["name"] for item in pods(api, space, "chat")}

    broken = Behaviour(pull_error="registry.test: no such image", stop=0.2)
    program.write(text(space, {"chat": model(space, str(rollout), broken)}, patience="8s"))
    failed = program.try_up()
    assert failed.status != 0
    assert "registry.test: no such image" in failed.output
    served = {item["metadata"]["name"] for item in pods(api, space, "chat")}
    assert served <= before
    assert len(served) == rollout.least(REPLICAS)
    assert len(addresses(api, space, "chat")) == rollout.least(REPLICAS)

    program.write(good)
    program.up()
    back = {item["metadata"]["name"] for item in pods(api, space, "chat")}
    assert len(back) == REPLICAS
    assert served <= back, "those that served were not touched"
    assert program.preview("--expect-no-changes").operations() == {}
    program.destroy()


def test_another_kind_of_rollout_costs_no_replica(program: Program, api: Client) -> None:
    space = "change-of-mind"
    program.write(text(space, {"chat": model(space, "surge")}))
    program.up()
    for rollout in ("blue_green", "surge", "in_place"):
        program.write(text(space, {"chat": model(space, rollout)}))
        with Timeline(api, "v1", "Pod", space) as seen:
            program.up()
        assert min(seen.counts(ready)[REPLICAS - 1 :]) == REPLICAS
        assert len(pods(api, space, "chat")) == REPLICAS
    program.destroy()


def test_replicas_are_left_to_the_scaler_and_taken_back_from_it(program: Program, api: Client, until: Until) -> None:
    """The scaler is a HorizontalPodAutoscaler such as KEDA makes; its least number is all that it follows here."""
    space = "scaler"
    between = {"min": 1, "max": 6}
    args = model(space, "surge", replicas=between, scaling={**between, "in_flight": 48})
    program.write(text(space, {"chat": args}))
    program.up()

    def replicas() -> int:
        return int(api.get("apps/v1", "Deployment", "chat", space)["spec"]["replicas"])

    assert replicas() == 1
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "chat"}
    autoscaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "chat", "namespace": space},
        "spec": {"scaleTargetRef": target, "minReplicas": 4, "maxReplicas": 6},
    }
    api.create(autoscaler)
    until("four replicas", lambda: len(pods(api, space, "chat")) == 4)
    assert program.preview("--expect-no-changes").operations() == {}
    program.write(text(space, {"chat": {**args, "options": {"enforce-eager": "true"}}}))
    with Timeline(api, "v1", "Pod", space) as seen:
        program.up()
    assert min(seen.counts(ready)[3:]) == 4
    assert replicas() == 4

    api.delete("autoscaling/v2", "HorizontalPodAutoscaler", "chat", space)
    program.write(text(space, {"chat": model(space, "surge")}))
    program.up()
    assert replicas() == REPLICAS
    assert not api.items("keda.sh/v1alpha1", "ScaledObject", space)
    program.destroy()


def test_a_drain_is_what_the_adapter_promises(program: Program, api: Client, until: Until) -> None:
    """From the API's times: out of discovery at once, a grace period as asked, gone when the engine has ended."""
    space, stop = "drain", 3.0
    drain = engines.engine("local").drain
    before = encoder(engine="local", replicas={"min": 1, "max": 1})
    after = encoder(engine="local", replicas={"min": 1, "max": 1}, memory_bytes=5 * 2**30)
    life = Behaviour(load=0.2, stop=stop)
    program.write(text(space, {"embed": simulated(before, life, space)}))
    program.up()
    (old,) = pods(api, space, "embed")
    address = old["status"]["podIP"]
    program.write(text(space, {"embed": simulated(after, life, space)}))
    with Timeline(api, "v1", "Pod", space) as seen, Timeline(api, *SLICE, space) as slices:
        program.up()
        until("the end of the old pod", lambda: not api.find("v1", "Pod", old["metadata"]["name"], space))
    mine = [moment for moment in seen.moments if moment.item["metadata"]["uid"] == old["metadata"]["uid"]]
    ending = next(moment for moment in mine if "deletionTimestamp" in moment.item["metadata"])
    gone = next(moment for moment in mine if moment.change == "DELETED")
    left = next(
        moment.at for moment, found in zip(slices.moments, over_time(slices), strict=True) if address not in found
    )
    assert ending.item["metadata"]["deletionGracePeriodSeconds"] == drain.grace_seconds
    assert old["spec"]["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"] == drain.prestop_seconds
    assert left - ending.at < drain.prestop_seconds, "routers hear of it before the engine does"
    assert stop <= gone.at - ending.at + 0.5 < drain.grace_seconds
    program.destroy()
