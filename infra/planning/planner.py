"""`plan(settings)`: the one way in."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from infra.planning.adapter import located, model_requests
from infra.planning.assembly import assemble
from infra.planning.catalogue import Instance, aws_instances, prices
from infra.planning.cluster import place
from infra.planning.engine_check import check_engines
from infra.planning.errors import PlanError, Problem, problem
from infra.planning.local import plan_local
from infra.planning.performance.calibration import Calibration
from infra.planning.plan import Plan
from infra.planning.request import ModelRequest
from infra.planning.supply import Pool, Supply, aws_supply, cluster_supply, node_supply
from infra.planning.waking import waking_notes

if TYPE_CHECKING:
    from infra.settings import Settings


def plan(
    settings: "Settings",
    *,
    previous: Plan | None = None,
    store: Path | None = None,
    calibrations: Sequence[Calibration] = (),
    nodes: Sequence[Instance] = (),
) -> Plan:
    """Return what a stack will run.

    `previous` is the last deployed plan: placement moves away from it only when that pays. `store` is a model store's
    root, read for the shapes of staged models. `calibrations` replace default speeds (see read_calibrations). `nodes`
    are a cluster's, for stacks that do not list them (see instance_from_labels). Raises PlanError with file, line and
    way out of every problem.
    """
    try:
        requests = model_requests(settings, store)
        if settings.platform == "local":
            return check_engines(plan_local(settings.stack, requests, settings.local.memory))
        supply = _supply(settings, requests, nodes)
        placed = place(requests, supply, previous=previous, calibrations=calibrations)
        made = assemble(settings.stack, str(settings.platform), requests, placed)
        return check_engines(replace(made, notes=(*made.notes, *waking_notes(settings, made.models))))
    except PlanError as error:
        raise located(settings, error) from error


def _supply(settings: "Settings", requests: Sequence[ModelRequest], nodes: Sequence[Instance]) -> Supply:
    if settings.aws is not None:
        return aws_supply(
            prices(settings.aws.region, "aws.region"),
            allowed=settings.aws.gpus,
            quotas=settings.aws.quotas,
            reserved=settings.aws.reserved,
            spot=any(request.spot for request in requests),
        )
    if problems := _bought_wrongly(settings):
        raise PlanError(problems)
    pools = [
        Pool(name, pool.gpu, pool.gpus, pool.nodes, pool.price) for name, pool in settings.kubernetes.nodes.items()
    ]
    if not pools and nodes:
        return node_supply(nodes)
    if not pools and any(request.gpu != "none" for request in requests):
        rule = "is empty, so there is no GPU to plan for"
        way_out = "list the cluster's GPU nodes, e.g. nodes: {small: {gpu: l4, nodes: 2}}"
        raise PlanError([problem("kubernetes.nodes", None, rule, way_out)])
    return cluster_supply(pools)


def _bought_wrongly(settings: "Settings") -> list[Problem]:
    """Return the instance types of Karpenter's pools that have other GPUs than their pool says. Unknown ones pass."""
    known = aws_instances()
    return [
        problem(
            f"kubernetes.nodes.{name}.karpenter.instances",
            instance,
            f"has {known[instance].gpus} {known[instance].gpu or 'GPUs'}, and the pool says {pool.gpus} {pool.gpu}",
            "take types with the pool's GPUs, or make a pool of their own",
        )
        for name, pool in settings.kubernetes.nodes.items()
        for instance in (pool.karpenter.instances if pool.karpenter else ())
        if instance in known and (known[instance].gpu, known[instance].gpus) != (pool.gpu, pool.gpus)
    ]


def gpu_limits(settings: "Settings") -> Mapping[str, int]:
    """Return how many GPUs of a type a stack may hold: the account's quotas, or what the cluster's pools have."""
    if settings.aws is not None:
        return settings.aws.quotas
    limits: dict[str, int] = {}
    for pool in settings.kubernetes.nodes.values():
        limits[pool.gpu] = limits.get(pool.gpu, 0) + pool.gpus * pool.nodes
    return limits
