"""From a placement to a plan: numbers, reasons and notes."""

from collections import Counter
from collections.abc import Sequence

from infra.planning.candidates import Candidate
from infra.planning.cluster import Placed
from infra.planning.cost import cost, hourly_by_model
from infra.planning.engine_options import engine_options
from infra.planning.fit import IMAGE_BYTES, batch_tokens_of
from infra.planning.limits import engine_limits
from infra.planning.local import process_memory_bytes
from infra.planning.performance.capacity import predict
from infra.planning.plan import Assignment, Cost, GpuNeed, ModelPlan, NodeGroup, Performance, Plan
from infra.planning.reasons import reasons
from infra.planning.request import ModelRequest
from infra.planning.shapes import Task
from infra.planning.startup import startup, startup_without_gpu
from infra.planning.supply import RESERVED, Supply
from infra.planning.text import GIB, duration

_CPU_MEMORY = 2 * GIB
"""Router, tokenizer and threads of an encoder server without a GPU."""
_CPU_MILLIS = 2000
_LOCAL_WORKER_MILLIS = 500
"""Half a core for each decoding thread of the local engine, which has two of them: its models are small."""
_LOGS_BYTES = 10 * 10**9
_UNPACKED = 2.2


def assemble(stack: str, platform: str, requests: Sequence[ModelRequest], placed: Placed) -> Plan:
    """Return the plan of a stack, models in the order of the file."""
    shares = hourly_by_model(placed)
    models = []
    for request in requests:
        if request.gpu == "none":
            models.append(_without_gpu(request))
            continue
        item = placed.requests.index(request)
        models.append(_model(request, item, placed, shares[request.name]))
    nodes = _nodes(placed)
    return Plan(
        stack=stack,
        platform=platform,
        models=tuple(models),
        assignments=_assignments(placed),
        nodes=nodes,
        hourly=round(sum(group.hourly for group in nodes), 5),
        region=placed.supply.region,
        prices_of=placed.supply.prices_of,
        notes=tuple(_notes(requests, placed, models)),
    )


def _model(request: ModelRequest, item: int, placed: Placed, hourly: float) -> ModelPlan:
    candidate = placed.taken[item]
    fitted, engine = candidate.fitted, candidate.engine
    if fitted is None or engine is None:
        raise AssertionError(request.name)
    on = [placed.supply.offers[option].node for (who, option) in placed.solution.placed if who == item]
    slowest = min(on, key=lambda node: (node.nvme_bytes > 0, node.network))
    performance, spent = _performance(request, candidate, hourly)
    return ModelPlan(
        model=request.name,
        engine=request.engine,
        task=str(request.shape.task),
        source=request.source,
        weights_bytes=request.shape.weights_bytes,
        limits=engine_limits(request, fitted.batch_tokens),
        options=engine_options(request, candidate.gpu),
        replicas=candidate.replicas,
        floor=request.floor,
        ceiling=request.ceiling,
        memory_bytes=fitted.memory_bytes,
        startup=startup(request.engine, request.shape.weights_bytes, fitted, slowest),
        cpu_millis=fitted.cpu_millis,
        shm_bytes=fitted.shm_bytes,
        disk_bytes=fitted.disk_bytes,
        gpu=GpuNeed(
            candidate.gpu.name, candidate.shards, fitted.weights_bytes, fitted.kv_tokens, candidate.gpu.memory_bytes
        ),
        performance=performance,
        cost=spent,
        why=tuple(reasons(request, candidate, placed.candidates[item], placed.supply, hourly)),
    )


def _performance(request: ModelRequest, candidate: Candidate, hourly: float) -> tuple[Performance | None, Cost]:
    demand = request.demand
    if demand is None or candidate.engine is None or candidate.traffic is None or candidate.capacity is None:
        return None, cost(hourly, 0.0, 0.0, 0.0)
    outcome = predict(demand.requests_per_second, candidate.replicas, candidate.engine, candidate.traffic)
    generates = request.shape.task is Task.GENERATE
    saturation = candidate.capacity.saturation
    performance = Performance(
        requests_per_second=demand.requests_per_second,
        ttft_p50=round(outcome.ttft_percentile(0.5), 4),
        ttft_p95=round(outcome.ttft_percentile(0.95), 4),
        itl_p95=round(outcome.itl_percentile(0.95), 4) if generates else 0.0,
        utilisation=round(demand.requests_per_second / candidate.replicas / saturation, 3),
        replica_saturation=round(saturation, 3),
        replica_capacity=round(candidate.capacity.kept, 3),
        error=candidate.efficiency.error,
        origin=candidate.efficiency.origin,
    )
    tokens = demand.prompt_tokens + (demand.output_tokens if generates else 0)
    return performance, cost(hourly, demand.requests_per_second, tokens, saturation * candidate.replicas)


def _without_gpu(request: ModelRequest) -> ModelPlan:
    image = IMAGE_BYTES.get(request.engine, IMAGE_BYTES["tei"])
    replicas = max(1, request.floor)
    return ModelPlan(
        model=request.name,
        engine=request.engine,
        task=str(request.shape.task),
        source=request.source,
        weights_bytes=request.shape.weights_bytes,
        limits=engine_limits(request, None if request.engine == "local" else batch_tokens_of(request)),
        options=engine_options(request),
        replicas=replicas,
        floor=request.floor,
        ceiling=request.ceiling,
        memory_bytes=_cpu_memory_bytes(request),
        startup=startup_without_gpu(request.engine, request.shape.weights_bytes),
        cpu_millis=_cpu_millis(request),
        disk_bytes=int(image * _UNPACKED) + request.shape.weights_bytes + _LOGS_BYTES,
        why=("runs on CPUs of nodes that are there: gpu is none; speed and cost are not planned",),
    )


def _cpu_millis(request: ModelRequest) -> int:
    if request.engine == "local":
        return _LOCAL_WORKER_MILLIS * int(request.options.get("workers", "2"))
    return _CPU_MILLIS


def _cpu_memory_bytes(request: ModelRequest) -> int:
    if request.engine == "local":
        return process_memory_bytes(request)
    # Weights are served in 32 bits without a GPU, and read into memory.
    return _CPU_MEMORY + 2 * request.shape.parameters * 4


def _assignments(placed: Placed) -> tuple[Assignment, ...]:
    found = []
    for (item, option), count in sorted(placed.solution.placed.items()):
        offer, candidate = placed.supply.offers[option], placed.taken[item]
        found.append(
            Assignment(
                placed.requests[item].name, offer.node.name, offer.purchase, candidate.gpu.name, candidate.shards, count
            )
        )
    return tuple(found)


def _nodes(placed: Placed) -> tuple[NodeGroup, ...]:
    used: Counter[int] = Counter()
    for node in placed.solution.layout:
        used[node.option] += sum(count * placed.taken[item].shards for item, count in node.replicas.items())
    groups = []
    for option, count in sorted(placed.solution.nodes.items()):
        offer = placed.supply.offers[option]
        groups.append(
            NodeGroup(
                offer.node.name,
                offer.purchase,
                count,
                round(offer.hourly * count, 5),
                offer.device.name,
                offer.node.gpus,
                round(used[option] / offer.slices, 3),
                (offer.device.name.split(":")[1],) * offer.slices if offer.slices > 1 else (),
            )
        )
    return tuple(groups)


def _notes(requests: Sequence[ModelRequest], placed: Placed, models: Sequence[ModelPlan]) -> list[str]:
    notes = []
    taken = _gpus_taken(placed)
    for request, model in zip(requests, models, strict=True):
        if request.floor == 0 and request.objectives.ttft_p95 is not None:
            notes.append(
                f"{request.name}: sleeps at zero replicas; the first request after that waits "
                f"{duration(model.startup.cold_seconds)}, and ttft_p95 holds only while it is awake"
            )
        if model.gpu is None:
            continue
        kind = model.gpu.type.split(":")[0]
        most = _most_gpus(placed.supply, kind)
        if most is None:
            continue
        if request.rollout == "surge" and most - taken[kind] < model.gpu.shards:
            notes.append(
                f"{request.name}: a surge rollout needs {model.gpu.shards} more {kind} than the {most} there are; "
                "set rollout: in_place"
            )
        more = (request.ceiling - model.replicas) * model.gpu.shards
        if more > most - taken[kind]:
            notes.append(
                f"{request.name}: {request.ceiling} replicas (replicas.max) would need "
                f"{more - most + taken[kind]} more {kind} than the {most} there are"
            )
    if any(group.purchase == RESERVED for group in _nodes(placed)):
        notes.append("reserved nodes are paid for already and cost nothing here")
    return notes


def _gpus_taken(placed: Placed) -> Counter[str]:
    taken: Counter[str] = Counter()
    for option, count in placed.solution.nodes.items():
        node = placed.supply.offers[option].node
        taken[node.gpu] += node.gpus * count
    return taken


def _most_gpus(supply: Supply, kind: str) -> int | None:
    """Return how many GPUs of a kind there may be, or None for no limit."""
    limits = [supply.quotas[kind]] if kind in supply.quotas else []
    offers = [offer for offer in supply.offers if offer.node.gpu == kind]
    if offers and all(offer.limit is not None for offer in offers):
        limits.append(sum(offer.node.gpus * (offer.limit or 0) for offer in offers))
    return min(limits, default=None)
