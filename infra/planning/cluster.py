"""The plan of a cluster: every model sized and placed at least cost.

Sizing a candidate runs its queue, which takes a tenth of a second; there are hundreds of candidates. So the solver
starts from lower bounds on replicas, and only the candidates that it takes are sized; it is asked again until all that
it takes are. Every other candidate costs at least its bound, so the end is optimal over all of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infra.planning.candidates import Candidate, candidates_of, size_candidate, spread_of
from infra.planning.checks import check_request
from infra.planning.errors import PlanError, Problem, problem
from infra.planning.performance.calibration import Calibration
from infra.planning.placement import Choice, Item, Solution, UnsolvableError, solve
from infra.planning.placement import Problem as PlacementProblem
from infra.planning.plan import Plan
from infra.planning.refusal import refusal
from infra.planning.request import ModelRequest
from infra.planning.supply import OWNED, SPOT, Supply

MOVING = 0.05
"""Share of a replica's hourly price that moving it counts as: a move that saves less is not worth a restart."""


@dataclass(frozen=True, slots=True)
class Placed:
    """What the solver decided, in the planner's words."""

    requests: tuple[ModelRequest, ...]
    """Models that need a device."""
    candidates: tuple[tuple[Candidate, ...], ...]
    """All of each model, refused ones included."""
    taken: tuple[Candidate, ...]
    solution: Solution
    supply: Supply


def place(
    requests: Sequence[ModelRequest],
    supply: Supply,
    *,
    previous: Plan | None = None,
    calibrations: Sequence[Calibration] = (),
) -> Placed:
    """Return the least-cost placement. Raises PlanError with every problem found."""
    problems = [found for request in requests for found in check_request(request)]
    if problems:
        raise PlanError(problems)
    with_device = tuple(request for request in requests if request.gpu != "none")
    candidates = tuple(tuple(candidates_of(request, supply, calibrations)) for request in with_device)
    options = tuple(offer.option() for offer in supply.offers)
    while True:
        alive = [[candidate for candidate in found if not candidate.refused] for found in candidates]
        lost = [
            refusal(request, found, supply)
            for request, found, left in zip(with_device, candidates, alive, strict=True)
            if not left
        ]
        if lost:
            raise PlanError(lost)
        items = tuple(_item(request, left, supply, previous) for request, left in zip(with_device, alive, strict=True))
        asked = PlacementProblem(items, options, supply.quotas, _bought(supply, previous), MOVING if previous else 0.0)
        try:
            solution = solve(asked)
        except UnsolvableError:
            raise PlanError(_no_room(with_device, alive, supply, asked)) from None
        taken = [left[number] for left, number in zip(alive, solution.choices, strict=True)]
        unsized = [(c, request) for c, request in zip(taken, with_device, strict=True) if not c.sized]
        if not unsized:
            return Placed(with_device, candidates, tuple(taken), solution, supply)
        for candidate, request in unsized:
            size_candidate(candidate, request)


def _item(request: ModelRequest, alive: Sequence[Candidate], supply: Supply, previous: Plan | None) -> Item:
    choices = tuple(
        Choice(candidate.gpu.name, candidate.shards, candidate.replicas + request.extra_replicas, candidate.offers)
        for candidate in alive
    )
    before: dict[tuple[str, int, bool], int] = {}
    cheapest = 0.0
    if previous is not None:
        for assignment in previous.assignments:
            if assignment.model == request.name:
                key = (assignment.gpu, assignment.shards, assignment.purchase == SPOT)
                before[key] = before.get(key, 0) + assignment.replicas
        prices = [
            offer.hourly / offer.units * shards
            for device, shards, _ in before
            for offer in supply.offers
            if offer.device.name == device and offer.hourly
        ]
        cheapest = min(prices, default=0.0)
    return Item(request.name, choices, spread_of(request), request.spot, before, MOVING * cheapest)


def _bought(supply: Supply, previous: Plan | None) -> Mapping[int, int]:
    if previous is None:
        return {}
    kept = {}
    for index, offer in enumerate(supply.offers):
        for group in previous.nodes:
            if (group.node_type, group.purchase, group.gpu) == (offer.node.name, offer.purchase, offer.device.name):
                kept[index] = group.count
    return kept


def _no_room(
    requests: Sequence[ModelRequest], alive: Sequence[Sequence[Candidate]], supply: Supply, asked: PlacementProblem
) -> list[Problem]:
    """Name quotas or pools that are too small, by how much for the models that can use nothing else."""
    problems = []
    unlimited = PlacementProblem(asked.items, asked.options)
    try:
        solution = solve(unlimited)
    except UnsolvableError:
        solution = None
    used: dict[str, int] = {}
    if solution is not None:
        for option, count in solution.nodes.items():
            used[asked.options[option].quota] = used.get(asked.options[option].quota, 0) + (
                count * asked.options[option].quota_units
            )
    for gpu, most in supply.quotas.items():
        if used.get(gpu, 0) > most:
            place = f"aws.quotas.{gpu}"
            rule = f"is {used[gpu] - most} less than the cheapest plan takes, and no other type has room"
            problems.append(problem(place, most, rule, f"ask for a quota of {used[gpu]}, or allow other types"))
    if not problems:
        least = {
            request.name: min(candidate.replicas * candidate.shards for candidate in left)
            for request, left in zip(requests, alive, strict=True)
        }
        have = sum(offer.node.gpus * (offer.limit or 0) for offer in supply.offers if offer.purchase == OWNED)
        needed = ", ".join(f"{name} {count}" for name, count in least.items())
        spread = [f"{request.name} on {spread_of(request)} nodes" for request in requests if spread_of(request) > 1]
        apart = f" ({', '.join(spread)})" if spread else ""
        rule = f"has {have} GPUs; the models need at least {needed}{apart}, and cannot all be laid out"
        problems.append(problem("kubernetes.nodes", None, rule, "add nodes, lower replicas, or leave out a model"))
    return problems
