"""Leaves out choices that can never be better than another of the same item."""

from dataclasses import replace

from infra.planning.placement.problem import Choice, Item, Problem


def undominated(problem: Problem) -> tuple[Problem, tuple[tuple[int, ...], ...]]:
    """Return the problem without dominated choices, and for each item the old indexes of the choices that stay."""
    kept = tuple(
        tuple(number for number, choice in enumerate(item.choices) if not _dominated(item, choice))
        for item in problem.items
    )
    items = tuple(
        replace(item, choices=tuple(item.choices[number] for number in numbers))
        for item, numbers in zip(problem.items, kept, strict=True)
    )
    return replace(problem, items=items), kept


def _dominated(item: Item, choice: Choice) -> bool:
    """Return whether smaller replicas on the same device do the same with no more units.

    Wherever the larger replicas stand, the smaller ones fit; there are more of them, so spread and spot are no harder.
    A choice that stands today stays, since leaving it has a price.
    """
    if any(device == choice.device and shards == choice.shards for device, shards, _ in item.before):
        return False
    return any(
        other.device == choice.device
        and other.shards < choice.shards
        and choice.shards % other.shards == 0
        and other.shards * other.replicas <= choice.shards * choice.replicas
        and other.replicas >= choice.replicas
        and set(choice.options) <= set(other.options)
        for other in item.choices
    )
