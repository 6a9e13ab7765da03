"""Exact placement by mixed-integer programming (HiGHS through scipy).

Options that hold the same device on the same terms form a pool, and nodes are counted, not told apart: for any set of
node types, the units that only they can give may not exceed theirs (Hall's condition). Replicas take powers of two of
units, so what passes that can be laid out, but where spread or odd node sizes interfere. Packing then fails, and that
pool's nodes are told apart in a second solve. The first solve relaxes the second, so what packs is optimal.
"""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from infra.planning.placement.dominance import undominated
from infra.planning.placement.layout import search_layout
from infra.planning.placement.milp import Model, Values
from infra.planning.placement.packing import Load, pack
from infra.planning.placement.problem import Choice, Node, Problem, Solution

_TIE = 1e-7
"""Dollars an hour by which an earlier choice and option is preferred among equals, so that plans do not flip."""
_EXTRA_SLOTS = 2
"""Nodes of an option beyond those of the relaxed solution that a second solve tells apart."""
_FEW_SLOTS = 12
"""Up to so many nodes an option is told apart in full."""

Pool = tuple[str, bool]
"""Device, and whether its nodes are spot."""


def solve(problem: Problem) -> Solution:
    """Return a least-cost placement. Raises UnsolvableError when there is none."""
    if not problem.items:
        return Solution(0.0, (), {}, {})
    smaller, kept = undominated(problem)
    slots: dict[int, int] = {}
    while True:
        solution, failed = _Attempt(smaller, slots).run()
        if not failed:
            choices = tuple(numbers[taken] for numbers, taken in zip(kept, solution.choices, strict=True))
            return replace(solution, choices=choices)
        for option in failed:
            slots[option] = _slots(smaller, option, solution.nodes.get(option, 0))


def _slots(problem: Problem, option: int, relaxed: int) -> int:
    most = sum(
        max((choice.replicas for choice in item.choices if option in choice.options), default=0)
        for item in problem.items
    )
    limit = problem.options[option].limit
    most = most if limit is None else min(most, limit)
    return most if most <= _FEW_SLOTS else min(most, relaxed + _EXTRA_SLOTS)


@dataclass(slots=True)
class _Variables:
    taken: dict[tuple[int, int], int] = field(default_factory=dict)
    """(item, choice) -> whether it is taken"""
    on_spot: dict[tuple[int, int], int] = field(default_factory=dict)
    """(item, choice) -> replicas on spot"""
    nodes: dict[tuple[int, int], int] = field(default_factory=dict)
    """(option, slot) -> nodes; slot 0 stands for all nodes that are not told apart"""
    stands: dict[tuple[int, int, int], int] = field(default_factory=dict)
    """(item, option, slot) -> nodes on which the item stands"""
    placed: dict[tuple[int, int, int, int], int] = field(default_factory=dict)
    """(item, choice, option, slot) -> replicas, of pools whose nodes are told apart"""


class _Attempt:
    def __init__(self, problem: Problem, slots: Mapping[int, int]) -> None:
        self.problem = problem
        self.model = Model()
        self.variables = _Variables()
        self.pools: dict[Pool, list[int]] = {}
        for index, option in enumerate(problem.options):
            self.pools.setdefault((option.device, option.spot), []).append(index)
        apart = {(problem.options[option].device, problem.options[option].spot) for option in slots}
        self.apart = apart
        self.slots = {
            option: slots.get(option) or _slots(problem, option, 0) for pool in apart for option in self.pools[pool]
        }

    def run(self) -> tuple[Solution, set[int]]:
        self._buy()
        for item in range(len(self.problem.items)):
            self._choose(item)
        for pool, options in self.pools.items():
            if pool in self.apart:
                self._tell_apart(pool)
            else:
                self._room(pool, options)
        for item, wanted in enumerate(self.problem.items):
            if wanted.spread > 1:
                self._spread(item)
        self._quotas()
        return self._read(self.model.solve())

    def _buy(self) -> None:
        for index, option in enumerate(self.problem.options):
            cost = option.hourly + _TIE * (index + 1)
            count = self.slots.get(index, 0)
            if not count:
                upper = np.inf if option.limit is None else float(option.limit)
                self.variables.nodes[index, 0] = self.model.variable(cost, upper)
            for slot in range(1, count + 1):
                self.variables.nodes[index, slot] = self.model.variable(cost, 1.0)
                if slot > 1:
                    # Alike nodes are bought in order, or every permutation would be a solution of its own.
                    pair = {self.variables.nodes[index, slot]: 1.0, self.variables.nodes[index, slot - 1]: -1.0}
                    self.model.row(pair, -np.inf, 0.0)
            before = self.problem.bought.get(index, 0)
            if before and self.problem.replacing:
                fewer = self.model.variable(option.hourly * self.problem.replacing, float(before), integer=False)
                stay = {name: 1.0 for (where, _), name in self.variables.nodes.items() if where == index}
                self.model.row({fewer: 1.0} | stay, float(before), np.inf)

    def _choose(self, index: int) -> None:
        item = self.problem.items[index]
        for number, choice in enumerate(item.choices):
            taken = self.variables.taken[index, number] = self.model.variable(_TIE * number, 1.0)
            spot = None
            if item.spot and choice.replicas > 1 and self._options(choice, spot=True):
                spot = self.variables.on_spot[index, number] = self.model.variable(0.0, float(choice.replicas - 1))
                # Never the last replica; and where nothing but spot can be bought, this choice is none.
                self.model.row({spot: 1.0, taken: -float(choice.replicas - 1)}, -np.inf, 0.0)
            if not self._options(choice, spot=False):
                self.model.row({taken: 1.0}, 0.0, 0.0)
            self.model.member(index, taken, () if spot is None else (spot,))
        self.model.row({self.variables.taken[index, number]: 1.0 for number in range(len(item.choices))}, 1.0, 1.0)
        for (device, shards, spot), count in item.before.items():
            moved = self.model.variable(item.moving, float(count), integer=False)
            stay: dict[int, float] = {}
            for number, choice in enumerate(item.choices):
                if choice.device == device and choice.shards == shards:
                    for name, factor in self._replicas(index, number, spot=spot).items():
                        stay[name] = stay.get(name, 0.0) + factor
            self.model.row({moved: 1.0} | stay, float(count), np.inf)

    def _options(self, choice: Choice, *, spot: bool) -> frozenset[int]:
        return frozenset(option for option in choice.options if self.problem.options[option].spot == spot)

    def _replicas(self, item: int, number: int, *, spot: bool) -> dict[int, float]:
        """Return the terms that sum up to a choice's replicas on spot, or on the rest."""
        on_spot = self.variables.on_spot.get((item, number))
        if spot:
            return {} if on_spot is None else {on_spot: 1.0}
        choice = self.problem.items[item].choices[number]
        terms = {self.variables.taken[item, number]: float(choice.replicas)}
        return terms if on_spot is None else terms | {on_spot: -1.0}

    def _pool_choices(self, pool: Pool) -> Iterable[tuple[int, int, Choice, frozenset[int]]]:
        for item, wanted in enumerate(self.problem.items):
            for number, choice in enumerate(wanted.choices):
                options = self._options(choice, spot=pool[1]) if choice.device == pool[0] else frozenset()
                if options:
                    yield item, number, choice, options

    def _room(self, pool: Pool, options: list[int]) -> None:
        users = list(self._pool_choices(pool))
        sets = {allowed for _, _, _, allowed in users}
        unions = {
            frozenset().union(*some)
            for count in range(1, len(sets) + 1)
            for some in itertools.combinations(sets, count)
        }
        for union in unions:
            terms: dict[int, float] = {}
            for item, number, choice, allowed in users:
                if allowed <= union:
                    for name, factor in self._replicas(item, number, spot=pool[1]).items():
                        terms[name] = terms.get(name, 0.0) + factor * choice.shards
            for option in union:
                terms[self.variables.nodes[option, 0]] = -float(self.problem.options[option].units)
            self.model.row(terms, -np.inf, 0.0)
        self._odd_sizes(users, options, pool)

    def _odd_sizes(self, users: list[tuple[int, int, Choice, frozenset[int]]], options: list[int], pool: Pool) -> None:
        """What is left of a node after whole replicas of a size is of no use to replicas of that size."""
        for shards in sorted({choice.shards for _, _, choice, _ in users}):
            if all(self.problem.options[option].units % shards == 0 for option in options):
                continue
            terms: dict[int, float] = {}
            for item, number, choice, _ in users:
                if choice.shards >= shards:
                    for name, factor in self._replicas(item, number, spot=pool[1]).items():
                        terms[name] = terms.get(name, 0.0) + factor * (choice.shards // shards)
            for option in options:
                terms[self.variables.nodes[option, 0]] = -float(self.problem.options[option].units // shards)
            self.model.row(terms, -np.inf, 0.0)

    def _spread(self, item: int) -> None:
        """Make the item stand on enough nodes: of those that are bought, and that its choice can stand on."""
        wanted = self.problem.items[item]
        total: dict[int, float] = {}
        for pool, options in self.pools.items():
            replicas: dict[int, dict[int, float]] = {option: {} for option in options}
            everywhere: dict[int, float] = {}
            for number, choice in enumerate(wanted.choices):
                if choice.device != pool[0]:
                    continue
                terms = self._replicas(item, number, spot=pool[1])
                everywhere |= {name: -factor for name, factor in terms.items()}
                for option in self._options(choice, spot=pool[1]):
                    replicas[option] |= {name: -factor for name, factor in terms.items()}
            stands: dict[int, float] = {}
            for (option, slot), nodes in self.variables.nodes.items():
                if not replicas.get(option):
                    continue
                name = self.variables.stands[item, option, slot] = self.model.variable(0.0, float(wanted.spread))
                self.model.row({name: 1.0, nodes: -1.0}, -np.inf, 0.0)
                self.model.row({name: 1.0} | (self._on_slot(item, option, slot) or replicas[option]), -np.inf, 0.0)
                stands[name] = 1.0
            if stands:
                self.model.row(stands | everywhere, -np.inf, 0.0)
                total |= stands
        self.model.row(total, float(wanted.spread), np.inf)

    def _on_slot(self, item: int, option: int, slot: int) -> dict[int, float]:
        return {
            name: -1.0
            for (who, _, where, at), name in self.variables.placed.items()
            if slot and (who, where, at) == (item, option, slot)
        }

    def _tell_apart(self, pool: Pool) -> None:
        used: dict[tuple[int, int], dict[int, float]] = {}
        for item, number, choice, allowed in self._pool_choices(pool):
            terms = {name: -factor for name, factor in self._replicas(item, number, spot=pool[1]).items()}
            for option in allowed:
                for slot in range(1, self.slots[option] + 1):
                    name = self.variables.placed[item, number, option, slot] = self.model.variable(
                        0.0, float(choice.replicas)
                    )
                    terms[name] = 1.0
                    used.setdefault((option, slot), {})[name] = float(choice.shards)
            self.model.row(terms, 0.0, 0.0)
        for (option, slot), terms in used.items():
            node = self.variables.nodes[option, slot]
            self.model.row(terms | {node: -float(self.problem.options[option].units)}, -np.inf, 0.0)

    def _quotas(self) -> None:
        for quota, most in self.problem.quotas.items():
            used = {
                name: float(self.problem.options[option].quota_units)
                for (option, _), name in self.variables.nodes.items()
                if self.problem.options[option].quota == quota
            }
            if used:
                self.model.row(used, -np.inf, float(most))

    def _read(self, values: Values) -> tuple[Solution, set[int]]:
        problem, variables = self.problem, self.variables
        taken = [0] * len(problem.items)
        for (item, number), name in variables.taken.items():
            if values[name] > 0.5:
                taken[item] = number
        nodes: dict[int, int] = {}
        for (option, _), name in variables.nodes.items():
            nodes[option] = nodes.get(option, 0) + round(values[name])
        layout: list[Node] = []
        failed: set[int] = set()
        for pool, options in self.pools.items():
            if pool in self.apart:
                layout += self._told(pool, values)
                continue
            counts = {option: nodes[option] for option in options}
            units = {option: problem.options[option].units for option in options}
            loads = self._loads(pool, taken, values)
            packed = pack(counts, units, loads)
            if packed is None:
                packed = search_layout(counts, units, loads)
            if packed is None:
                failed |= set(options)
            else:
                layout += packed
        placed: dict[tuple[int, int], int] = {}
        for node in layout:
            for item, count in node.replicas.items():
                placed[item, node.option] = placed.get((item, node.option), 0) + count
        hourly = sum(problem.options[option].hourly * count for option, count in nodes.items())
        bought = {option: count for option, count in nodes.items() if count}
        return Solution(hourly, tuple(taken), placed, bought, tuple(layout)), failed

    def _loads(self, pool: Pool, taken: list[int], values: Values) -> list[Load]:
        loads = []
        for item, number, choice, allowed in self._pool_choices(pool):
            terms = self._replicas(item, number, spot=pool[1])
            replicas = round(sum(values[name] * factor for name, factor in terms.items()))
            if number == taken[item] and replicas:
                apart = sum(round(values[self.variables.stands[item, option, 0]])
                            for option in allowed if (item, option, 0) in self.variables.stands)  # fmt: skip
                loads.append(Load(item, choice.shards, replicas, allowed, max(1, min(apart, replicas))))
        return loads

    def _told(self, pool: Pool, values: Values) -> list[Node]:
        held: dict[tuple[int, int], dict[int, int]] = {}
        for (option, slot), name in self.variables.nodes.items():
            if option in self.pools[pool] and values[name] > 0.5:
                held[option, slot] = {}
        for (item, _, option, slot), name in self.variables.placed.items():
            count = round(values[name])
            if count and (option, slot) in held:
                held[option, slot][item] = held[option, slot].get(item, 0) + count
        return [Node(option, replicas) for (option, _), replicas in held.items()]
