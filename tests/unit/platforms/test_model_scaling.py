"""What a stack file and the plan make of a model's scaler."""

from dataclasses import replace
from pathlib import Path

import pytest

from infra.planning import plan
from infra.planning.plan import ModelPlan, Performance
from infra.platforms.scaling import in_flight, scaling_args
from infra.settings import Model, Settings, load
from infra.settings.models import Traffic

SOURCE = "hf://meta-llama/Llama-3.1-8B-Instruct@0e9e39f249a16976918f6564b8830bc894c89659"
STACK = """config:
  berth:platform: kubernetes
  berth:kubernetes: {{context: test, nodes: {{small: {{gpu: l4, nodes: 8}}}}}}
  berth:gateway: {{host: llm.example.com, hold: {{ttl: {hold}}}}}
  berth:models:
    chat: {{engine: tgi, source: "{source}", context: 8192, {more}}}
"""
TRAFFIC = "objectives: {ttft_p95: 2s}, traffic: {requests_per_second: 1, prompt_tokens: 1200, output_tokens: 250}"


def settings_of(folder: Path, more: str, hold: str = "10m") -> Settings:
    (folder / "stacks").mkdir()
    (folder / "stacks/defaults.yaml").write_text("config: {}\n")
    (folder / "stacks/Pulumi.x.yaml").write_text(STACK.format(source=SOURCE, more=more, hold=hold))
    return load("x", folder)


def planned(settings: Settings) -> tuple[Model, ModelPlan]:
    return settings.models["chat"], plan(settings).model("chat")


def test_a_fixed_number_of_replicas_has_no_scaler(tmp_path: Path) -> None:
    assert scaling_args(*planned(settings_of(tmp_path, "replicas: 2"))) is None


def test_what_the_stack_file_says_is_taken(tmp_path: Path) -> None:
    floor = '{start: "0 8 * * 1-5", end: "0 20 * * 1-5", timezone: Europe/Berlin, replicas: 2}'
    more = f"in_flight: 5.5, queue: 2, cooldown: 30m, stabilization: 1m, floors: [{floor}]"
    args = scaling_args(*planned(settings_of(tmp_path, f"replicas: {{min: 0, max: 6}}, scaling: {{{more}}}")))
    assert args == {
        "min": 0,
        "max": 6,
        "in_flight": 5.5,
        "queue": 2.0,
        "cooldown_seconds": 1500,  # after the five minutes for which a request still counts
        "stabilization_seconds": 60,
        "floors": [{"start": "0 8 * * 1-5", "end": "0 20 * * 1-5", "timezone": "Europe/Berlin", "replicas": 2}],
    }


def test_the_plan_gives_the_rest(tmp_path: Path) -> None:
    model, found = planned(settings_of(tmp_path, "replicas: {min: 0, max: 6}"))
    args = scaling_args(model, found)
    assert args is not None
    assert (args["in_flight"], args["queue"]) == (12.8, 4.0)
    slow = replace(found, startup=replace(found.startup, cold_seconds=1000.0))
    later = scaling_args(model, slow)
    assert later is not None
    assert (later["cooldown_seconds"], later["stabilization_seconds"]) == (1700, 1000)


def test_a_model_that_never_stops_has_no_cooldown(tmp_path: Path) -> None:
    args = scaling_args(*planned(settings_of(tmp_path, "replicas: {min: 1, max: 6}")))
    assert args is not None
    assert "cooldown_seconds" not in args


@pytest.mark.parametrize(
    ("capacity", "seconds", "expected"),
    [
        pytest.param(0.5, 10.0, 5.0, id="what is in flight at the rate that keeps the objectives"),
        pytest.param(5.0, 10.0, 12.8, id="but not more than most of what a replica works on"),
        pytest.param(0.01, 1.0, 1.0, id="and one at least"),
    ],
)
def test_requests_in_flight_to_aim_at(tmp_path: Path, capacity: float, seconds: float, expected: float) -> None:
    _, found = planned(settings_of(tmp_path, f"replicas: {{min: 1, max: 6}}, {TRAFFIC}"))
    assert isinstance(found.performance, Performance)
    seen = replace(found.performance, replica_capacity=capacity, ttft_p50=seconds / 2, itl_p95=seconds / 200)
    traffic = Traffic(requests_per_second=1, prompt_tokens=1200, output_tokens=100)
    assert in_flight(replace(found, performance=seen), traffic) == pytest.approx(expected)


def test_the_plan_notes_a_hold_that_ends_before_the_model_is_awake(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "replicas: {min: 0, max: 6}", hold="1m")
    (note,) = [note for note in plan(settings).notes if "wakes from zero" in note]
    assert note.startswith("chat: wakes from zero in about ")
    assert "the gateway holds requests for 60 s (gateway.hold.ttl)" in note


def test_no_note_where_requests_are_held_long_enough(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "replicas: {min: 0, max: 6}", hold="30m")
    assert not [note for note in plan(settings).notes if "wakes from zero" in note]
