"""From one placement to another, and what changes."""

from dataclasses import replace

import pytest

from infra.planning import Plan, PlanError
from infra.planning.delta import delta
from infra.planning.migration import migrate
from infra.planning.plan import Assignment, Cost, GpuNeed, ModelPlan, NodeGroup, Performance, Stage, Startup
from infra.planning.report import report
from serving.engines.base import Limits

STARTUP = Startup((Stage("node", 240.0),), 240.0, 30.0, 10, 30)


def plan(gpu: str, replicas: int, capacity: float, hourly: float, rate: float = 4.0) -> Plan:
    performance = Performance(rate, 0.2, 0.6, 0.03, 0.5, 2 * capacity, capacity, 0.35, "test")
    model = ModelPlan(
        "chat", "tgi", "generate", "hf://m", 16 * 10**9, Limits(8191, 8192, 16), replicas, 1, 9, 8 * 2**30, STARTUP,
        gpu=GpuNeed(gpu, 1, 16 * 10**9, 30_000, 24 * 10**9), performance=performance, cost=Cost(hourly, 0.4, 0.2, 0.3),
    )  # fmt: skip
    return Plan(
        "prod", "aws", (model,), (Assignment("chat", f"{gpu}.node", "on_demand", gpu, 1, replicas),),
        (NodeGroup(f"{gpu}.node", "on_demand", replicas, hourly, gpu, 1, float(replicas)),), hourly,
    )  # fmt: skip


def test_new_replicas_come_before_old_ones_go() -> None:
    found = migrate(plan("l4", 4, 1.0, 3.2), plan("l40s", 1, 4.0, 1.9))
    assert [(step.action, step.replicas, step.gpu) for step in found.steps] == [("start", 1, "l40s"), ("stop", 4, "l4")]
    assert found.gpus_most == {"l4": 4, "l40s": 1}
    assert found.minutes == pytest.approx(4 + 3)
    assert found.saving_hourly == pytest.approx(1.3)
    assert found.worthwhile
    # Both kinds are paid for while it runs: 3.2 more than the cheaper plan, for seven minutes.
    assert found.cost_once == pytest.approx(3.2 * 7 / 60, abs=0.01)


def on_other_nodes(of: Plan) -> Plan:
    (was,), (group,) = of.assignments, of.nodes
    return replace(of, assignments=(replace(was, node_type="big.node"),), nodes=(replace(group, node_type="big.node"),))


def test_a_quota_makes_it_go_piece_by_piece() -> None:
    before, after = plan("l4", 4, 1.0, 3.2, rate=2.0), on_other_nodes(plan("l4", 3, 1.0, 2.4, rate=2.0))
    found = migrate(before, after, {"l4": 5})
    assert [(step.action, step.replicas) for step in found.steps] == [
        ("start", 1), ("stop", 3), ("start", 2), ("stop", 1),
    ]  # fmt: skip
    assert max(step.gpus_held["l4"] for step in found.steps) <= 5


def test_no_way_that_keeps_the_objectives_is_an_error() -> None:
    before, after = plan("l4", 4, 1.0, 3.2), on_other_nodes(plan("l4", 4, 1.0, 3.0))
    with pytest.raises(PlanError, match=r"aws\.quotas\.l4 = 4: leaves no room to start .* ask for 5 while"):
        migrate(before, after, {"l4": 4})


def test_the_same_plan_takes_no_step() -> None:
    found = migrate(plan("l4", 4, 1.0, 3.2), plan("l4", 4, 1.0, 3.2))
    assert found.steps == ()
    assert not found.worthwhile


def test_more_replicas_only_start() -> None:
    found = migrate(plan("l4", 2, 1.0, 1.6, rate=2.0), plan("l4", 4, 1.0, 3.2))
    assert [(step.action, step.replicas) for step in found.steps] == [("start", 2)]
    assert found.pays_after_hours is None


def test_delta_names_what_changes_and_what_it_costs() -> None:
    before, after = plan("l4", 4, 1.0, 3.2), plan("l40s", 1, 4.0, 1.9)
    change = delta(before, after)
    assert change.hourly == pytest.approx(-1.3)
    assert [(found.model, found.what) for found in change.changes] == [("chat", "l4 -> l40s, 4 -> 1 replicas")]
    assert delta(before, before).changes == ()
    assert [found.what for found in delta(Plan("p", "aws", ()), after).changes] == ["new"]
    assert [found.what for found in delta(before, Plan("p", "aws", ())).changes] == ["gone"]


def test_report_shows_change_and_steps() -> None:
    before, after = plan("l4", 4, 1.0, 3.2), plan("l40s", 1, 4.0, 1.9)
    text = report(after, change=delta(before, after), migration=migrate(before, after))
    assert "-$1.30 an hour against what is deployed" in text
    assert "chat: l4 -> l40s, 4 -> 1 replicas (-$1.30/h)" in text
    assert "migration: 2 steps, 7 min, at most 4 l4, 1 l40s; pays after 0.3 h" in text
    assert "1. start 1 of chat on l40s.node (on demand), 4 min" in text
