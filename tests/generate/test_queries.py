"""Many budgets from one front, and the k best for every budget, against brute force."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hwnas.errors import BudgetInfeasible, UsageError
from hwnas.generate import Front, front
from hwnas.generate.ranked import ranked_front

Brute = Callable[..., list[tuple[float, tuple[float, ...], tuple[int, ...]]]]
Instance = Callable[..., Any]


def test_queries_are_many_queries(instance: Instance) -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        utilities, (costs,), _ = instance(rng, 1)
        points = front(utilities, costs, fixed=3)
        budgets = rng.uniform(points.costs[0], points.costs[-1] + 2, 20)
        index = points.queries(budgets)
        assert [points[i] for i in index] == [points.query(b) for b in budgets]
        assert (points.costs[index] <= budgets).all()
        beyond = np.append(points.costs, np.inf)[index + 1]
        assert (beyond > budgets).all()


def test_ten_thousand_budgets_take_a_few_milliseconds() -> None:
    rng = np.random.default_rng(2)
    points = front(rng.normal(size=(21, 9)), rng.integers(1, 10**6, (21, 9)))
    budgets = rng.uniform(points.costs[0], points.costs[-1], 10_000)
    times = []
    for _ in range(5):
        begin = time.process_time()
        points.queries(budgets)
        times.append(time.process_time() - begin)
    assert min(times) < 0.02  # a tenth of that where nothing else runs


def test_large_whole_numbers_are_compared_exactly() -> None:
    points = Front(np.array([2**53, 2**53 + 1]), np.array([0.0, 1.0]), np.zeros((2, 1), np.int16))
    assert points.queries([2**53, 2**53 + 1, 2**60]).tolist() == [0, 1, 1]
    assert points.queries([2.0**53, math.inf]).tolist() == [0, 1]
    assert points.query(2.0**53).utility == 0.0


@pytest.mark.parametrize("budgets", [[[1.0]], ["a"], [1.0, math.nan], 3.0])
def test_what_is_no_list_of_budgets(budgets: Any) -> None:
    points = front([[1, 2]], [[3, 5]])
    with pytest.raises(UsageError):
        points.queries(budgets)
    with pytest.raises(UsageError):
        ranked_front([[1, 2]], [[3, 5]], 2).queries(budgets)


def test_one_budget_below_the_least_is_refused() -> None:
    points = front([[1, 2]], [[3, 5]])
    assert points.queries([]).tolist() == []
    with pytest.raises(BudgetInfeasible, match=r"least achievable 3, budget 2\.5"):
        points.queries([7, 2.5])


@pytest.mark.parametrize("k", [1, 2, 5, 40])
def test_the_k_best_for_every_budget(k: int, brute: Brute, instance: Instance) -> None:
    rng = np.random.default_rng(k)
    for _ in range(80):
        utilities, (costs,), _ = instance(rng, 1, layers=4, width=4)
        everything = brute(utilities, [costs], [math.inf])
        found = ranked_front(utilities, costs, k)
        lowest = min(cost for _, (cost,), _ in everything)
        budgets = [lowest, *rng.uniform(lowest, max(cost for _, (cost,), _ in everything) + 1, 6)]
        for budget, index in zip(budgets, found.queries(budgets), strict=True):
            want = [r for r in everything if r[1][0] <= budget][:k]
            got = [(p.utility, (p.cost,), p.choice) for p in found.query(budget)]
            assert got == want
            assert [found.costs[i] for i in index] == [cost for _, (cost,), _ in want]


def test_the_ranked_front_of_one_is_the_front(instance: Instance) -> None:
    utilities, (costs,), _ = instance(np.random.default_rng(4), 1)
    one, points = ranked_front(utilities, costs, 1), front(utilities, costs)
    assert (one.costs == points.costs).all()
    assert (one.choices == points.choices).all()


def test_a_label_limit_bounds_the_loss_of_a_ranked_front() -> None:
    rng = np.random.default_rng(4)
    utilities, costs = rng.random((20, 5)).cumsum(axis=1), rng.integers(1, 10**6, (20, 5)).cumsum(axis=1)
    exact, short = front(utilities, costs), ranked_front(utilities, costs, 3, max_labels=90)
    assert 0 < short.gap < np.ptp(exact.utilities)
    for point in exact:
        found = short.query(point.cost)[0]
        assert found.cost <= point.cost
        assert found.utility <= point.utility <= found.utility + short.gap


def test_refusals_of_a_ranked_front() -> None:
    with pytest.raises(UsageError, match="k must be at least 1"):
        ranked_front([[1, 2]], [[3, 5]], 0)
    with pytest.raises(BudgetInfeasible, match="least achievable 3"):
        ranked_front([[1, 2]], [[3, 5]], 2).query(2)
