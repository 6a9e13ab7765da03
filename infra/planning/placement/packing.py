"""Puts replicas on counted nodes: where they must stand apart first, then the largest first."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from infra.planning.placement.problem import Node


@dataclass(frozen=True, slots=True)
class Load:
    """Replicas of one item to put on nodes."""

    item: int
    shards: int
    replicas: int
    options: frozenset[int]
    """Options whose nodes can hold them."""
    apart: int = 1
    """Least number of nodes they stand on."""


@dataclass(slots=True)
class _Open:
    option: int
    free: int
    replicas: dict[int, int] = field(default_factory=dict)

    def take(self, load: Load) -> None:
        self.free -= load.shards
        self.replicas[load.item] = self.replicas.get(load.item, 0) + 1


def pack(nodes: Mapping[int, int], units: Mapping[int, int], loads: Sequence[Load]) -> list[Node] | None:
    """Return nodes with their replicas, or None when neither order of work finds a layout.

    `nodes` are counts by option, `units` the units of each option's nodes.
    """
    for spread_first in (True, False):
        laid_out = _pack(nodes, units, loads, spread_first=spread_first)
        if laid_out is not None:
            return laid_out
    return None


def _pack(
    nodes: Mapping[int, int], units: Mapping[int, int], loads: Sequence[Load], *, spread_first: bool
) -> list[Node] | None:
    opened = [_Open(option, units[option]) for option in sorted(nodes) for _ in range(nodes[option])]
    left = {load.item: load.replicas for load in loads}
    by_size = sorted(loads, key=lambda load: (-load.shards, len(load.options), load.item))
    if spread_first:
        for load in sorted(by_size, key=lambda load: -load.apart):
            for _ in range(load.apart if load.apart > 1 else 0):
                # On nodes that hold others' spread replicas already, so that whole nodes stay free for large ones.
                target = _fullest(node for node in opened if _holds(node, load) and load.item not in node.replicas)
                if target is None:
                    return None
                target.take(load)
                left[load.item] -= 1
    for load in by_size:
        for _ in range(left[load.item]):
            room = [node for node in opened if _holds(node, load)]
            standing = sum(1 for node in opened if load.item in node.replicas)
            fresh = [node for node in room if load.item not in node.replicas] if standing < load.apart else []
            target = _fullest(fresh or room)
            if target is None:
                return None
            target.take(load)
    for load in loads:
        if sum(1 for node in opened if load.item in node.replicas) < load.apart:
            return None
    return [Node(node.option, node.replicas) for node in opened]


def _holds(node: _Open, load: Load) -> bool:
    return node.option in load.options and node.free >= load.shards


def _fullest(nodes: Iterable[_Open]) -> _Open | None:
    return min(nodes, key=lambda node: node.free, default=None)
