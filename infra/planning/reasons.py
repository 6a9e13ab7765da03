"""Why a model runs as it does, in a reader's words."""

from collections.abc import Sequence

from infra.planning.candidates import Candidate, spread_of
from infra.planning.request import ModelRequest
from infra.planning.supply import SPOT, Supply
from infra.planning.text import dollars, rate, tokens

_SHOWN = 2
"""Cheaper ways that are listed with what they break."""


def reasons(
    request: ModelRequest, taken: Candidate, candidates: Sequence[Candidate], supply: Supply, hourly: float
) -> list[str]:
    """Return sentences: why this device, what binds, what cheaper ways would break."""
    why = [_why_device(request, taken, candidates), _why_replicas(request, taken)]
    if taken.fitted is not None and taken.fitted.kv_tokens:
        planned, bound = tokens(taken.fitted.kv_tokens), tokens(taken.fitted.kv_tokens_bound)
        why.append(f"KV cache for {planned} tokens planned, {bound} by formula")
    priced = [
        (price, candidate)
        for candidate in candidates
        if candidate is not taken and not candidate.gpu.neuron
        for price in [_least_cost(candidate, supply)]
        if price is not None
    ]
    cheaper = sorted((entry for entry in priced if entry[0] < hourly), key=lambda entry: -entry[0])
    for price, candidate in cheaper[:_SHOWN]:
        broken = (
            candidate.refused or f"is {dollars(price)} an hour by itself, but quotas or the other models leave no room"
        )
        why.append(f"cheaper, but {_name(candidate)}: {broken}")
    if request.gpu == "auto":
        dearer = sorted((price, _name(c)) for price, c in priced if not c.refused and price >= hourly)
        why += [f"next: {name}, {dollars(price)} an hour or more" for price, name in dearer[:1]]
    return why


def _why_device(request: ModelRequest, taken: Candidate, candidates: Sequence[Candidate]) -> str:
    name = _name(taken)
    if request.gpu != "auto":
        return f"{name}: set in the stack file"
    alive = sum(1 for candidate in candidates if not candidate.refused)
    return f"{name}: the cheapest of {alive} ways that keep what is asked, of {len(candidates)} looked at"


def _why_replicas(request: ModelRequest, taken: Candidate) -> str:
    count = f"{taken.replicas} replica{'s' if taken.replicas > 1 else ''}"
    found, demand = taken.capacity, request.demand
    spread = spread_of(request)
    more = f", {spread - 1} of them to spare for availability" if spread > 1 else ""
    if found is None or demand is None:
        return f"{count}: replicas.min, and no traffic is given{more}"
    asked = demand.requests_per_second
    limit = (
        f"one takes {rate(found.kept)} requests/s before {_binds(found.binds)} ({rate(found.saturation)} at saturation)"
    )
    if taken.replicas > max(1, -int(-asked // found.kept)) + spread - 1:
        return f"{count}: replicas.min; {limit}, the traffic is {rate(asked)}"
    return f"{count} for {rate(asked)} requests/s{more}: {limit}"


def _binds(what: str) -> str:
    return "it is as full as is safe" if what == "saturation" else f"{what} breaks"


def _least_cost(candidate: Candidate, supply: Supply) -> float | None:
    """Return the least that a candidate's replicas cost an hour, by the cheapest unit on offer."""
    units = [
        offer.hourly / offer.units
        for offer in supply.offers
        if offer.device.name == candidate.gpu.name and offer.purchase != SPOT and offer.units >= candidate.shards
    ]
    return min(units) * candidate.shards * max(1, candidate.replicas) if units else None


def _name(candidate: Candidate) -> str:
    return f"{candidate.shards} x {candidate.gpu.name}" if candidate.shards > 1 else candidate.gpu.name
