"""Why a model can run nowhere, and the nearest thing that works."""

from collections.abc import Sequence
from dataclasses import replace

from infra.planning.candidates import Candidate, best_attempt
from infra.planning.catalogue import gpus
from infra.planning.errors import Problem, problem
from infra.planning.fit import Fit, fit, shard_degrees
from infra.planning.request import ModelRequest
from infra.planning.supply import Supply
from infra.planning.text import size

_NODE_GPUS = 8
"""GPUs that the largest nodes hold."""


def refusal(request: ModelRequest, candidates: Sequence[Candidate], supply: Supply) -> Problem:
    """Return the one problem that best explains why none of the candidates is left."""
    if not candidates:
        offered = ", ".join(sorted({offer.node.gpu for offer in supply.offers})) or "none"
        return problem(
            f"{request.place}.gpu",
            request.gpu,
            "is not on offer here",
            f"on offer: {offered}; set one of these or auto",
        )
    best = best_attempt(candidates, request)
    if best is None:
        return _no_fit(request, candidates)
    if best.binds in {"ttft_p95", "itl_p95"}:
        return _objective(request, best)
    if best.binds == "replicas.max":
        need = best.replicas
        what = _name(best)
        return problem(
            f"{request.place}.replicas.max", request.ceiling,
            f"is {need - request.ceiling} less than the traffic needs on {what}, the fewest of any",
            f"set max: {need}",
        )  # fmt: skip
    return problem(f"{request.place}.gpu", request.gpu, f"{_name(best)}: {best.refused}", "allow another GPU type")


def _objective(request: ModelRequest, best: Candidate) -> Problem:
    objectives = request.objectives
    asked = objectives.ttft_p95 if best.binds == "ttft_p95" else objectives.itl_p95
    near = best.reach * 1.05
    return problem(
        f"{request.place}.objectives.{best.binds}", _ms(asked or 0.0),
        f"cannot be kept: the fastest allowed, {_name(best)}, takes {_ms(best.reach)} on an idle replica "
        f"(stated error {best.efficiency.error:.0%})",
        f"set {_ms(near)} or more, or allow a faster GPU",
    )  # fmt: skip


def _no_fit(request: ModelRequest, candidates: Sequence[Candidate]) -> Problem:
    nearest = min(candidates, key=lambda candidate: candidate.short_bytes or float("inf"))
    return problem(f"{request.place}.gpu", request.gpu, f"{_name(nearest)}: {nearest.refused}", _ways(request))


def _ways(request: ModelRequest) -> str:
    """Return what would fit: the same devices in more shards, a quantisation, or the smallest device that does."""
    ways = []
    own = gpus().get(request.gpu)
    if own is not None and request.shards is None:
        for shards in shard_degrees(request.shape, _NODE_GPUS):
            found = fit(request, own, shards)
            if isinstance(found, Fit) and shards > 1:
                ways.append(f"{shards} x {own.name}")
                break
    if own is not None and request.shape.quantisation is None and request.quantize is None:
        for method in ("fp8", "bitsandbytes"):
            smaller = replace(request, quantize=method)
            found = fit(smaller, own, request.shards or 1)
            if isinstance(found, Fit):
                ways.append(f"quantize: {method} ({size(found.weights_bytes)} of weights)")
                break
    fitting = [
        (gpu.memory_bytes * shards, gpu.bandwidth, shards, gpu.name)
        for gpu in gpus().values()
        for shards in ([request.shards] if request.shards else shard_degrees(request.shape, _NODE_GPUS))
        if isinstance(fit(request, gpu, shards), Fit)
    ]
    if fitting:
        _, _, shards, name = min(fitting)
        ways.append(f"{shards} x {name}" if shards > 1 else name)
    kept = list(dict.fromkeys(ways))
    return f"would fit: {', or '.join(kept)}" if kept else "no node type holds it; take a smaller or quantised model"


def _name(candidate: Candidate) -> str:
    return f"{candidate.shards} x {candidate.gpu.name}" if candidate.shards > 1 else candidate.gpu.name


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f}ms" if seconds < 10 else f"{seconds:.0f}s"
