"""The plan of the local platform: processes and host memory, no accelerators."""

import os
from collections.abc import Sequence

from infra.planning.engine_options import engine_options
from infra.planning.errors import PlanError, Problem, problem
from infra.planning.limits import check_context, engine_limits
from infra.planning.plan import ModelPlan, Plan, Stage, Startup
from infra.planning.request import ModelRequest
from infra.planning.shapes import Task
from infra.planning.text import size

_BASE_BYTES = 90 * 10**6
"""Interpreter, CTranslate2, HTTP server, tokenizer before any weights: 66 to 110 MB measured with weights of 9 MB."""
_WEIGHTS_FACTOR = 1.3
"""Float 32 weights as CTranslate2 holds them, and what its kernels pack beside them."""
_NGRAM_FACTOR = 6.0
"""Arrays of an n-gram model in memory over its file: keys and children are widened to 64 bits."""
_ENCODER_INPUTS = 32
"""Inputs that an encoder takes at once (the largest request that the local engine accepts)."""
_PREFIX_CACHE_TOKENS = "8192"
"""The local engine's own default."""
_REQUEST_BYTES = 2 * 10**6
"""Text, tokens and an open connection."""
_HEADROOM = 1.25
_HOST_SHARE = 0.9
"""What servers may take of a machine's memory; the rest is the system's, the gateway's and Prometheus's."""
_MIB = 2**20


def host_memory_bytes() -> int:
    """Return the machine's memory that servers may take: a share of what is built in, so that it does not change."""
    return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * _HOST_SHARE)


def process_memory_bytes(request: ModelRequest) -> int:
    """Return what one server process takes, rounded up to MiB, with headroom.

    Base + weights in float 32 + KV cache in float 32 of the requests that decode at once (or an encoder's activations)
    + open requests. Measured peaks of the kit's models under 16 requests at once: tiny-gpt2 149 MB, tiny-t5 154 MB,
    MiniLM 283 MB, n-gram 91 MB.
    """
    shape = request.shape
    if shape.family == "ngram":
        weights = shape.weights_bytes * _NGRAM_FACTOR
        cache = 0.0
    else:
        weights = shape.parameters * 4 * _WEIGHTS_FACTOR
        workers = int(request.options.get("workers", "2"))
        cache = float(min(workers, request.concurrency) * request.context * shape.kv_bytes_per_token("float32"))
        cache += int(request.options.get("prefix-cache-tokens", _PREFIX_CACHE_TOKENS)) * shape.kv_bytes_per_token(
            "float32"
        )
    if shape.task is Task.EMBED:
        # Six float 32 values of the hidden width a token: residual, queries, keys, values, and the wider feed-forward.
        cache = float(_ENCODER_INPUTS * request.context * 6 * shape.hidden * 4)
    total = (_BASE_BYTES + weights + cache + request.concurrency * _REQUEST_BYTES) * _HEADROOM
    return -int(-total // _MIB) * _MIB


def plan_local(stack: str, requests: Sequence[ModelRequest], memory_limit: int | None) -> Plan:
    """Return the local plan. Raises PlanError with all problems: contexts too long, memory asked too small, no room.

    `memory_limit` is what all servers together may take, in bytes; None stands for the machine's own.
    """
    problems: list[Problem] = []
    models = []
    for request in requests:
        problems += check_context(request)
        models.append(_plan_model(request, problems))
    total = sum(model.memory_bytes * (model.ceiling + request.extra_replicas)
                for model, request in zip(models, requests, strict=True))  # fmt: skip
    limit = host_memory_bytes() if memory_limit is None else memory_limit
    if total > limit:
        problems.append(_no_room(models, total, limit, "local.memory" if memory_limit is not None else "models"))
    if problems:
        raise PlanError(problems)
    return Plan(stack=stack, platform="local", models=tuple(models), memory_bytes=total)


def _plan_model(request: ModelRequest, problems: list[Problem]) -> ModelPlan:
    shape = request.shape
    needed = process_memory_bytes(request)
    memory = needed
    why = [
        f"one process takes {size(needed)}: weights of {size(shape.weights_bytes)} and {request.concurrency} requests"
    ]
    if request.memory_bytes is not None:
        memory = request.memory_bytes
        why = [f"memory is set to {size(memory)}; {size(needed)} are estimated"]
        least = needed / _HEADROOM
        if memory < least:
            rule = f"is {size(least - memory)} short of the least"
            problems.append(
                problem(f"{request.place}.memory", size(memory), rule, f"set at least {size(least)}, or leave it out")
            )
    if request.objectives.ttft_p95 or request.objectives.itl_p95:
        # The local engine's speed is the machine's; an objective that nobody checks must not look kept.
        rule = "cannot be planned on the local platform, whose speed is the machine's"
        way_out = "leave them out here, and keep them on kubernetes or aws"
        problems.append(problem(f"{request.place}.objectives", None, rule, way_out))
    return ModelPlan(
        model=request.name,
        engine=request.engine,
        task=str(shape.task),
        source=request.source,
        weights_bytes=shape.weights_bytes,
        limits=engine_limits(request),
        options=engine_options(request),
        replicas=max(1, request.floor),
        floor=request.floor,
        ceiling=request.ceiling,
        memory_bytes=memory,
        # Measured: ready in about two seconds, ten times as long on a machine under load.
        startup=Startup((Stage("process", 2.0),), 2.0, 2.0, probe_period_seconds=2, probe_failures=30),
        why=tuple(why),
    )


def _no_room(models: Sequence[ModelPlan], total: int, limit: int, place: str) -> Problem:
    largest = max(models, key=lambda model: model.memory_bytes * model.ceiling)
    each = size(largest.memory_bytes)
    over = total - limit
    fewer = -(-over // largest.memory_bytes)
    way = (
        f"run {largest.ceiling - fewer} instead of {largest.ceiling} replicas of {largest.model} ({each} each)"
        if fewer < largest.ceiling
        else f"leave out {largest.model} ({each} each), or take a smaller model"
    )
    return problem(place, size(limit), f"all replicas together need {size(total)}, {size(over)} too much", way)
