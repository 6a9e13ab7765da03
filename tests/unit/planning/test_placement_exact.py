"""The solver against trying everything, and what a placement must keep, checked by other code."""

import random
import time
from collections.abc import Iterator

import pytest

from infra.planning.placement import Choice, Item, Option, Problem, Solution, UnsolvableError, solve
from tests.unit.planning.brute_force import least_cost

INSTANCES = 480


def random_problem(seed: int) -> Problem:
    rnd = random.Random(seed)  # noqa: S311
    devices = ["a", "b"]
    options = []
    for index in range(rnd.randint(2, 4)):
        device = rnd.choice(devices)
        units = rnd.choice([1, 2, 2, 4, 4, 3])
        spot = rnd.random() < 0.3
        price = round(units * rnd.uniform(0.6, 3.0) * (0.6 if spot else 1.0), 2)
        limit = rnd.choice([None, None, 1, 2])
        options.append(
            Option(
                f"o{index}",
                device,
                units,
                0.0 if limit == 1 and rnd.random() < 0.4 else price,
                limit,
                spot,
                device,
                units,
            )
        )
    items = []
    for index in range(rnd.randint(1, 3)):
        choices = []
        for device, shards in rnd.sample([(d, s) for d in devices for s in (1, 2, 4)], rnd.randint(1, 3)):
            holds = tuple(
                number for number, option in enumerate(options)
                if option.device == device and option.units >= shards and rnd.random() < 0.9
            )  # fmt: skip
            if holds:
                choices.append(Choice(device, shards, rnd.randint(1, 3), holds))
        if choices:
            items.append(Item(f"i{index}", tuple(choices), rnd.choice([1, 1, 2]), rnd.random() < 0.5))
    quotas = {device: rnd.randint(3, 9) for device in devices if rnd.random() < 0.4}
    return Problem(tuple(items), tuple(options), quotas)


def violations(problem: Problem, solution: Solution) -> Iterator[str]:
    """Check a solution without the solver's code."""
    if abs(sum(problem.options[node.option].hourly for node in solution.layout) - solution.hourly) > 1e-6:
        yield "cost is not the sum of the nodes"
    for index, item in enumerate(problem.items):
        choice = item.choices[solution.choices[index]]
        standing = [(node.option, node.replicas[index]) for node in solution.layout if index in node.replicas]
        if sum(count for _, count in standing) != choice.replicas:
            yield f"{item.name}: {standing} instead of {choice.replicas} replicas"
        if len(standing) < item.spread:
            yield f"{item.name}: on {len(standing)} nodes, not {item.spread}"
        if any(option not in choice.options for option, _ in standing):
            yield f"{item.name}: on a node that cannot hold it"
        on_spot = sum(count for option, count in standing if problem.options[option].spot)
        if on_spot and (not item.spot or on_spot == choice.replicas):
            yield f"{item.name}: {on_spot} of {choice.replicas} on spot"
    for node in solution.layout:
        used = sum(
            problem.items[index].choices[solution.choices[index]].shards * count
            for index, count in node.replicas.items()
        )
        if used > problem.options[node.option].units:
            yield f"node of {problem.options[node.option].name} holds {used}"
    for number, option in enumerate(problem.options):
        if option.limit is not None and sum(1 for node in solution.layout if node.option == number) > option.limit:
            yield f"{option.name}: more than {option.limit}"
    for quota, most in problem.quotas.items():
        used = sum(problem.options[node.option].quota_units for node in solution.layout
                   if problem.options[node.option].quota == quota)  # fmt: skip
        if used > most:
            yield f"quota {quota}: {used} of {most}"


@pytest.mark.parametrize("start", range(0, INSTANCES, 40))
def test_cost_equals_brute_force(start: int) -> None:
    for seed in range(start, start + 40):
        problem = random_problem(seed)
        expected = least_cost(problem)
        if expected is None:
            with pytest.raises(UnsolvableError):
                solve(problem)
            continue
        solution = solve(problem)
        assert list(violations(problem, solution)) == [], seed
        assert solution.hourly == pytest.approx(expected, abs=1e-6), seed


def large_problem(models: int, gpus: int, seed: int = 1) -> Problem:
    """Nodes of 1, 4 and 8 GPUs on demand and spot, quotas that bind, a third of the models spread over two nodes."""
    rnd = random.Random(seed)  # noqa: S311
    options = []
    for index in range(gpus):
        for units in (1, 4, 8):
            for spot in (False, True):
                price = 0.6 * 1.5**index * units * (1.05 if units > 1 else 1.0) * (0.6 if spot else 1.0)
                options.append(Option(f"g{index}.{units}", f"g{index}", units, price, None, spot, f"g{index}", units))
    items = []
    for index in range(models):
        spread, spot = (2 if index % 3 == 0 else 1), bool(index % 2)
        choices = []
        for gpu in range(gpus):
            for shards in (1, 2, 4):
                if rnd.random() >= 0.25:
                    replicas = max(spread, round(rnd.uniform(1, 30) / (1.4**gpu * shards**0.9)))
                    holds = tuple(
                        n for n, option in enumerate(options)
                        if option.device == f"g{gpu}" and option.units >= shards and (spot or not option.spot)
                    )  # fmt: skip
                    choices.append(Choice(f"g{gpu}", shards, replicas, holds))
        items.append(Item(f"m{index}", tuple(choices), spread, spot))
    return Problem(tuple(items), tuple(options), {f"g{gpu}": rnd.choice([16, 32, 64]) for gpu in range(gpus)})


@pytest.mark.thorough
def test_fifty_models_on_twelve_gpu_types_are_placed_in_seconds() -> None:
    problem = large_problem(50, 12)
    begin = time.process_time()
    solution = solve(problem)
    spent = time.process_time() - begin
    assert list(violations(problem, solution)) == []
    # About 1.5 s of processor time; the bound leaves room for a slower machine.
    assert spent < 20


def test_a_small_change_moves_little_and_a_large_saving_moves() -> None:
    def problem(price: float, before: bool) -> Problem:
        options = (Option("x", "a", 1, 1.0), Option("y", "b", 1, price))
        choices = (Choice("a", 1, 2, (0,)), Choice("b", 1, 2, (1,)))
        item = Item("m", choices, before={("a", 1, False): 2} if before else {}, moving=0.05)
        return Problem((item,), options)

    assert solve(problem(0.97, before=False)).choices == (1,)
    assert solve(problem(0.97, before=True)).choices == (0,)
    assert solve(problem(0.90, before=True)).choices == (1,)


def test_reserved_nodes_are_filled_first() -> None:
    options = (Option("bought", "a", 1, 1.0), Option("reserved", "a", 1, 0.0, limit=1))
    solution = solve(Problem((Item("m", (Choice("a", 1, 2, (0, 1)),)),), options))
    assert solution.placed == {(0, 0): 1, (0, 1): 1}


def test_nothing_that_fits_is_an_error() -> None:
    with pytest.raises(UnsolvableError):
        solve(Problem((Item("m", (Choice("a", 1, 2, (0,)),)),), (Option("o", "a", 1, 1.0, limit=1),)))
