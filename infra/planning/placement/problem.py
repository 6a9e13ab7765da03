"""The placement problem in its own words: items with choices, options to buy, limits."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Option:
    """Nodes of one kind, bought in one way and cut in one way."""

    name: str
    device: str
    """What one unit is: a GPU type, or a slice of one."""
    units: int
    """Units of one node."""
    hourly: float
    """Dollars of one node."""
    limit: int | None = None
    """Most nodes; None for as many as quotas allow."""
    spot: bool = False
    quota: str = ""
    """Quota that the nodes count against; empty for none."""
    quota_units: int = 0
    """What one node takes of it."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to run an item: replicas of so many units each, on any of some options."""

    device: str
    shards: int
    replicas: int
    options: tuple[int, ...]
    """Indexes of options whose nodes can hold such a replica."""


@dataclass(frozen=True, slots=True)
class Item:
    """One model to place; exactly one of its choices is taken."""

    name: str
    choices: tuple[Choice, ...]
    spread: int = 1
    """Least number of nodes that its replicas stand on."""
    spot: bool = False
    """All replicas but the last may stand on spot nodes."""
    before: Mapping[tuple[str, int, bool], int] = field(default_factory=dict)
    """(device, shards, spot) -> replicas that stand so today."""
    moving: float = 0.0
    """Dollars an hour that one replica fewer in its place counts as: what a move must save."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Items to place at least cost."""

    items: tuple[Item, ...]
    options: tuple[Option, ...]
    quotas: Mapping[str, int] = field(default_factory=dict)
    bought: Mapping[int, int] = field(default_factory=dict)
    """option -> nodes that are there today."""
    replacing: float = 0.0
    """Share of a node's price that one node fewer counts as an hour."""


@dataclass(frozen=True, slots=True)
class Solution:
    """A least-cost placement."""

    hourly: float
    """Dollars an hour of all nodes; the price of moving is not in it."""
    choices: tuple[int, ...]
    """Of each item, the index of the choice taken."""
    placed: Mapping[tuple[int, int], int]
    """(item, option) -> replicas."""
    nodes: Mapping[int, int]
    """option -> nodes."""
    layout: tuple["Node", ...] = ()
    """Which replicas stand on which node."""


@dataclass(frozen=True, slots=True)
class Node:
    """One node and the replicas on it."""

    option: int
    replicas: Mapping[int, int]
    """item -> replicas."""
