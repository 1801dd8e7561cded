"""Amounts to ticks: decimals, rounding up, budgets rounded down."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.errors import BudgetInfeasible
from hwnas.generate import solve
from hwnas.generate.integer_costs import Cost, exact

amount = st.floats(0, 5, allow_nan=False).map(lambda x: round(x, 4))
rows = st.lists(st.lists(st.tuples(amount, st.integers(-4, 4)), min_size=1, max_size=3), min_size=1, max_size=4)


def test_decimals_are_read_as_written() -> None:
    assert solve([[0.0]] * 3, [[0.1]] * 3, 0.3, quantum=0.1).costs == {"cost": 0.3}
    assert solve([[0.0]] * 3, [[0.1]] * 3, 0.4, quantum=0.1, fixed=0.1).costs == {"cost": 0.4}
    assert solve([[0.0]], [[0.30000000000000004]], 0.4, quantum=0.1).choice == (0,)
    with pytest.raises(BudgetInfeasible):
        solve([[0.0]], [[0.30000000000000004]], 0.3, quantum=0.1)


@pytest.mark.parametrize("value", [3, 3.0, np.int32(3), np.float32(3), np.uint8(3)])
def test_whole_numbers_stay_integers(value: object) -> None:
    assert exact(value) == 3
    assert isinstance(exact(value), int)


def test_large_integers_are_not_rounded() -> None:
    big = 2**60 + 1
    assert Cost("c", ((exact(big),),), None, 1).ticks(0, [0]) == [big]
    assert solve([[0, 1]], [np.array([2**60, big])], 2**60).choice == (0,)


def test_ticks_round_up_and_limits_down() -> None:
    cost = Cost("c", ((exact(0.25), exact(0.3), exact(0)),), exact(0.5), exact(0.1))
    assert cost.ticks(0, [0, 1, 2]) == [3, 3, 0]
    assert cost.limit(0.89) == 3
    assert cost.limit(0.4) == -1
    assert cost.total([0]) == 0.75


@settings(max_examples=100, deadline=None)
@given(rows, st.floats(0, 20), st.sampled_from([0.01, 0.1, 0.5]))
def test_quantum_keeps_the_budget_and_loses_at_most_l_quanta(
    table: list[list[tuple[float, int]]], budget: float, quantum: float
) -> None:
    costs = [[c for c, _ in row] for row in table]
    utilities = [[float(u) for _, u in row] for row in table]
    safe = [
        sum(row[k] for row, k in zip(utilities, choice, strict=True))
        for choice in itertools.product(*[range(len(row)) for row in table])
        if sum(row[k] for row, k in zip(costs, choice, strict=True)) <= budget - len(table) * quantum - 1e-9
    ]
    try:
        answer = solve(utilities, costs, budget, quantum=quantum)
    except BudgetInfeasible:
        assert not safe
        return
    assert answer.costs["cost"] <= budget
    assert math.fsum(row[k] for row, k in zip(costs, answer.choice, strict=True)) <= budget + 1e-12
    assert answer.utility >= max(safe, default=-math.inf)
