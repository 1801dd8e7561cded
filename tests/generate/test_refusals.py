"""What solve and front refuse, and what they say."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from hwnas.errors import BudgetInfeasible, UnknownName, UsageError
from hwnas.generate import front, solve

GOOD: dict[str, Any] = {"utilities": [[0, 1], [0, 1]], "costs": [[1, 2], [1, 2]], "budgets": 4}


@pytest.mark.parametrize(
    "change, says",
    [
        ({"utilities": []}, "no layer"),
        ({"utilities": [[0, math.nan], [0, 1]]}, "layer 0 hold NaN"),
        ({"utilities": [[0, 1], [0, math.inf]]}, "layer 1 hold NaN"),
        ({"utilities": [[-math.inf, -math.inf], [0, 1]]}, "layer 0 has every operation masked"),
        ({"utilities": [[[0, 1]], [0, 1]]}, "layer 0 must be a flat list"),
        ({"utilities": [["a", 1], [0, 1]]}, "layer 0 must be a flat list of numbers"),
        ({"utilities": [np.zeros(40_000), [0, 1]]}, "layer 0 has 40000 operations"),
        ({"costs": [[1, 2]]}, "1 layers and the utilities have 2"),
        ({"costs": [[1, 2], [1, 2, 3]]}, "layer 1 has 3 operations"),
        ({"costs": [[1, math.nan], [1, 2]]}, "layer 0 is NaN"),
        ({"costs": [[1, math.inf], [1, 2]]}, "mask it with the utility -inf"),
        ({"costs": [[1, 2.5], [1, 2]]}, "give quantum"),
        ({"costs": {}}, "no cost"),
        ({"costs": [[0, 2**61], [1, 2]]}, "larger quantum"),
        ({"budgets": math.nan}, "not a number"),
        ({"budgets": {}}, "no budget"),
        ({"quantum": 0}, "must be a positive number"),
        ({"quantum": math.nan}, "must be a positive number"),
        ({"fixed": math.inf}, "must be a finite number"),
        ({"top": 0}, "top must be at least 1"),
        ({"min_distance": -1}, "min_distance must be at least 0"),
        ({"max_labels": 0}, "max_labels must be at least 1"),
        ({"costs": {"a": [[1, 2]] * 2, "b": [[1, 2]] * 2}}, "budgets must be a mapping"),
    ],
)
def test_bad_input(change: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        solve(**{**GOOD, **change})


@pytest.mark.parametrize(
    "change",
    [{"budgets": {"flop": 3}}, {"fixed": {"x": 1}}, {"quantum": {"x": 1}}, {"aggregate": {"x": "sum"}}],
)
def test_unknown_cost(change: dict[str, Any]) -> None:
    with pytest.raises(UnknownName, match=r"unknown cost .* Known: flops"):
        solve(**{**GOOD, "costs": {"flops": GOOD["costs"]}, "budgets": {"flops": 4}, **change})


def test_unknown_aggregate() -> None:
    with pytest.raises(UnknownName, match="aggregate 'mean'"):
        solve(**GOOD, aggregate={"cost": "mean"})


def test_front_refuses_too() -> None:
    for change, says in (({"max_labels": 0}, "max_labels"), ({"max_cost": math.nan}, "max_cost")):
        with pytest.raises(UsageError, match=says):
            front(GOOD["utilities"], GOOD["costs"], **change)
    with pytest.raises(UsageError, match="give quantum"):
        front([[1]], [[0.5]])


def test_every_budget_is_told_its_least() -> None:
    costs = {"a": [[3, 9], [4, 9]], "b": [[9, 1], [9, 2]]}
    with pytest.raises(BudgetInfeasible) as caught:
        solve(GOOD["utilities"], costs, {"a": 6, "b": 20}, fixed={"b": 5})
    assert caught.value.least == {"a": 7.0, "b": 8.0}
    assert caught.value.budgets == {"a": 6, "b": 20}
    assert str(caught.value) == (
        "no choice meets the budget (a: least achievable 7, budget 6, short by 1; "
        "b: least achievable 8, budget 20): raise the budget or offer cheaper operations"
    )


def test_jointly_infeasible() -> None:
    costs = {"a": [[1, 9]], "b": [[9, 1]]}
    with pytest.raises(BudgetInfeasible, match=r"alone, but no choice meets them jointly .*a: least achievable 1") as e:
        solve([[0, 1]], costs, {"a": 5, "b": 5})
    assert e.value.least == {"a": 1.0, "b": 1.0}


def test_maximum_infeasible_alone_and_jointly() -> None:
    costs = {"a": [[1, 9]], "peak": [[9, 1]]}
    kinds = {"peak": "max"}
    with pytest.raises(BudgetInfeasible, match=r"peak: least achievable 1, budget 0\.5, short by 0\.5"):
        solve([[0, 1]], costs, {"a": 5, "peak": 0.5}, aggregate=kinds)
    with pytest.raises(BudgetInfeasible, match="jointly"):
        solve([[0, 1]], costs, {"a": 5, "peak": 5}, aggregate=kinds)
    two = {"p": [[1, 9]], "q": [[9, 1]]}
    with pytest.raises(BudgetInfeasible, match="jointly"):
        solve([[0, 1]], two, {"p": 5, "q": 5}, aggregate={"p": "max", "q": "max"})


def test_too_few_labels_is_not_called_infeasible() -> None:
    # the two budgets leave only one sum of `a`: a single label per layer misses it, and knows nothing
    rng = np.random.default_rng(0)
    a = rng.integers(0, 1000, (8, 3))
    costs = {"a": list(a), "b": list(1000 - a)}
    total = int(a[np.arange(8), rng.integers(0, 3, 8)].sum())
    budgets = {"a": total, "b": 8000 - total}
    utilities = list(rng.normal(size=(8, 3)))
    assert solve(utilities, costs, budgets).costs == budgets
    with pytest.raises(UsageError, match="max_labels = 1 was reached"):
        solve(utilities, costs, budgets, max_labels=1)


def test_a_budget_missed_by_rounding_says_so() -> None:
    with pytest.raises(BudgetInfeasible, match=r"just missed by rounding up.*smaller quantum"):
        solve([[0.0]] * 3, [[0.35]] * 3, 1.1, quantum=0.1)
    assert solve([[0.0]] * 3, [[0.35]] * 3, 1.1, quantum=0.05).costs["cost"] == 1.05
