"""The ScaledObject of a model: what holds for every one, and what is refused."""

from typing import Any

import pytest

from infra.components.kubernetes.arguments import ArgumentsError
from infra.components.kubernetes.scaling import Target, scaled_object
from infra.components.kubernetes.scaling_args import ServerScaling

FLOOR = {"start": "0 8 * * 1-5", "end": "0 20 * * 1-5", "timezone": "Europe/Berlin", "replicas": 3}


def spec(**more: Any) -> dict[str, Any]:
    args: dict[str, Any] = {"min": 1, "max": 6, "in_flight": 12.5, **more}
    made = scaled_object("chat", "llm", {}, Target("chat"), "chat", "tgi_queue_size", ServerScaling(**args))  # type: ignore[typeddict-item]
    return dict(made["spec"])


@pytest.mark.parametrize("least", [0, 1, 4])
def test_lost_signals_never_take_a_replica_away(least: int) -> None:
    made = spec(min=least, queue=4)
    assert made["fallback"]["behavior"] == "currentReplicasIfHigher"
    assert made["fallback"]["replicas"] == max(least, 1), "0 would let an error stop the last replica"
    assert {trigger["metadata"]["ignoreNullValues"] for trigger in made["triggers"]} == {"false"}


def test_demand_at_the_gateway_comes_first() -> None:
    assert [trigger["name"] for trigger in spec()["triggers"]] == ["demand"]
    assert [trigger["name"] for trigger in spec(min=0, queue=4, floors=[FLOOR])["triggers"]] == [
        "demand",
        "queue",
        "activity",
        "floor-0",
    ]


def test_numbers_are_spelled_as_keda_reads_them() -> None:
    """Go's integers refuse a point."""
    made = spec(min=0, max=6, in_flight=12.5, queue=4, cooldown_seconds=90, floors=[{**FLOOR, "replicas": 3}])
    thresholds = [trigger["metadata"].get("threshold") for trigger in made["triggers"]]
    assert thresholds == ["12.5", "4", "1000000", None]
    assert made["triggers"][3]["metadata"]["desiredReplicas"] == "3"
    for key in ("minReplicaCount", "maxReplicaCount", "pollingInterval", "cooldownPeriod"):
        assert type(made[key]) is int


def test_replicas_come_at_once_and_go_one_by_one() -> None:
    behavior = spec(stabilization_seconds=420)["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert behavior["scaleUp"]["stabilizationWindowSeconds"] == 0
    assert behavior["scaleDown"]["stabilizationWindowSeconds"] == 420
    assert behavior["scaleDown"]["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 60}]


def test_another_prometheus_with_labels_of_its_own() -> None:
    trigger = spec(prometheus="http://thanos.example:9090", matchers={"namespace": "llm"})["triggers"][0]
    assert trigger["metadata"]["serverAddress"] == "http://thanos.example:9090"
    assert trigger["metadata"]["query"].count('namespace="llm"') == 3
    assert spec()["triggers"][0]["metadata"]["serverAddress"] == "http://prometheus.llm.svc.cluster.local:9090"


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"min": 3, "max": 3}, "min is 3 and max 3; give 0 <= min < max, or no scaler for a fixed number"),
        ({"min": -1}, "min is -1 and max 6"),
        ({"in_flight": 0}, "in_flight is 0; it must be more than 0"),
        ({"queue": -2}, "queue is -2; it must be more than 0"),
        ({"blind_replicas": 0}, "blind_replicas is 0; it must be from 1 to max, 6"),
        ({"stabilization_seconds": 7200}, "stabilization_seconds is 7200; Kubernetes takes 0 to 3600"),
        ({"up_period_seconds": 0}, "up_period_seconds is 0; Kubernetes takes 1 to 1800"),
        ({"floors": [{**FLOOR, "replicas": 9}]}, "a floor has 9 replicas; it must be between min and max"),
        ({"floors": [{**FLOOR, "end": FLOOR["start"]}]}, "a floor starts and ends at '0 8 * * 1-5'; give two times"),
    ],
)
def test_arguments_without_sense_are_refused(more: dict[str, Any], text: str) -> None:
    with pytest.raises(ArgumentsError) as caught:
        spec(**more)
    assert str(caught.value).startswith(f"scaler chat: {text}")


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(ArgumentsError) as caught:
        spec(min=7, in_flight=0, queue=0)
    assert len(str(caught.value).splitlines()) == 3
