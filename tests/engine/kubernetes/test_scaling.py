"""Replicas follow their signals through the real HPA: from zero and back, by the clock, and not at all when blind."""

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from infra.components.kubernetes.scaling import Target, scaled_object
from infra.components.kubernetes.scaling_args import ServerScaling
from tests.fakes.keda import Keda, Script
from tests.support.cluster import Behaviour, Cluster, Timeline
from tests.support.cluster.program import Program
from tests.support.cluster.workloads import deployment, pod_spec
from tests.support.kubernetes_api import Client
from tests.support.model_servers import arguments, gpu
from tests.support.server_program import pods, simulated, text

Until = Callable[..., None]
QUICK = Behaviour(load=0.2)
SYNC_SECONDS = 2.0
"""Between two looks of the tests' HPA controller."""
IN_FLIGHT, QUEUE = 10, 4
BLIND_SECONDS = 6 * SYNC_SECONDS
"""More looks than the three that may fail before the fallback's number counts."""


def quick(**more: Any) -> ServerScaling:
    """For 0 to 6 replicas, everything as fast as the API allows."""
    args: dict[str, Any] = {
        "min": 0,
        "max": 6,
        "in_flight": IN_FLIGHT,
        "queue": QUEUE,
        "cooldown_seconds": 2,
        "stabilization_seconds": 2,
        "up_period_seconds": 1,
        "down_period_seconds": 1,
        "polling_seconds": 1,
    }
    return ServerScaling(**{**args, **more})  # type: ignore[typeddict-item]


class Clock:
    """Stands still until a test moves it."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def script() -> Script:
    """All is quiet."""
    return Script({"demand": 0.0, "queue": 0.0, "activity": 0.0})


@pytest.fixture
def clock() -> Clock:
    """A Monday in winter, a minute before the day begins in Berlin."""
    return Clock(datetime(2027, 1, 11, 7, 59, tzinfo=ZoneInfo("Europe/Berlin")))


@pytest.fixture
def keda(cluster: Cluster, namespace: str, script: Script, clock: Clock) -> Iterator[Keda]:
    """It ends before the namespace does: in one that goes, an autoscaler cannot be made any more."""
    with Keda(cluster, script, clock) as running:
        yield running


@pytest.fixture
def scaled(api: Client, namespace: str, until: Until) -> Callable[[ServerScaling], Callable[[], int]]:
    """Makes a workload with a scaler; what it returns tells how many replicas are wanted."""

    def make(scaling: ServerScaling) -> Callable[[], int]:
        api.create(deployment("chat", namespace, scaling["min"], pod_spec(), QUICK))
        api.create(scaled_object("chat", namespace, {}, Target("chat"), "chat", "tgi_queue_size", scaling))
        until("the autoscaler", lambda: api.items("autoscaling/v2", "HorizontalPodAutoscaler", namespace))
        return lambda: wanted(api, namespace)

    return make


def wanted(api: Client, namespace: str) -> int:
    return int(api.get("apps/v1", "Deployment", "chat", namespace)["spec"]["replicas"])


def holds(count: Callable[[], int], expected: int, seconds: float) -> None:
    """For a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert count() == expected
        time.sleep(0.1)


def test_replicas_follow_the_demand_from_zero_to_six_to_two_to_zero(
    program: Program, api: Client, script: Script, keda: Keda, until: Until
) -> None:
    space = "follows"
    chat = arguments(gpu=gpu("h100", 1, "NVIDIA-H100-80GB-HBM3"), replicas={"min": 0, "max": 6}, scaling=quick())

    def serving(count: int) -> None:
        until(f"{count} ready replicas", lambda: len(pods(api, space, "chat")) == count)

    program.write(text(space, {"chat": simulated(chat, QUICK, space)}))
    program.up()
    with Timeline(api, "apps/v1", "Deployment", space) as seen:
        holds(lambda: wanted(api, space), 0, 3)
        script.values["demand"] = 3.0  # held at the gateway
        serving(1)
        script.values["demand"] = 60.0
        serving(6)

        # Meanwhile: the same again, and a change that replaces all pods.
        assert program.preview("--expect-no-changes").operations() == {}
        assert program.up().counts().keys() == {"same"}
        assert wanted(api, space) == 6
        chat["options"] = {"enforce-eager": "true"}
        program.write(text(space, {"chat": simulated(chat, QUICK, space)}))
        assert set(program.up().operations().values()) == {"update"}
        assert wanted(api, space) == 6
        serving(6)

        script.values["demand"] = 15.0
        serving(2)
        holds(lambda: wanted(api, space), 2, 2 * SYNC_SECONDS)
        script.values |= {"demand": 0.0, "activity": 1.0}  # requests too short to be seen in flight
        serving(1)
        holds(lambda: wanted(api, space), 1, 3)
        script.values["activity"] = 0.0
        serving(0)
        holds(lambda: wanted(api, space), 0, 3)
    steps = [moment.item["spec"]["replicas"] for moment in seen.moments]
    top = steps.index(6)
    assert steps[:top] == sorted(steps[:top]), "on the way up it never goes down"
    assert steps[top:] == sorted(steps[top:], reverse=True), "on the way down it never goes up"
    program.destroy()


@pytest.mark.usefixtures("keda")
def test_a_lost_signal_holds_the_scale(
    script: Script, scaled: Callable[[ServerScaling], Callable[[], int]], until: Until
) -> None:
    script.values["demand"] = None
    count = scaled(quick())
    holds(count, 0, 3)  # nothing is known, so nothing is started
    script.values["demand"] = 30.0
    until("three replicas", lambda: count() == 3)

    script.values["demand"] = None
    holds(count, 3, BLIND_SECONDS)
    script.values["queue"] = 5.0 * QUEUE  # what is still seen can ask for more
    until("five replicas", lambda: count() == 5)
    script.values["queue"] = 0.0
    holds(count, 5, BLIND_SECONDS)
    script.values |= {"queue": None, "activity": None}
    holds(count, 5, BLIND_SECONDS)

    script.values = {"demand": 0.0, "queue": 0.0, "activity": 0.0}
    until("no replica", lambda: count() == 0)


@pytest.mark.usefixtures("keda")
def test_hours_have_a_floor(
    script: Script, clock: Clock, scaled: Callable[[ServerScaling], Callable[[], int]], until: Until
) -> None:
    days = {"start": "0 8 * * 1-5", "end": "0 20 * * 1-5", "timezone": "Europe/Berlin", "replicas": 3}
    count = scaled(quick(floors=[days]))
    holds(count, 0, 2)
    clock.now += timedelta(minutes=1, seconds=1)
    until("the floor", lambda: count() == 3)
    script.values["demand"] = 4.0 * IN_FLIGHT
    until("more than the floor", lambda: count() == 4)
    script.values["demand"] = 0.0
    until("the floor", lambda: count() == 3)
    holds(count, 3, 3 * SYNC_SECONDS)
    clock.now = clock.now.replace(hour=20, minute=1)
    until("none in the evening", lambda: count() == 0)
    clock.now += timedelta(days=5, hours=-8)  # Saturday at noon
    holds(count, 0, 2)
