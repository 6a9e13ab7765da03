"""`plan(settings)`: the one way in."""

from pathlib import Path
from typing import TYPE_CHECKING

from infra.planning.adapter import located, model_requests
from infra.planning.errors import PlanError
from infra.planning.local import plan_local
from infra.planning.plan import Plan

if TYPE_CHECKING:
    from infra.settings import Settings


def plan(settings: "Settings", *, previous: Plan | None = None, store: Path | None = None) -> Plan:
    """Return what a stack will run.

    `previous` is the last deployed plan: placement moves away from it only when that pays. `store` is a model store's
    root, read for the shapes of staged models. Raises PlanError with file, line and way out of every problem.
    """
    try:
        requests = model_requests(settings, store)
        return plan_local(settings.stack, requests, settings.local.memory)
    except PlanError as error:
        raise located(settings, error) from error
