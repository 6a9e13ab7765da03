"""Finds a layout on counted nodes where packing in order finds none: an exact search."""

from collections.abc import Mapping, Sequence

import numpy as np

from infra.planning.placement.milp import Model, UnsolvableError
from infra.planning.placement.packing import Load
from infra.planning.placement.problem import Node

_SECONDS = 2.0


def search_layout(nodes: Mapping[int, int], units: Mapping[int, int], loads: Sequence[Load]) -> list[Node] | None:
    """Return nodes with their replicas, or None when there is no layout (or none is found in two seconds).

    `nodes` are counts by option, `units` the units of each option's nodes.
    """
    model = Model(seconds=_SECONDS)
    opened = [option for option in sorted(nodes) for _ in range(nodes[option])]
    held: list[dict[int, float]] = [{} for _ in opened]
    counts: dict[tuple[int, int], int] = {}
    for load in loads:
        total: dict[int, float] = {}
        stands: dict[int, float] = {}
        for number, option in enumerate(opened):
            most = min(load.replicas, units[option] // load.shards)
            if option not in load.options or not most:
                continue
            name = counts[load.item, number] = model.variable(0.0, float(most))
            total[name] = 1.0
            held[number][name] = float(load.shards)
            if load.apart > 1:
                here = model.variable(0.0, 1.0)
                model.row({here: 1.0, name: -1.0}, -np.inf, 0.0)
                stands[here] = 1.0
        model.row(total, float(load.replicas), float(load.replicas))
        if load.apart > 1:
            model.row(stands, float(load.apart), np.inf)
    for number, option in enumerate(opened):
        if held[number]:
            model.row(held[number], -np.inf, float(units[option]))
    try:
        values = model.solve()
    except UnsolvableError:
        return None
    laid: list[dict[int, int]] = [{} for _ in opened]
    for (item, number), name in counts.items():
        replicas = round(values[name])
        if replicas:
            laid[number][item] = replicas
    return [Node(option, replicas) for option, replicas in zip(opened, laid, strict=True)]
