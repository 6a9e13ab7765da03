"""Step times, the queue of one replica, and what it takes."""

import json
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from infra.planning.catalogue import gpus
from infra.planning.errors import PlanError
from infra.planning.performance.calibration import Calibration, Point, read_calibrations
from infra.planning.performance.capacity import Traffic, capacity, replicas_for, saturation, saturation_bound
from infra.planning.performance.simulate import Engine, simulate
from infra.planning.performance.timing import Efficiency, Placement, Timing, roofline
from infra.planning.performance.workload import Workload, synthetic
from infra.planning.shapes import find_shape

# Ten milliseconds a decode step, one more for each 1,000 tokens of context; prompts at 0.1 ms a token and 5 ms a pass.
SIMPLE = Timing(0.005, 0.0001, 0.0, 0.0, 0.0, 0.0, 0, 0, 0.0, 0.01, 1e-6)


def engine(**changes: int) -> Engine:
    return Engine(SIMPLE, **({"batch_tokens": 2048, "max_requests": 64, "kv_tokens": 32_000} | changes))


def llama(gpu: str, shards: int = 1, efficiency: Efficiency | None = None) -> Placement:
    shape = find_shape("meta-llama/Llama-3.1-8B-Instruct", "x")
    return Placement(
        shape, gpus()[gpu], shards, shape.kv_bytes_per_token(), shape.weights_bytes, False, efficiency or Efficiency()
    )


@pytest.mark.parametrize(
    ("gpu", "tokens_a_second"), [("l4", 18.7), ("a10g", 37), ("l40s", 54), ("a100-80", 127), ("h100", 209)]
)
def test_upper_bound_of_one_stream_is_bandwidth_over_weights(gpu: str, tokens_a_second: float) -> None:
    ideal = roofline(llama(gpu, efficiency=Efficiency(memory=1.0, compute=1.0, step_seconds=0.0)))
    assert 1 / ideal.decode(1, 0) == pytest.approx(tokens_a_second, rel=0.02)


def test_steps_are_those_of_the_reference_engine() -> None:
    """Times that Dynamo 1.6.1's replay gives for the same step times (one request; chunks; three at once)."""
    one = simulate(Workload([0.0], [1000], [5]), engine())
    assert one.ttft == [pytest.approx(0.105)]
    assert one.itl_mean() == pytest.approx(0.0110025)
    assert simulate(Workload([0.0], [5000], [5]), engine()).ttft == [pytest.approx(0.515)]
    three = simulate(Workload([0.0, 0.0, 0.0], [1500] * 3, [3] * 3), engine())
    assert sorted(three.ttft) == pytest.approx([0.2098, 0.430901, 0.489404], abs=2e-4)


def test_a_prompt_waits_until_its_kv_fits() -> None:
    outcome = simulate(Workload([0.0, 0.001], [20_000, 20_000], [50, 5]), engine())
    assert outcome.ttft[0] == pytest.approx(2.05)
    assert outcome.ttft[1] == pytest.approx(5.570, abs=0.002)


def test_cached_blocks_are_not_computed_again() -> None:
    work = Workload([0.0, 2.0], [2048, 2048], [3, 3], blocks=[[1, 2, 3, 4], [1, 2, 3, 9]])
    outcome = simulate(work, engine())
    assert outcome.reused_tokens == 3 * 512
    assert outcome.ttft[1] == pytest.approx(0.005 + 512 * 0.0001)


def test_a_request_thrown_back_for_memory_is_finished_all_the_same() -> None:
    work = Workload([0.0, 0.0], [1000, 1000], [1500, 1500])
    outcome = simulate(work, engine(kv_tokens=4000))
    assert outcome.preemptions
    tokens = sum(count for _, count in outcome.gaps)
    assert tokens == pytest.approx(2 * 1499, abs=outcome.preemptions + 1)


def test_tensor_parallelism_divides_the_work_and_pays_for_the_link() -> None:
    one, four = roofline(llama("l40s")), roofline(llama("l40s", 4))
    assert one.decode(8, 8000) / 4 < four.decode(8, 8000) < one.decode(8, 8000)
    assert one.prefill(2048) / 4 < four.prefill(2048) < one.prefill(2048)


def test_a_mixture_reads_more_experts_the_larger_the_batch() -> None:
    shape = find_shape("mistralai/Mixtral-8x7B-Instruct-v0.1", "x")
    times = roofline(Placement(shape, gpus()["h100"], 2, shape.kv_bytes_per_token(), shape.weights_bytes))
    dense = shape.weights_bytes / (gpus()["h100"].bandwidth * 0.7 * 2)
    assert times.decode(1, 0) < 0.5 * dense
    assert times.decode(64, 0) > 0.95 * dense


# The same examples each run, and no shrinking: one example plans a stack, which takes a second.
EXAMPLES = settings(max_examples=10, deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate))

rates = st.floats(0.1, 30.0)
objectives = st.floats(0.15, 20.0)
TRAFFIC = Traffic(1200, 250, 0.0, 8192)
ENGINE = Engine(roofline(llama("l40s")), 4096, 64, 140_000)


@pytest.mark.thorough
@EXAMPLES
@given(rates, rates, objectives)
def test_more_traffic_never_needs_fewer_replicas(one: float, other: float, ttft: float) -> None:
    low, high = sorted((one, other))
    needed = [replicas_for(rate, ENGINE, TRAFFIC, ttft, None)[0] for rate in (low, high)]
    assert needed[0] <= needed[1]


@pytest.mark.thorough
@EXAMPLES
@given(rates, objectives, objectives)
def test_a_looser_objective_never_needs_more_replicas(rate: float, one: float, other: float) -> None:
    tight, loose = sorted((one, other))
    strict, relaxed = (replicas_for(rate, ENGINE, TRAFFIC, ttft, 0.2)[0] for ttft in (tight, loose))
    assert strict == 0 or 0 < relaxed <= strict


def test_objectives_hold_at_the_capacity_that_is_claimed() -> None:
    found = capacity(ENGINE, TRAFFIC, 1.0, 0.1)
    outcome = simulate(synthetic(1200, 250, longest=8192), ENGINE, found.kept)
    assert outcome.ttft_percentile(0.95) <= 1.0
    assert outcome.itl_percentile(0.95) <= 0.1
    assert 0 < found.kept < found.saturation


@pytest.mark.parametrize("gpu", ["l4", "l40s", "h100"])
@pytest.mark.parametrize("traffic", [TRAFFIC, Traffic(200, 800, 0.0, 8192), Traffic(6000, 50, 0.5, 8192)])
def test_closed_form_of_saturation_is_near_the_queue(gpu: str, traffic: Traffic) -> None:
    running = Engine(roofline(llama(gpu)), 4096, 64, 140_000)
    assert saturation_bound(running, traffic) * 1.25 >= saturation(running, traffic)
    assert saturation_bound(running, traffic) == pytest.approx(saturation(running, traffic), rel=0.25)


def test_a_workload_keeps_its_means_and_its_rate() -> None:
    work = synthetic(1200, 250, burst=3.0, cached_share=0.3)
    assert work.rate == pytest.approx(1.0, rel=0.01)
    assert work.mean_prompt == pytest.approx(1200, rel=0.01)
    assert work.mean_output == pytest.approx(250, rel=0.01)
    assert work.mean_uncached == pytest.approx(840, rel=0.01)
    assert work.every(4).rate == pytest.approx(0.25, rel=0.02)


def test_calibration_finds_the_factors_that_made_the_points() -> None:
    truth = Efficiency(memory=0.62, compute=0.38, step_seconds=0.004)
    made = roofline(llama("l4", efficiency=truth))
    points = [Point("prefill", n, made.prefill(n, n / 2)) for n in (512, 1024, 4096)]
    points += [Point("decode", b, made.decode(b, b * 900), b * 900) for b in (1, 4, 16)]
    found = Calibration("m", "l4", 1, "tgi", "2026-11-24", tuple(points)).efficiency(llama("l4"))
    assert found.memory == pytest.approx(0.62, rel=0.02)
    assert found.compute == pytest.approx(0.38, rel=0.02)
    assert found.step_seconds == pytest.approx(0.004, rel=0.05)
    assert found.error < 0.02
    assert found.origin == "measured 2026-11-24"


def test_a_calibration_file_is_read_or_named(tmp_path: Path) -> None:
    assert read_calibrations(tmp_path) == []
    file = tmp_path / "l4.json"
    file.write_text("{}")
    with pytest.raises(PlanError, match=r"l4\.json: is not a calibration"):
        read_calibrations(tmp_path)
    point = {"kind": "prefill", "tokens": 512, "seconds": 0.1}
    content = {"model": "m", "gpu": "l4", "shards": 1, "engine": "tgi", "date": "2026-11-24", "points": [point] * 3}
    file.write_text(json.dumps(content))
    with pytest.raises(PlanError, match="too little to fit three factors"):
        read_calibrations(tmp_path)
    content["points"] = [point, point, {"kind": "decode", "tokens": 1, "kv_tokens": 100, "seconds": 0.05}]
    file.write_text(json.dumps(content))
    assert read_calibrations(tmp_path)[0].points[2].kv_tokens == 100
