"""Models that may stop altogether: whether the request that wakes one can live to see it."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from infra.planning.plan import ModelPlan

if TYPE_CHECKING:
    from infra.settings import Settings

_SIGHT_SECONDS = 30.0
"""From the request to the decision: a scrape and a look of the scaler, 15 s each at most."""


def waking_notes(settings: "Settings", models: Iterable[ModelPlan]) -> Iterator[str]:
    """Yield a note for each model whose first request is given up before its replica has started."""
    held = settings.gateway.hold.ttl
    for planned in models:
        if settings.models[planned.model].replicas.min > 0:
            continue
        needed = _SIGHT_SECONDS + planned.startup.cold_seconds
        if held < needed:
            yield (
                f"{planned.model}: wakes from zero in about {needed:.0f} s, but the gateway holds requests for "
                f"{held:g} s (gateway.hold.ttl): the first ones get 503 with Retry-After; set ttl to "
                f"{_minutes(needed)}m or more, or replicas.min to 1"
            )


def _minutes(seconds: float) -> int:
    return int(-(-seconds // 60))
