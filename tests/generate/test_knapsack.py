"""solve against brute force: one and several costs, ties, masks, the k best, distances, label limits."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.errors import BudgetInfeasible
from hwnas.generate import Solution, solve
from hwnas.generate.problem import Problem, alive_ids, assemble, read_cost
from hwnas.generate.search import search

Brute = Callable[..., list[tuple[float, tuple[float, ...], tuple[int, ...]]]]
Instance = Callable[..., Any]

whole = st.integers(0, 6)
layer = st.integers(1, 4).flatmap(
    lambda k: st.tuples(
        st.lists(st.integers(-8, 8).map(lambda n: n / 4), min_size=k, max_size=k),
        st.lists(whole, min_size=k, max_size=k),
        st.lists(whole, min_size=k, max_size=k),
    )
)
layers = st.lists(layer, min_size=1, max_size=5)


def listed(answer: Solution) -> list[tuple[float, tuple[float, ...], tuple[int, ...]]]:
    """All choices of an answer as brute force writes them."""
    first = (answer.utility, tuple(answer.costs.values()), answer.choice)
    return [first, *((c.utility, tuple(c.costs.values()), c.choice) for c in answer.others)]


# 2 x 500 instances per number of costs, 1,000 with the best only and 1,000 with the five best
@pytest.mark.parametrize("m", [1, 2])
@pytest.mark.parametrize("top", [1, 5])
def test_equals_brute_force(m: int, top: int, brute: Brute, instance: Instance) -> None:
    rng = np.random.default_rng(100 * m + top)
    infeasible = 0
    for _ in range(500):
        utilities, costs, budgets = instance(rng, m, layers=4 if top > 1 else 6)
        names = [f"c{i}" for i in range(m)]
        want = brute(utilities, costs, budgets)[:top]
        try:
            got = solve(
                utilities,
                dict(zip(names, costs, strict=True)),
                dict(zip(names, budgets, strict=True)),
                top=top,
            )
        except BudgetInfeasible:
            infeasible += 1
            assert want == []
            continue
        assert listed(got) == want
        assert (got.status, got.gap) == ("OPTIMAL", 0.0)
    assert infeasible < 250


@pytest.mark.parametrize("m", [3, 4])
def test_more_costs(m: int, brute: Brute, instance: Instance) -> None:
    rng = np.random.default_rng(m)
    for _ in range(100):
        utilities, costs, budgets = instance(rng, m, layers=5)
        want = brute(utilities, costs, budgets)[:3]
        if not want:
            continue
        names = [f"c{i}" for i in range(m)]
        got = solve(utilities, dict(zip(names, costs, strict=True)), dict(zip(names, budgets, strict=True)), top=3)
        assert listed(got) == want


@settings(max_examples=100, deadline=None)
@given(layers, st.integers(0, 30), st.integers(0, 30), st.integers(1, 40))
def test_never_over_a_budget(rows: list[Any], first: int, second: int, top: int) -> None:
    utilities, a, b = zip(*rows, strict=True)
    try:
        answer = solve(utilities, {"a": a, "b": b}, {"a": first, "b": second}, top=top)
    except BudgetInfeasible:
        return
    for _, _, choice in listed(answer):
        assert sum(row[k] for row, k in zip(a, choice, strict=True)) <= first
        assert sum(row[k] for row, k in zip(b, choice, strict=True)) <= second


@settings(max_examples=100, deadline=None)
@given(layers, st.integers(0, 20))
def test_a_larger_budget_never_lowers_utility(rows: list[Any], slack: int) -> None:
    utilities, a, b = zip(*rows, strict=True)
    start = sum(map(min, a))
    limit = sum(map(max, b))
    tight = solve(utilities, {"a": a, "b": b}, {"a": start, "b": limit})
    loose = solve(utilities, {"a": a, "b": b}, {"a": start + slack, "b": limit})
    assert loose.utility >= tight.utility


@settings(max_examples=100, deadline=None)
@given(layers, st.integers(0, 12), st.integers(1, 6), st.integers(0, 4))
def test_distance_is_greedy_down_the_ranking(rows: list[Any], slack: int, top: int, distance: int) -> None:
    utilities, costs, _ = zip(*rows, strict=True)
    budget = sum(map(min, costs)) + slack

    def key(choice: tuple[int, ...]) -> tuple[float, int, tuple[int, ...]]:
        cost = sum(row[k] for row, k in zip(costs, choice, strict=True))
        return -sum(row[k] for row, k in zip(utilities, choice, strict=True)), cost, choice

    taken: list[tuple[int, ...]] = []
    for _, cost, choice in sorted(map(key, itertools.product(*[range(len(row)) for row in utilities]))):
        far = all(sum(x != y for x, y in zip(choice, other, strict=True)) >= distance for other in taken)
        if cost <= budget and far and len(taken) < top:
            taken.append(choice)
    answer = solve(utilities, costs, budget, top=top, min_distance=distance)
    assert [choice for _, _, choice in listed(answer)] == taken


def test_masked_operations_are_never_chosen() -> None:
    utilities = [[1.0, -math.inf, 0.0], [-math.inf, 2.0]]
    answer = solve(utilities, [[5, math.nan, 1], [0, 1]], 100, top=10)
    assert [choice for _, _, choice in listed(answer)] == [(0, 1), (2, 1)]


def test_one_layer_and_one_operation() -> None:
    assert solve([[1, 3, 2]], [[1, 9, 4]], 5).choice == (2,)
    only = solve([[1.0], [2.0]], [[3], [4]], 7, top=3)
    assert (only.choice, only.utility, only.costs, only.others) == ((0, 0), 3.0, {"cost": 7.0}, ())


def test_ties_go_to_the_cheaper_then_the_smaller_choice() -> None:
    assert solve([[1, 1], [1, 1]], [[2, 1], [1, 1]], 10).choice == (1, 0)
    answer = solve([[0, 1], [0, 1]], [[0, 2], [0, 2]], 2, top=4)
    assert [choice for _, _, choice in listed(answer)] == [(0, 1), (1, 0), (0, 0)]


def test_fixed_part_and_infinite_budget() -> None:
    answer = solve([[0, 1], [0, 1]], {"a": [[1, 2], [1, 2]]}, {"a": math.inf}, fixed={"a": 10})
    assert (answer.choice, answer.costs) == ((1, 1), {"a": 14.0})
    assert solve([[0, 1], [0, 1]], [[1, 2], [1, 2]], 13, fixed=10).choice == (0, 1)


def test_negative_costs() -> None:
    assert solve([[0, 1], [0, 1]], [[-3, 2], [-1, 0]], -2).choice == (0, 1)


def test_cost_without_budget_is_reported_only() -> None:
    answer = solve([[0, 1]], {"a": [[1, 2]], "b": [[3, 4]]}, {"a": 5})
    assert answer.costs == {"a": 2.0, "b": 4.0}


def test_maximum_masks_what_is_over_it() -> None:
    rows = {"flops": [[1, 2, 3], [1, 2, 3]], "peak": [[0.5, 2.5, 1.5], [0.5, 0.75, 9.0]]}
    answer = solve(
        [[0, 5, 4], [0, 1, 7]], rows, {"flops": 10, "peak": 1.5}, aggregate={"peak": "max"}, fixed={"peak": 1.25}
    )
    assert answer.choice == (2, 1)
    assert answer.costs == {"flops": 5.0, "peak": 1.5}


def test_maximum_alone() -> None:
    answer = solve([[0, 5], [0, 1]], {"peak": [[1, 2], [1, 9]]}, {"peak": 2}, aggregate={"peak": "max"}, top=9)
    assert [(choice, costs) for _, costs, choice in listed(answer)] == [((1, 0), (2.0,)), ((0, 0), (1.0,))]


def large(seed: int, m: int) -> tuple[list[np.ndarray], dict[str, list[np.ndarray]], dict[str, float]]:
    rng = np.random.default_rng(seed)
    utilities = list(rng.random((25, 6)).cumsum(axis=1))
    costs = {f"c{i}": list(rng.integers(1, 10**6, (25, 6)).cumsum(axis=1)) for i in range(m)}
    return utilities, costs, {name: float(sum(np.median(row) for row in rows)) for name, rows in costs.items()}


@pytest.mark.parametrize("m", [1, 2, 3])
@pytest.mark.parametrize("max_labels", [3, 40])
def test_a_label_limit_gives_a_proven_gap(m: int, max_labels: int) -> None:
    for seed in range(3):
        utilities, costs, budgets = large(seed, m)
        exact = solve(utilities, costs, budgets)
        short = solve(utilities, costs, budgets, max_labels=max_labels)
        assert exact.status == "OPTIMAL"
        assert short.utility <= exact.utility <= short.utility + short.gap + 1e-9
        assert (short.status == "OPTIMAL") == (short.gap == 0.0)
        assert all(short.costs[name] <= budgets[name] for name in budgets)


def test_a_label_limit_is_reached() -> None:
    utilities, costs, budgets = large(0, 3)
    short = solve(utilities, costs, budgets, max_labels=3)
    assert short.status == "BOUNDED"
    assert short.utility < solve(utilities, costs, budgets).utility <= short.utility + short.gap


def test_search_finds_fewer_than_asked_when_there_are_fewer() -> None:
    found, gap = search(small_problem(), 50, 1000)
    assert (len(found), gap) == (3, 0.0)


def small_problem() -> Problem:
    utilities = [np.array([0.0, 1.0]), np.array([0.0, 1.0])]
    cost = read_cost("cost", [[0, 1], [0, 1]], utilities, fixed=None, quantum=None, aggregate="sum")
    return assemble(utilities, alive_ids(utilities), [cost], [1.0])
