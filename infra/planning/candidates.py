"""Ways to run a model: a device, a number of shards, and how many replicas that takes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from infra.planning.catalogue import Gpu
from infra.planning.fit import Fit, Misfit, fit, shard_degrees
from infra.planning.performance.calibration import Calibration
from infra.planning.performance.capacity import Capacity, Traffic, replicas_for, saturation_bound
from infra.planning.performance.simulate import Engine
from infra.planning.performance.timing import Efficiency, Placement, roofline
from infra.planning.request import ModelRequest
from infra.planning.shapes import Task
from infra.planning.supply import Supply

NODE_AVAILABILITY = 0.995
"""Of one node: AWS's instance-level service agreement. A model that promises more stands on several."""
BEST_AVAILABILITY = 99.99
"""Percent; the region-level agreement. No number of replicas in one region promises more."""
_BOUND_MARGIN = 1.25
"""The queue's saturation is up to 10 % above the closed form; the bound must not be below it."""
_FP8_CAPABILITY = 8.9
_ENDLESS = 1 << 40


@dataclass(slots=True)
class Candidate:
    """One way to run a model."""

    gpu: Gpu
    shards: int
    fitted: Fit | None
    engine: Engine | None
    efficiency: Efficiency
    traffic: Traffic | None
    offers: tuple[int, ...] = ()
    """Offers whose nodes can hold a replica."""
    replicas: int = 0
    """At least so many; exactly so many once `sized`."""
    sized: bool = False
    refused: str = ""
    """Why it cannot be taken."""
    binds: str = ""
    """What keeps a replica from taking more traffic; the objective that is broken when it is refused for one."""
    reach: float = 0.0
    """The best that a refused one does on the objective it breaks, seconds."""
    capacity: Capacity | None = None
    short_bytes: int = 0
    notes: list[str] = field(default_factory=list)

    def refuse(self, why: str, binds: str = "fit") -> None:
        """Take it out of the choice."""
        self.refused, self.binds = why, binds


def spread_of(request: ModelRequest) -> int:
    """Return on how many nodes a model must stand: least n with (1 - availability of one)^n <= 1 - promise."""
    promised = request.objectives.availability
    if promised is None or promised <= NODE_AVAILABILITY * 100:
        return 1
    return math.ceil(math.log(1 - promised / 100) / math.log(1 - NODE_AVAILABILITY) - 1e-9)


def candidates_of(request: ModelRequest, supply: Supply, calibrations: Sequence[Calibration] = ()) -> list[Candidate]:
    """Return every device and shard count that may run the model, those that do not fit with their reason."""
    found = []
    for device in _allowed(request, supply):
        whole = ":" not in device.name
        most = max((offer.units for offer in supply.offers if offer.device.name == device.name), default=1)
        degrees = shard_degrees(request.shape, most) if whole else [1]
        if request.shards is not None:
            degrees = [request.shards] if whole or request.shards == 1 else []
        found += [_candidate(request, device, shards, supply, calibrations) for shards in degrees]
    return found


def size_candidate(candidate: Candidate, request: ModelRequest) -> None:
    """Replace the lower bound on replicas by the number the queue needs, or refuse."""
    candidate.sized = True
    if candidate.engine is None or candidate.traffic is None or request.demand is None:
        return
    objectives = request.objectives
    ttft, itl = objectives.ttft_p95, objectives.itl_p95 if request.shape.task is Task.GENERATE else None
    needed, found = replicas_for(request.demand.requests_per_second, candidate.engine, candidate.traffic, ttft, itl)
    candidate.capacity, candidate.binds = found, found.binds
    if not needed:
        outcome = found.alone
        reach = outcome.ttft_percentile(0.95) if found.binds == "ttft_p95" else outcome.itl_percentile(0.95)
        asked = ttft if found.binds == "ttft_p95" else itl
        candidate.reach = reach
        candidate.refuse(f"{found.binds} is {_ms(reach)} on an idle replica, more than {_ms(asked or 0)}", found.binds)
        return
    candidate.replicas = max(candidate.replicas, _least(request, needed))
    _check_ceiling(candidate, request)


def _allowed(request: ModelRequest, supply: Supply) -> list[Gpu]:
    devices = list(supply.devices.values())
    if request.gpu != "auto":
        return [device for device in devices if device.name == request.gpu]
    named = [device for device in devices if not supply.allowed or device.name.split(":")[0] in supply.allowed]
    return [device for device in named if not device.neuron]


def _candidate(
    request: ModelRequest, device: Gpu, shards: int, supply: Supply, calibrations: Sequence[Calibration]
) -> Candidate:
    fitted = fit(request, device, shards)
    candidate = Candidate(device, shards, None, None, Efficiency(), None)
    if isinstance(fitted, Misfit):
        candidate.refuse(fitted.rule)
        candidate.short_bytes = fitted.short_bytes
        return candidate
    candidate.fitted = fitted
    candidate.offers = tuple(
        index
        for index, offer in enumerate(supply.offers)
        if offer.device.name == device.name
        and offer.units >= shards
        and offer.cpu_millis * shards >= fitted.cpu_millis
        and offer.memory_bytes * shards >= fitted.memory_bytes
    )
    if not candidate.offers:
        candidate.refuse(
            f"no node on offer has {shards} of it with {fitted.memory_bytes / 2**30:.0f} GiB of host memory"
        )
        return candidate
    placed = Placement(
        request.shape,
        device,
        shards,
        fitted.kv_bytes_per_token,
        fitted.weights_bytes * shards,
        _eight_bit(request, device),
    )
    for measured in calibrations:
        if (measured.gpu, measured.shards, measured.engine) == (device.name, shards, request.engine) and (
            measured.model in request.source
        ):
            placed = replace(placed, efficiency=measured.efficiency(placed))
    candidate.efficiency = placed.efficiency
    kv = fitted.kv_tokens if request.shape.task is Task.GENERATE else _ENDLESS
    candidate.engine = Engine(roofline(placed), fitted.batch_tokens, request.concurrency, kv)
    candidate.replicas = _least(request, 0)
    if request.demand is not None:
        share = request.demand.prefix_hit_share if fitted.prefix_cache else 0.0
        candidate.traffic = Traffic(request.demand.prompt_tokens, request.demand.output_tokens, share, request.context)
        most = saturation_bound(candidate.engine, candidate.traffic) * _BOUND_MARGIN
        candidate.replicas = _least(request, math.ceil(request.demand.requests_per_second / most))
    _check_ceiling(candidate, request)
    return candidate


def _least(request: ModelRequest, needed: int) -> int:
    """Return replicas: what the traffic needs with the promised number of nodes down, and no less than the floor."""
    spread = spread_of(request)
    return max(needed + spread - 1, spread, request.floor, 1)


def _check_ceiling(candidate: Candidate, request: ModelRequest) -> None:
    if candidate.replicas > request.ceiling:
        least = "" if candidate.sized else "at least "
        candidate.refuse(
            f"needs {least}{candidate.replicas} replicas, replicas.max is {request.ceiling}", "replicas.max"
        )


def _eight_bit(request: ModelRequest, device: Gpu) -> bool:
    method = request.quantize or (request.shape.quantisation.method if request.shape.quantisation else "")
    return method in {"fp8", "fbgemm_fp8"} and device.capability >= _FP8_CAPABILITY


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


def best_attempt(candidates: Sequence[Candidate], request: ModelRequest) -> Candidate | None:
    """Return the refused candidate that came nearest to what was asked, sized in full where it fits."""
    fitting = [candidate for candidate in candidates if candidate.engine is not None]
    for candidate in fitting:
        if candidate.capacity is None and request.demand is not None and candidate.traffic is not None:
            size_candidate(candidate, request)
    if not fitting:
        return None
    return min(fitting, key=lambda candidate: (candidate.reach, candidate.replicas))
