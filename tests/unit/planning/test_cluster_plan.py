"""Plans of clusters: least cost, objectives kept, reasons, and what is refused."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from infra.planning import Plan, PlanError, parse_plan
from infra.planning.assembly import assemble
from infra.planning.catalogue import aws_instances, gpus, instance_from_labels, prices
from infra.planning.cluster import place
from infra.planning.performance.simulate import Engine, simulate
from infra.planning.performance.timing import Placement, roofline
from infra.planning.performance.workload import synthetic
from infra.planning.request import Demand, ModelRequest, Objectives
from infra.planning.shapes import find_shape
from infra.planning.supply import Pool, Supply, aws_supply, cluster_supply, node_supply

LLAMA_8B = "meta-llama/Llama-3.1-8B-Instruct"
LLAMA_70B = "meta-llama/Llama-3.1-70B-Instruct"
PRICES = prices("us-east-1")


def request(name: str = "chat", model: str = LLAMA_8B, **changes: object) -> ModelRequest:
    fields: dict[str, object] = {
        "name": name, "engine": "tgi", "source": f"hf://{model}", "shape": find_shape(model, f"models.{name}.source"),
        "context": 8192, "concurrency": 32, "ceiling": 40, "demand": Demand(4.0, 1200, 250),
        "objectives": Objectives(ttft_p95=1.5, itl_p95=0.1),
    }  # fmt: skip
    return ModelRequest(**(fields | changes))  # type: ignore[arg-type]


def planned(requests: list[ModelRequest], supply: Supply, previous: Plan | None = None) -> Plan:
    return assemble("test", "aws", requests, place(requests, supply, previous=previous))


# The same examples each run, and no shrinking: one example plans a stack, which takes a second.
EXAMPLES = settings(max_examples=8, deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate))

SUPPLY = aws_supply(PRICES, allowed=["l4", "a10g", "l40s", "h100"])


def broken_promises(plan: Plan, requests: list[ModelRequest], supply: Supply) -> Iterator[str]:
    """Check a plan from its own numbers and the catalogue, without the planner's sizing, packing or costs."""
    total = 0.0
    room: dict[tuple[str, str, str], int] = {}
    for group in plan.nodes:
        node = aws_instances()[group.node_type]
        price = PRICES.get(group.node_type) or 0.0
        price *= {"reserved": 0.0, "on_demand": 1.0, "spot": PRICES.spot_factor}[group.purchase]
        total += price * group.count
        cut = len(group.layout) or 1
        room[group.node_type, group.purchase, group.gpu] = node.gpus * cut * group.count
    if abs(total - plan.hourly) > 0.001:
        yield f"{plan.hourly} dollars an hour, but the nodes cost {total}"
    if abs(sum(model.cost.hourly for model in plan.models if model.cost) - plan.hourly) > 0.001:
        yield "the models' costs do not add up to the nodes'"
    for assignment in plan.assignments:
        key = (assignment.node_type, assignment.purchase, assignment.gpu)
        room[key] -= assignment.replicas * assignment.shards
        if assignment.shards > aws_instances()[assignment.node_type].gpus and ":" not in assignment.gpu:
            yield f"{assignment.model}: {assignment.shards} shards on a {assignment.node_type}"
    yield from (f"too many replicas on {key}" for key, left in room.items() if left < 0)
    for gpu, most in supply.quotas.items():
        held = sum(group.gpus * group.count for group in plan.nodes if group.gpu.split(":")[0] == gpu)
        if held > most:
            yield f"quota of {most} {gpu}, {held} used"
    for asked in requests:
        yield from _broken_model(plan, asked)


def _broken_model(plan: Plan, asked: ModelRequest) -> Iterator[str]:
    model = plan.model(asked.name)
    standing = [found for found in plan.assignments if found.model == asked.name]
    if sum(found.replicas for found in standing) != model.replicas + asked.extra_replicas:
        yield f"{asked.name}: {standing} are not {model.replicas} replicas"
    on_spot = sum(found.replicas for found in standing if found.purchase == "spot")
    if on_spot and (not asked.spot or on_spot == model.replicas):
        yield f"{asked.name}: {on_spot} replicas on spot"
    if not max(1, asked.floor) <= model.replicas <= asked.ceiling:
        yield f"{asked.name}: {model.replicas} replicas"
    if model.gpu is None or asked.demand is None:
        return
    memory = model.gpu.weights_bytes + model.gpu.kv_tokens * asked.shape.kv_bytes_per_token() / model.gpu.shards
    if memory > 0.9 * model.gpu.memory_bytes:
        yield f"{asked.name}: {memory} bytes on a device of {model.gpu.memory_bytes}"
    # Another sample of requests, with other arrivals, than the one the plan was made with.
    work = synthetic(
        asked.demand.prompt_tokens, asked.demand.output_tokens, cached_share=asked.demand.prefix_hit_share,
        longest=asked.context, seed=99, count=3000,
    )  # fmt: skip
    device, shards, weights = gpus()[model.gpu.type], model.gpu.shards, model.gpu.weights_bytes
    placed = Placement(asked.shape, device, shards, asked.shape.kv_bytes_per_token(), weights * shards)
    engine = Engine(
        roofline(placed), model.limits.max_batch_prefill_tokens or 4096, asked.concurrency, model.gpu.kv_tokens
    )
    outcome = simulate(work.every(model.replicas), engine, asked.demand.requests_per_second)
    objectives = asked.objectives
    # A different sample of a thousand requests moves a 95th percentile by some percent.
    if objectives.ttft_p95 and outcome.ttft_percentile(0.95) > objectives.ttft_p95 * 1.25:
        yield f"{asked.name}: ttft p95 {outcome.ttft_percentile(0.95)}"
    if objectives.itl_p95 and outcome.itl_percentile(0.95) > objectives.itl_p95 * 1.1:
        yield f"{asked.name}: itl p95 {outcome.itl_percentile(0.95)}"


@EXAMPLES
@given(
    st.floats(0.2, 12.0), st.integers(100, 3000), st.integers(20, 600), st.floats(0.8, 6.0), st.floats(0.06, 0.3),
    st.sampled_from([None, 99.5, 99.9]), st.booleans(), st.integers(0, 3),
)  # fmt: skip
@pytest.mark.thorough
def test_a_plan_keeps_everything_that_was_asked(
    rate: float, prompt: int, answer: int, ttft: float, itl: float, availability: float | None, spot: bool, floor: int
) -> None:
    supply = replace(aws_supply(PRICES, allowed=["l4", "a10g", "l40s"], spot=spot), quotas={"a10g": 8})
    requests = [
        request(
            demand=Demand(rate, prompt, answer), objectives=Objectives(ttft, itl, availability), spot=spot, floor=floor
        ),
        request("small", "Qwen/Qwen2.5-0.5B-Instruct", demand=Demand(2 * rate, 300, 100), context=4096),
    ]
    try:
        plan = planned(requests, supply)
    except PlanError as error:
        refusals = error.problems
    else:
        assert list(broken_promises(plan, requests, supply)) == []
        assert parse_plan(plan.to_json()) == plan
        return
    assert all(found.way_out for found in refusals)


@pytest.mark.thorough
@EXAMPLES
@given(st.floats(0.5, 10.0), st.floats(0.5, 10.0), st.floats(0.8, 5.0))
def test_more_traffic_never_costs_less(one: float, other: float, ttft: float) -> None:
    costs = [
        planned([request(demand=Demand(rate, 1200, 250), objectives=Objectives(ttft, 0.12))], SUPPLY).hourly
        for rate in sorted((one, other))
    ]
    assert costs[0] <= costs[1] + 1e-9


@pytest.mark.thorough
@EXAMPLES
@given(st.floats(0.6, 6.0), st.floats(0.6, 6.0), st.floats(0.05, 0.3), st.floats(0.05, 0.3))
def test_a_looser_objective_never_costs_more(t1: float, t2: float, i1: float, i2: float) -> None:
    tight, loose = Objectives(min(t1, t2), min(i1, i2)), Objectives(max(t1, t2), max(i1, i2))
    try:
        strict = planned([request(objectives=tight)], SUPPLY).hourly
    except PlanError:
        return
    assert planned([request(objectives=loose)], SUPPLY).hourly <= strict + 1e-9


def test_availability_stands_on_two_nodes_with_one_to_spare() -> None:
    plain = planned([request()], SUPPLY)
    spread = planned([request(objectives=Objectives(1.5, 0.1, 99.9))], SUPPLY)
    assert spread.model("chat").replicas >= 2
    assert sum(group.count for group in spread.nodes) >= 2
    assert spread.hourly >= plain.hourly
    assert "to spare for availability" in " ".join(spread.model("chat").why)


def test_spot_never_holds_the_last_replica() -> None:
    supply = aws_supply(PRICES, allowed=["l4"], spot=True)
    plan = planned([request(spot=True, floor=3, objectives=Objectives(), demand=None)], supply)
    by_purchase = {found.purchase: found.replicas for found in plan.assignments}
    assert by_purchase == {"spot": 2, "on_demand": 1}


def test_reserved_capacity_is_filled_first_and_costs_nothing_more() -> None:
    supply = aws_supply(PRICES, allowed=["l4", "l40s"], reserved={"g6e.xlarge": 1})
    plan = planned([request(demand=Demand(1.0, 1200, 250))], supply)
    assert [(found.node_type, found.purchase) for found in plan.assignments] == [("g6e.xlarge", "reserved")]
    assert plan.hourly == 0.0


def test_small_models_share_one_large_gpu_in_slices() -> None:
    small = "Qwen/Qwen2.5-0.5B-Instruct"
    names = [f"m{index}" for index in range(7)]
    requests = [
        request(name, small, context=4096, concurrency=8, demand=Demand(0.5, 300, 100), objectives=Objectives(2.0, 0.1))
        for name in names
    ]
    plan = planned(requests, aws_supply(PRICES, allowed=["h100"]))
    assert {found.gpu for found in plan.assignments} == {"h100:1g.10gb"}
    assert [(group.node_type, group.count) for group in plan.nodes] == [("p5.4xlarge", 1)]
    assert plan.nodes[0].layout == ("1g.10gb",) * 7


def test_a_plan_stays_where_it_is_until_moving_pays() -> None:
    first = planned([request()], SUPPLY)
    more = planned([request(demand=Demand(4.1, 1200, 250))], SUPPLY, first)
    gpu_before, gpu_after = first.model("chat").gpu, more.model("chat").gpu
    assert gpu_before is not None
    assert gpu_after is not None
    assert (gpu_before.type, gpu_before.shards) == (gpu_after.type, gpu_after.shards)


def test_cluster_nodes_are_used_up_to_their_number() -> None:
    supply = cluster_supply([Pool("small", "l4", 1, 2, 0.0), Pool("large", "l40s", 4, 1, 0.0)])
    idle: dict[str, object] = {"demand": None, "objectives": Objectives(), "concurrency": 4}
    plan = planned([request("chat", gpu="l4", **idle), request("big", LLAMA_70B, **idle)], supply)
    assert {(found.model, found.node_type) for found in plan.assignments} == {("chat", "small"), ("big", "large")}
    with pytest.raises(PlanError, match=r"kubernetes\.nodes: has 6 GPUs; the models need at least .* add nodes"):
        planned([request(floor=3, gpu="l4", **idle)], supply)
    with pytest.raises(PlanError, match=r"models\.chat\.gpu = h100: is not on offer here; on offer: l4, l40s"):
        planned([request(gpu="h100", **idle)], supply)


def test_nodes_are_read_from_labels_where_the_stack_lists_none() -> None:
    labels = {"nvidia.com/gpu.product": "NVIDIA-L4", "nvidia.com/gpu.memory": "23034", "nvidia.com/gpu.count": "1"}
    node = instance_from_labels(labels | {"node.kubernetes.io/instance-type": "g2-standard-8"}, 8, 32 * 2**30)
    assert node is not None
    plan = planned([request(demand=None, objectives=Objectives(), floor=2)], node_supply([node, node, node]))
    assert [(found.node_type, found.replicas) for found in plan.assignments] == [("g2-standard-8", 2)]
    assert plan.nodes[0].count == 2


def refused(asked: ModelRequest, supply: Supply = SUPPLY) -> str:
    with pytest.raises(PlanError) as caught:
        planned([asked], supply)
    assert all(found.place and found.way_out for found in caught.value.problems)
    return str(caught.value)


def test_an_impossible_objective_names_the_fastest_and_what_it_does() -> None:
    text = refused(request(objectives=Objectives(itl_p95=0.002)))
    assert text.startswith(
        "models.chat.objectives.itl_p95 = 2ms: cannot be kept: the fastest allowed, 8 x h100, takes "
    )
    assert "set " in text
    text = refused(request(objectives=Objectives(ttft_p95=0.01)))
    assert "models.chat.objectives.ttft_p95 = 10ms: cannot be kept" in text


def test_too_few_replicas_name_the_number_that_does() -> None:
    text = refused(request(ceiling=1, demand=Demand(60.0, 1200, 250), gpu="l4", objectives=Objectives(ttft_p95=5.0)))
    assert "models.chat.replicas.max = 1: is " in text
    assert "set max: " in text


def test_a_quota_that_is_too_small_names_the_one_to_ask_for() -> None:
    supply = replace(SUPPLY, quotas={"l4": 1, "a10g": 0, "l40s": 0, "h100": 0})
    text = refused(request(demand=Demand(4.0, 1200, 250), objectives=Objectives(ttft_p95=5.0)), supply)
    assert "aws.quotas." in text
    assert "ask for a quota of" in text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gpu": "trn1"}, "runs only models that were compiled for it; would fit: "),
        ({"demand": Demand(0.0, 100, 10)}, "traffic.requests_per_second = 0.0: is not between 0 and"),
        ({"demand": Demand(1e9, 100, 10)}, "requests_per_second"),
        ({"demand": Demand(1.0, 9000, 10)}, "more than the context of 8192; set context to 9010 or more"),
        ({"demand": Demand(1.0, 100, 0)}, "traffic.output_tokens = 0: is less than one token"),
        ({"demand": Demand(1.0, 100, 10, 1.0)}, "is not a share below 1"),
        ({"demand": None}, "ttft_p95 = 1.5 s: cannot be planned for without traffic; add models.chat.traffic"),
        ({"objectives": Objectives(availability=99.9999)}, "availability = 99.9999: is more than one region promises"),
        ({"objectives": Objectives(ttft_p95=1e-9)}, "is shorter than any engine's step"),
        ({"context": 1_000_000}, "868928 tokens more than the model was made for (131072)"),
        ({"shards": 3}, "models.chat.shards = 3: does not divide the model's 32 heads; set 2"),
        ({"engine": "tei"}, "serves encoders only; set tgi or vllm"),
        ({"gpu": "none"}, "gpu = none: tgi needs a GPU"),
    ],
)
def test_bad_input_names_the_field_and_what_works(changes: dict[str, object], message: str) -> None:
    assert message in refused(request(**changes))


def test_encoders_need_an_encoder_server_and_have_no_stream() -> None:
    text = refused(request("embed", "BAAI/bge-base-en-v1.5", context=512, objectives=Objectives(itl_p95=0.1)))
    assert "models.embed.engine = tgi: does not serve bert encoders; set tei" in text
    assert "itl_p95 = 0.1 s: means nothing for embeddings" in text


def test_a_cold_start_adds_up_and_sets_the_probe() -> None:
    startup = planned([request()], SUPPLY).model("chat").startup
    assert startup.cold_seconds == pytest.approx(sum(stage.seconds for stage in startup.stages))
    inside = sum(stage.seconds for stage in startup.stages if stage.name in {"weights", "load", "warm-up"})
    assert startup.limit_seconds >= 3 * inside
