"""What a placement costs, by model and in all."""

from collections.abc import Mapping

from infra.planning.cluster import Placed
from infra.planning.plan import Cost

_HOUR = 3600.0


def hourly_by_model(placed: Placed) -> Mapping[str, float]:
    """Return dollars an hour by model. A node's price is shared by the units that each model uses of it.

    Units that nobody uses are paid by the models on the node, so that the sum is what is paid.
    """
    shares: dict[str, float] = {request.name: 0.0 for request in placed.requests}
    for node in placed.solution.layout:
        offer = placed.supply.offers[node.option]
        used = {item: count * placed.taken[item].shards for item, count in node.replicas.items()}
        total = sum(used.values())
        for item, units in used.items():
            shares[placed.requests[item].name] += offer.hourly * units / total
    return shares


def cost(hourly: float, rate: float, tokens: float, saturation: float) -> Cost:
    """Return the cost of one model.

    `rate` requests a second of `tokens` each (prompt and answer), on replicas that saturate at `saturation` requests a
    second together; 0 for unknown.
    """
    at_traffic = hourly / (rate * tokens * _HOUR) * 1e6 if rate and tokens else None
    at_saturation = hourly / (saturation * tokens * _HOUR) * 1e6 if saturation and tokens else None
    idle = max(0.0, 1.0 - rate / saturation) if saturation and rate else 0.0
    return Cost(
        round(hourly, 5),
        None if at_traffic is None else round(at_traffic, 4),
        None if at_saturation is None else round(at_saturation, 4),
        round(idle, 4),
    )
