"""Least cost of a small placement by trying everything. Knows nothing of the solver's formulation."""

import itertools
from functools import cache

from infra.planning.placement import Choice, Problem


def least_cost(problem: Problem) -> float | None:
    """Return the least cost, or None when nothing keeps all limits. Only for a handful of replicas."""
    best: float | None = None
    for chosen in itertools.product(*(item.choices for item in problem.items)):
        cost = _cost_of(problem, chosen)
        if cost is not None and (best is None or cost < best):
            best = cost
    return best


def _cost_of(problem: Problem, chosen: tuple[Choice, ...]) -> float | None:
    replicas = [index for index, choice in enumerate(chosen) for _ in range(choice.replicas)]
    order = sorted(replicas, key=lambda index: (-chosen[index].shards, index))

    # A node is (option, free units, items on it); replicas of an item on spot are counted along.
    @cache
    def rest(position: int, nodes: tuple[tuple[int, int, frozenset[int]], ...], steady: frozenset[int]) -> float | None:
        if position == len(order):
            for index, item in enumerate(problem.items):
                if sum(1 for _, _, held in nodes if index in held) < item.spread or index not in steady:
                    return None
            return 0.0
        index = order[position]
        choice = chosen[index]
        best: float | None = None
        seen = set()
        for at, (option, free, held) in enumerate(nodes):
            if option not in choice.options or free < choice.shards or (option, free, held) in seen:
                continue
            if problem.options[option].spot and not problem.items[index].spot:
                continue
            seen.add((option, free, held))
            changed = (*nodes[:at], (option, free - choice.shards, held | {index}), *nodes[at + 1 :])
            best = _least(best, rest(position + 1, _sorted(changed), _steady(problem, steady, index, option)), 0.0)
        for option in choice.options:
            bought = problem.options[option]
            if bought.units < choice.shards or (bought.spot and not problem.items[index].spot):
                continue
            if bought.limit is not None and sum(1 for where, _, _ in nodes if where == option) >= bought.limit:
                continue
            used = sum(problem.options[w].quota_units for w, _, _ in nodes if problem.options[w].quota == bought.quota)
            if bought.quota in problem.quotas and used + bought.quota_units > problem.quotas[bought.quota]:
                continue
            changed = (*nodes, (option, bought.units - choice.shards, frozenset({index})))
            found = rest(position + 1, _sorted(changed), _steady(problem, steady, index, option))
            best = _least(best, found, bought.hourly)
        return best

    return rest(0, (), frozenset())


def _sorted(nodes: tuple[tuple[int, int, frozenset[int]], ...]) -> tuple[tuple[int, int, frozenset[int]], ...]:
    return tuple(sorted(nodes, key=lambda node: (node[0], node[1], sorted(node[2]))))


def _steady(problem: Problem, steady: frozenset[int], index: int, option: int) -> frozenset[int]:
    return steady if problem.options[option].spot else steady | {index}


def _least(best: float | None, found: float | None, more: float) -> float | None:
    if found is None:
        return best
    return found + more if best is None else min(best, found + more)
