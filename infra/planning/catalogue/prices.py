"""What a node costs an hour: on demand by region, spot as a factor, both with a date."""

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from infra.planning.errors import PlanError, problem

HOURS_A_MONTH = 730.0


@dataclass(frozen=True, slots=True)
class Prices:
    """Dollars an hour in one region."""

    region: str
    date: str
    source: str
    on_demand: Mapping[str, float]
    spot_factor: float
    """Typical spot price over on-demand price."""
    spot_date: str

    def get(self, instance: str) -> float | None:
        """Return dollars an hour on demand, or None where the type has no such price in the region."""
        return self.on_demand.get(instance)


@cache
def prices(region: str, place: str = "berth:region") -> Prices:
    """Return a region's prices. Raises PlanError that names the regions that have some, and how to fetch others."""
    content = json.loads(files("infra.planning.data").joinpath("prices.json").read_text())
    regions = content["regions"]
    if region not in regions:
        near = difflib.get_close_matches(region, regions, 1, 0.3) or [next(iter(regions))]
        raise PlanError(
            [
                problem(
                    place,
                    region,
                    "no prices are known for this region",
                    f"nearest with prices: {near[0]}; "
                    f"or fetch them: python -m infra.planning.catalogue.refresh --region {region}",
                )
            ]
        )
    entry = regions[region]
    spot = content["spot"]
    return Prices(region, entry["date"], entry["source"], entry["on_demand"], spot["factor"], spot["date"])
