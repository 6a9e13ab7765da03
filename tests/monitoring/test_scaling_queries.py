"""The signals that replicas follow, run by Prometheus' own engine over recorded series of every kind of trouble."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.components.kubernetes import scaling_queries
from infra.toolchain import ensure

SCRAPE_SECONDS = 15
STEPS = 20
"""Scrapes in each phase of a record: five minutes, after which Prometheus itself forgets."""
NOTHING: list[dict[str, Any]] = []
"""The empty answer."""
Phase = int | str
"""A value for all scrapes of a phase, "+n" for one that grows by n each, or one of the two below."""
MISSING = "_"
GONE = "stale"
"""What Prometheus writes when a scrape fails or a target is gone."""


def record(name: str, phases: Sequence[Phase], **labels: str) -> dict[str, str]:
    """One series."""
    text = ", ".join(f'{label}="{value}"' for label, value in labels.items())
    return {"series": f"{name}{{{text}}}", "values": " ".join(map(_phase, phases))}


def _phase(value: Phase) -> str:
    if value == GONE:
        return f"stale _x{STEPS - 1}"
    if value == MISSING:
        return f"_x{STEPS}"
    if isinstance(value, str):
        return f"0{value}x{STEPS - 1}"
    return f"{value}x{STEPS - 1}"


def gateway(instance: str, up: Sequence[Phase], in_flight: Sequence[Phase], held: Sequence[Phase], **more: str) -> Any:
    """The series of a gateway."""
    labels = {"job": "gateway", "instance": instance, **more}
    return [
        record("up", up, **labels),
        record("envoy_berth_requests_in_flight", in_flight, model="chat", **labels),
        record("envoy_berth_requests_held", held, model="chat", **labels),
        record("envoy_berth_requests_in_flight", [90] * len(up), model="chat-small", **labels),
    ]


def replica(instance: str, up: Sequence[Phase], waiting: Sequence[Phase], metric: str = "tgi_queue_size") -> Any:
    """The series of a model server; the scrape's configuration gives them the model."""
    labels = {"job": "servers", "instance": instance, "model": "chat"}
    return [record("up", up, **labels), record(metric, waiting, **labels)]


def check(folder: Path, query: str, series: list[Any], phases: int, expected: list[dict[str, Any]]) -> None:
    """The answer to a query at the end of the last phase."""
    at = phases * STEPS * SCRAPE_SECONDS - 5
    case = {"expr": query, "eval_time": f"{at}s", "exp_samples": expected}
    test = {"interval": f"{SCRAPE_SECONDS}s", "input_series": series, "promql_expr_test": [case]}
    file = folder / "test.yml"
    file.write_text(yaml.safe_dump({"evaluation_interval": f"{SCRAPE_SECONDS}s", "tests": [test]}))
    ran = subprocess.run([ensure("promtool"), "test", "rules", file], check=False, capture_output=True, text=True)
    assert ran.returncode == 0, f"{ran.stdout}{ran.stderr}"


def answer(value: float) -> list[dict[str, Any]]:
    """One number without labels, which is all that KEDA takes."""
    return [{"labels": "{}", "value": value}]


A_QUIET = gateway("a", [1], [0], [0])
HOUR = 60 * 60 // (STEPS * SCRAPE_SECONDS)


@pytest.mark.parametrize(
    ("series", "phases", "expected"),
    [
        pytest.param(A_QUIET, 1, answer(0), id="0 without replicas and requests"),
        pytest.param(gateway("a", [1], [0], [3]), 1, answer(3), id="held requests of a model at zero"),
        pytest.param(gateway("a", [1], [3], [1]) + gateway("b", [1], [2], [4]), 1, answer(10), id="sum over gateways"),
        pytest.param(
            gateway("a", [1, 1], [3, 5], [0, 0]) + gateway("b", [1, 0], [2, GONE], [1, GONE]),
            2,
            answer(8),
            id="a gateway that is not scraped counts with its last values",
        ),
        pytest.param(
            gateway("a", [1] * (HOUR + 3), [5] * (HOUR + 3), [0] * (HOUR + 3))
            + gateway("b", [1, *[0] * (HOUR + 2)], [2, GONE], [1, GONE]),
            HOUR + 3,
            answer(5),
            id="but not for ever",
        ),
        pytest.param(
            gateway("a", [1, 1], [3, 5], [0, 0]) + gateway("b", [1, GONE], [2, GONE], [1, GONE]),
            2,
            answer(5),
            id="a gateway whose pod is gone does not count",
        ),
        pytest.param(
            gateway("a", [1], [3], [0]) + gateway("new", [0], [MISSING], [MISSING]),
            1,
            answer(3),
            id="a gateway that starts does not stand in the way",
        ),
        pytest.param(
            gateway("a", [1, 0], [3, GONE], [0, GONE]) + gateway("b", [1, 0], [2, GONE], [1, GONE]),
            2,
            NOTHING,
            id="nothing when no gateway is scraped",
        ),
        pytest.param(gateway("a", [1, GONE], [3, GONE], [0, GONE]), 2, NOTHING, id="nothing when no gateway is there"),
    ],
)
def test_demand(tmp_path: Path, series: list[Any], phases: int, expected: list[dict[str, Any]]) -> None:
    check(tmp_path, scaling_queries.demand("chat"), series, phases, expected)


def test_demand_of_another_stack_is_not_counted(tmp_path: Path) -> None:
    series = gateway("a", [1], [3], [0], namespace="llm") + gateway("b", [1], [50], [0], namespace="other")
    query = scaling_queries.demand("chat", {"namespace": "llm"})
    check(tmp_path, query, series, 1, answer(3))


@pytest.mark.parametrize(
    ("series", "phases", "expected"),
    [
        pytest.param(A_QUIET, 1, answer(0), id="0 without replicas"),
        pytest.param(A_QUIET + replica("x", [1], [4]) + replica("y", [1], [2]), 1, answer(6), id="sum over replicas"),
        pytest.param(A_QUIET + replica("x", [1], [MISSING]), 1, answer(0), id="0 before the engine has made its gauge"),
        pytest.param(A_QUIET + replica("x", [0], [MISSING]), 1, answer(0), id="0 while the first replica loads"),
        pytest.param(
            A_QUIET + replica("x", [1], [4]) + replica("y", [0], [MISSING]),
            1,
            answer(4),
            id="a replica that loads has no queue",
        ),
        pytest.param(
            gateway("a", [1, 1], [0, 0], [0, 0]) + replica("x", [1, 1], [4, 1]) + replica("y", [1, 0], [7, GONE]),
            2,
            answer(8),
            id="a replica that is not scraped counts with its last value",
        ),
        pytest.param(
            gateway("a", [1, 1], [0, 0], [0, 0]) + replica("x", [1, 0], [4, GONE]) + replica("y", [1, 0], [7, GONE]),
            2,
            NOTHING,
            id="nothing when no replica is scraped any more",
        ),
        pytest.param(
            gateway("a", [1, 1], [0, 0], [0, 0]) + replica("x", [1, GONE], [4, GONE]),
            2,
            answer(0),
            id="0 when the last replica has stopped",
        ),
        pytest.param(
            gateway("a", [1, 0], [0, GONE], [0, GONE]) + replica("x", [1, GONE], [4, GONE]),
            2,
            NOTHING,
            id="nothing when neither gateways nor replicas are seen",
        ),
        pytest.param(replica("x", [1], [4]), 1, answer(4), id="without gateways the engines still tell"),
    ],
)
def test_queue(tmp_path: Path, series: list[Any], phases: int, expected: list[dict[str, Any]]) -> None:
    check(tmp_path, scaling_queries.queue("chat", "tgi_queue_size"), series, phases, expected)


def test_queue_of_vllm_is_not_mixed_up_with_its_parts(tmp_path: Path) -> None:
    parts = replica("x", [1], [3], "vllm:num_requests_waiting_by_reason")
    series = A_QUIET + parts + replica("x", [1], [5], "vllm:num_requests_waiting")[1:]
    check(tmp_path, scaling_queries.queue("chat", "vllm:num_requests_waiting"), series, 1, answer(5))


def sent(instance: str, phases: Sequence[Phase], cluster: str = "chat") -> dict[str, str]:
    return record(
        "envoy_cluster_upstream_rq_total", phases, job="gateway", instance=instance, envoy_cluster_name=cluster
    )


@pytest.mark.parametrize(
    ("series", "phases", "expected"),
    [
        pytest.param([sent("a", [0])], 1, answer(0), id="0 without requests"),
        pytest.param([sent("a", ["+1"]), sent("b", [0])], 1, answer(1), id="more with some, at any gateway"),
        pytest.param([sent("a", [0], "chat"), sent("a", ["+1"], "chat.canary")], 1, answer(1), id="canaries"),
        pytest.param([sent("a", [7, 7, 7])], 3, answer(0), id="0 some minutes after the last"),
        pytest.param([sent("a", [0]), sent("a", ["+1"], "chat-small")], 1, answer(0), id="not of other models"),
        pytest.param([sent("a", [7, GONE, MISSING])], 3, NOTHING, id="nothing when no gateway is scraped"),
    ],
)
def test_activity(tmp_path: Path, series: list[Any], phases: int, expected: list[dict[str, Any]]) -> None:
    # How much does not count.
    check(tmp_path, f"{scaling_queries.activity('chat')} > bool 0", series, phases, expected)
