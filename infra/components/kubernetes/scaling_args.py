"""What a model's scaler is asked for."""

from typing import NotRequired, TypedDict


class ScalingFloor(TypedDict):
    """Replicas that run at given hours whatever the load, so that a known peak finds them warm."""

    start: str
    """Cron expression of the hours' begin: minute, hour, day of month, month, day of week (`0 8 * * 1-5`)."""
    end: str
    """Cron expression of their end."""
    timezone: str
    """Name in the IANA database, such as Europe/Berlin: wall-clock time, summer time included."""
    replicas: int
    """Least replicas meanwhile. The load may ask for more, up to `max`."""


class ServerScaling(TypedDict):
    """One model's scaler. Replicas follow the demand at the gateway first, and the queues of the engines second."""

    min: int
    """Least replicas. 0: an idle model stops, and a request that the gateway holds starts it."""
    max: int
    """Most replicas."""
    in_flight: float
    """Requests of one replica to aim at: in flight, or held at a gateway for want of a replica. More requests than
    that times the replicas add one, fewer take one away."""
    queue: NotRequired[float]
    """Requests waiting in the engine's queue, for each replica, to aim at: the second signal, which sees what the first
    does not (long prompts, uneven replicas). Default: the engine's queue is not looked at."""
    cooldown_seconds: NotRequired[int]
    """Seconds from when the signals are quiet (five minutes after the last request) until the last replica stops. Only
    with `min` 0. Default: 600."""
    stabilization_seconds: NotRequired[int]
    """Seconds for which the load must have been lower before replicas go. At least what a replica takes to start, or
    they are taken away just before they are wanted. Default: 600."""
    up_period_seconds: NotRequired[int]
    """Replicas may double, or become four more, once in this time. Default: 15."""
    down_period_seconds: NotRequired[int]
    """One replica may go in this time. Default: 60."""
    polling_seconds: NotRequired[int]
    """Between two looks at a model without a replica. Default: 10."""
    floors: NotRequired[list[ScalingFloor]]
    """Replicas by the clock. Default: none."""
    blind_replicas: NotRequired[int]
    """Least replicas, of a model that runs, while the signals are lost; never fewer than run just then. Default: `min`,
    or 1."""
    prometheus: NotRequired[str]
    """Base URL of the Prometheus that scrapes gateways and servers. Default: the kit's, in the same namespace."""
    matchers: NotRequired[dict[str, str]]
    """Labels that tell this stack's series from others' where one Prometheus serves several, such as
    {"namespace": "llm"}. Default: none."""
