"""The sets of servers of a model: its own, its canary's, its shadow's. The same on every platform."""

from dataclasses import dataclass

from infra.planning import ModelPlan
from infra.settings import Settings


@dataclass(frozen=True, slots=True)
class Revision:
    """Servers with the same weights: those of a model, of its canary, or of its shadow."""

    server: str
    """Name of the component, and the beginning of its replicas' names."""
    backends: str
    """The set of backends that they join."""
    source: str
    replicas: int
    fixed: bool
    """Whether they are so many always; a scaler may move the model's own."""
    weights: tuple[int, ...] = ()
    """One a replica for the policy `weighted`; empty for equal ones."""


def revisions(settings: Settings, plan: ModelPlan) -> list[Revision]:
    """The model itself, then its canary and its shadow where the stack file has them."""
    name, wanted = plan.model, settings.models[plan.model]
    weights = settings.routing_of(name).weights or ()
    found = [Revision(name, name, str(wanted.source), plan.replicas, wanted.replicas.fixed, weights)]
    for kind, other in (("canary", wanted.canary), ("shadow", wanted.shadow)):
        if other is not None:
            found.append(Revision(f"{name}-{kind}", f"{name}.{kind}", str(other.source), other.replicas, fixed=True))
    return found
