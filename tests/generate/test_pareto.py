"""front against brute force, its queries, its JSON, its label limit."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.errors import BudgetInfeasible, InputError, UsageError
from hwnas.generate import Front, front, solve

Brute = Callable[..., list[tuple[float, tuple[float, ...], tuple[int, ...]]]]
Instance = Callable[..., Any]


def pareto(ranked: list[tuple[float, tuple[float, ...], tuple[int, ...]]]) -> list[tuple[float, float, Any]]:
    best, points = -math.inf, []
    for utility, (cost,), choice in sorted(ranked, key=lambda r: (r[1], -r[0], r[2])):
        if utility > best:
            best = utility
            points.append((cost, utility, choice))
    return points


def as_tuples(points: Front) -> list[tuple[float, float, Any]]:
    return [(p.cost, p.utility, p.choice) for p in points]


def test_equals_brute_force(brute: Brute, instance: Instance) -> None:
    rng = np.random.default_rng(7)
    for _ in range(300):
        utilities, (costs,), (budget,) = instance(rng, 1, layers=5)
        everything = brute(utilities, [costs], [math.inf])
        assert as_tuples(front(utilities, costs)) == pareto(everything)
        within = [r for r in everything if r[1][0] <= budget]
        if within:
            assert as_tuples(front(utilities, costs, max_cost=budget)) == pareto(within)


def test_query_is_solve_at_every_budget(instance: Instance) -> None:
    rng = np.random.default_rng(8)
    for _ in range(20):
        utilities, (costs,), _ = instance(rng, 1)
        points = front(utilities, costs, fixed=5)
        for budget in np.linspace(points.costs[0], points.costs[-1] + 1, 9):
            point, answer = points.query(budget), solve(utilities, costs, budget, fixed=5)
            assert (point.choice, point.utility) == (answer.choice, answer.utility)
            assert point.cost == answer.costs["cost"] <= budget


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.lists(st.tuples(st.integers(-5, 5), st.floats(0, 9)), min_size=1, max_size=4), min_size=1, max_size=4),
    st.floats(0, 40),
    st.sampled_from([0.1, 0.25, 1.0, 0.003]),
)
def test_points_stay_within_any_budget(rows: list[Any], budget: float, quantum: float) -> None:
    utilities = [[u for u, _ in row] for row in rows]
    costs = [[c for _, c in row] for row in rows]
    points = front(utilities, costs, quantum=quantum)
    assert (np.diff(points.costs) > 0).all()
    assert (np.diff(points.utilities) > 0).all()
    try:
        point = points.query(budget)
    except BudgetInfeasible:
        with pytest.raises(BudgetInfeasible):
            solve(utilities, costs, budget, quantum=quantum)
        return
    answer = solve(utilities, costs, budget, quantum=quantum)
    assert answer.choice == point.choice
    assert answer.costs["cost"] <= budget
    assert math.fsum(row[k] for row, k in zip(costs, point.choice, strict=True)) <= budget + 1e-12


def test_query_outside() -> None:
    points = front([[1, 2]], [[3, 5]])
    assert points.query(math.inf).cost == 5
    with pytest.raises(BudgetInfeasible, match=r"least achievable 3, budget 2\.5, short by 0\.5") as caught:
        points.query(2.5)
    assert caught.value.exit_code == 3
    with pytest.raises(UsageError, match="not a number"):
        points.query(math.nan)


def test_max_cost_below_the_least() -> None:
    with pytest.raises(BudgetInfeasible, match="least achievable 14"):
        front([[1, 2]], [[4, 5]], fixed=10, max_cost=13)


@pytest.mark.parametrize("quantum", [None, 0.001])
def test_json_round_trip(quantum: float | None) -> None:
    rng = np.random.default_rng(3)
    costs = rng.random((6, 4)) if quantum else rng.integers(0, 10**9, (6, 4))
    points = front(rng.normal(size=(6, 4)), costs, quantum=quantum, fixed=2)
    text = json.dumps(points.to_json(), allow_nan=False)
    again = Front.from_json(json.loads(text))
    assert as_tuples(again) == as_tuples(points)
    assert again.to_json() == points.to_json()
    assert (again.costs.dtype, again.gap, again.status) == (points.costs.dtype, 0.0, "OPTIMAL")
    assert len(points.to_json()["points"]) == len(points)


def test_arrays_are_read_only() -> None:
    points = front([[1, 2]], [[3, 5]])
    with pytest.raises(ValueError, match="read-only"):
        points.costs[0] = 1


@pytest.mark.parametrize(
    "change",
    [
        {"hwnas_front": 2},
        {"points": []},
        {"points": [{"cost": 1, "utility": 2}]},
        {"points": [{"cost": 1, "utility": 2, "choice": [0]}, {"cost": 1, "utility": 3, "choice": [1]}]},
        {"points": [{"cost": 1, "utility": 2, "choice": [0]}, {"cost": 2, "utility": 3, "choice": [1, 1]}]},
        {"points": [{"cost": "a", "utility": 2, "choice": [0]}]},
        {"gap": -1.0},
        {"points": 3},
    ],
)
def test_json_that_is_not_a_front(change: dict[str, Any]) -> None:
    data = front([[1, 2]], [[3, 5]]).to_json()
    with pytest.raises(InputError):
        Front.from_json({**data, **change})


def test_a_label_limit_gives_a_proven_gap() -> None:
    rng = np.random.default_rng(4)
    utilities, costs = rng.random((25, 5)).cumsum(axis=1), rng.integers(1, 10**6, (25, 5)).cumsum(axis=1)
    exact, short = front(utilities, costs), front(utilities, costs, max_labels=60)
    assert len(exact) > 300
    assert (exact.status, short.status) == ("OPTIMAL", "BOUNDED")
    assert len(short) <= 60
    assert short.costs[0] == exact.costs[0]
    for point in exact:
        found = short.query(point.cost)
        assert found.utility <= point.utility <= found.utility + short.gap
    assert 0 < short.gap < np.ptp(exact.utilities)


def test_size_of_the_costs_does_not_matter() -> None:
    rng = np.random.default_rng(5)
    utilities, costs = rng.normal(size=(8, 4)), rng.integers(1, 1000, (8, 4))
    small, big = front(utilities, costs), front(utilities, costs * 10**12)
    assert [p.choice for p in small] == [p.choice for p in big]
    assert (small.costs * 10**12 == big.costs).all()
