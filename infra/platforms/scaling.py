"""A model's scaler, from the stack file and the plan."""

from infra.components.kubernetes.scaling_args import ScalingFloor, ServerScaling
from infra.planning.plan import ModelPlan
from infra.settings import Floor, Model, Scaling
from infra.settings.models import Traffic

_HEADROOM = 0.8
"""Share of a replica's requests to aim at: while the next one starts, which takes minutes, this one takes the rest."""
_QUEUE_SHARE = 0.25
"""Of concurrency, waiting in the engine's queue: uneven work makes short queues, a lack of replicas lasting ones."""
_LEAST_COOLDOWN_SECONDS = 900.0
_QUIET_SECONDS = 300.0
"""After its last request a model still counts as active for so long (`scaling_queries.activity`)."""
_LEAST_STABILIZATION_SECONDS, _MOST_STABILIZATION_SECONDS = 300.0, 3600.0


def scaling_args(model: Model, planned: ModelPlan) -> ServerScaling | None:
    """What scales the model; None where its replicas are fixed."""
    if model.replicas.fixed:
        return None
    given, cold = model.scaling or Scaling(), planned.startup.cold_seconds
    cooldown = given.cooldown or max(_LEAST_COOLDOWN_SECONDS, 2 * cold)
    # Shorter than a start, and a replica would go just before the next wave of load.
    stabilization = given.stabilization or min(max(_LEAST_STABILIZATION_SECONDS, cold), _MOST_STABILIZATION_SECONDS)
    args: ServerScaling = {
        "min": model.replicas.min,
        "max": model.replicas.max,
        "in_flight": given.in_flight or in_flight(planned, model.traffic),
        "queue": given.queue or max(1.0, round(_QUEUE_SHARE * planned.limits.max_concurrent_requests, 1)),
        "stabilization_seconds": round(stabilization),
    }
    if model.replicas.min == 0:
        args["cooldown_seconds"] = round(cooldown - _QUIET_SECONDS)
    if given.floors:
        args["floors"] = [_floor(floor) for floor in given.floors]
    return args


def in_flight(planned: ModelPlan, traffic: Traffic | None) -> float:
    """Requests in flight of one replica to aim at.

    By Little's law what is in flight at the rate that keeps the objectives: rate times the mean time of a request,
    for which stand the planned median time to the first token and the planned times between tokens. At most the
    headroom's share of what a replica works on at a time, and at least one.
    """
    most = _HEADROOM * planned.limits.max_concurrent_requests
    if planned.performance is None or traffic is None:
        return max(1.0, round(most, 1))
    seen = planned.performance
    seconds = seen.ttft_p50 + (traffic.output_tokens or 0) * seen.itl_p95
    return max(1.0, round(min(most, seen.replica_capacity * seconds), 1))


def _floor(floor: Floor) -> ScalingFloor:
    return {"start": floor.start, "end": floor.end, "timezone": floor.timezone, "replicas": floor.replicas}
