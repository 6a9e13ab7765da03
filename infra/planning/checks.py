"""What is wrong with a request before any device is looked at."""

from infra.planning.candidates import BEST_AVAILABILITY
from infra.planning.errors import Problem, problem
from infra.planning.limits import check_context
from infra.planning.request import ModelRequest
from infra.planning.shapes import Task

_MOST_RATE = 1_000_000.0
_LEAST_SECONDS = 0.001
ONLY_LOCAL = {"ngram"}
"""Families that the kit invented."""


def check_request(request: ModelRequest) -> list[Problem]:
    """Return everything that no device could mend: lengths, traffic, objectives, replicas."""
    return [*check_context(request), *_check_traffic(request), *_check_objectives(request), *_check_engine(request)]


def _check_traffic(request: ModelRequest) -> list[Problem]:
    demand = request.demand
    if demand is None:
        return []
    place = f"{request.place}.traffic"
    problems = []
    if not 0 < demand.requests_per_second <= _MOST_RATE:
        rule = f"is not between 0 and {_MOST_RATE:,.0f}"
        problems.append(
            problem(
                f"{place}.requests_per_second", demand.requests_per_second, rule, "leave traffic out when there is none"
            )
        )
    if demand.prompt_tokens < 1:
        problems.append(
            problem(f"{place}.prompt_tokens", demand.prompt_tokens, "is less than one token", "set 1 or more")
        )
    if not 0 <= demand.prefix_hit_share < 1:
        rule = "is not a share below 1: the last token of a prompt is always computed"
        problems.append(problem(f"{place}.prefix_hit_share", demand.prefix_hit_share, rule, "set 0 to 0.99"))
    generates = request.shape.task is Task.GENERATE
    if generates and demand.output_tokens < 1:
        problems.append(
            problem(f"{place}.output_tokens", demand.output_tokens, "is less than one token", "set the mean answer")
        )
    total = demand.prompt_tokens + (demand.output_tokens if generates else 0)
    if total > request.context:
        rule = f"with the answer makes {total:g} tokens on average, more than the context of {request.context}"
        problems.append(
            problem(f"{place}.prompt_tokens", f"{demand.prompt_tokens:g}", rule, f"set context to {int(total)} or more")
        )
    return problems


def _check_objectives(request: ModelRequest) -> list[Problem]:
    objectives = request.objectives
    place = f"{request.place}.objectives"
    problems = []
    for name, seconds in (("ttft_p95", objectives.ttft_p95), ("itl_p95", objectives.itl_p95)):
        if seconds is not None and seconds < _LEAST_SECONDS:
            problems.append(
                problem(f"{place}.{name}", f"{seconds:g} s", "is shorter than any engine's step", "set 1ms or more")
            )
        if seconds is not None and request.demand is None:
            rule = "cannot be planned for without traffic"
            problems.append(problem(f"{place}.{name}", f"{seconds:g} s", rule, f"add {request.place}.traffic"))
        if seconds is not None and request.gpu == "none":
            rule = "cannot be planned for on CPUs, whose speed is not known"
            way_out = "leave it out" if request.engine == "local" else "set gpu: auto, or leave it out"
            problems.append(problem(f"{place}.{name}", f"{seconds:g} s", rule, way_out))
    if objectives.itl_p95 is not None and request.shape.task is Task.EMBED:
        rule = "means nothing for embeddings, which have one answer"
        problems.append(problem(f"{place}.itl_p95", f"{objectives.itl_p95:g} s", rule, "leave it out"))
    promised = objectives.availability
    if promised is not None and promised > BEST_AVAILABILITY:
        rule = f"is more than one region promises ({BEST_AVAILABILITY} %)"
        problems.append(problem(f"{place}.availability", promised, rule, f"set {BEST_AVAILABILITY} or less"))
    return problems


def _check_engine(request: ModelRequest) -> list[Problem]:
    problems = []
    if request.shape.task is Task.EMBED and request.engine in {"tgi", "vllm"}:
        rule = f"does not serve {request.shape.family} encoders"
        problems.append(problem(f"{request.place}.engine", request.engine, rule, "set tei"))
    if request.shape.task is Task.GENERATE and request.engine == "tei":
        problems.append(problem(f"{request.place}.engine", "tei", "serves encoders only", "set tgi or vllm"))
    if request.shape.encoder_layers and request.engine == "vllm":
        rule = f"does not serve {request.shape.family} encoder-decoders"
        problems.append(problem(f"{request.place}.engine", "vllm", rule, "set tgi"))
    if request.shape.family in ONLY_LOCAL and request.engine != "local":
        rule = f"does not serve {request.shape.family} models"
        problems.append(problem(f"{request.place}.engine", request.engine, rule, "set local"))
    if request.gpu == "none" and request.engine in {"tgi", "vllm"}:
        problems.append(problem(f"{request.place}.gpu", "none", f"{request.engine} needs a GPU", "set gpu: auto"))
    if request.shards is not None and request.shape.heads % request.shards:
        divisors = [count for count in range(1, 65) if request.shape.heads % count == 0]
        near = min(divisors, key=lambda count: abs(count - (request.shards or 1)))
        rule = f"does not divide the model's {request.shape.heads} heads"
        problems.append(problem(f"{request.place}.shards", request.shards, rule, f"set {near}"))
    return problems
