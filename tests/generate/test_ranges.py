"""Budgets with a lower end, alone and several, sums and maxima: against brute force and HiGHS."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.errors import BudgetInfeasible, UsageError
from hwnas.generate import Solution, solve

EXHAUSTIVE = [pytest.mark.slow, pytest.mark.exhaustive, pytest.mark.timeout(1200)]

Brute = Callable[..., list[tuple[float, tuple[float, ...], tuple[int, ...]]]]
Instance = Callable[..., Any]
COUNTS = [300, pytest.param(5000, marks=EXHAUSTIVE)]


def found(*args: Any, **options: Any) -> Solution | None:
    try:
        return solve(*args, **options)
    except BudgetInfeasible:
        return None


@pytest.mark.parametrize("count", COUNTS)
def test_equals_brute_force(count: int, brute: Brute, instance: Instance) -> None:
    rng = np.random.default_rng(11)
    empty = 0
    for i in range(count):
        m, top = int(rng.integers(1, 4)), int(rng.choice([1, 1, 4]))
        utilities, costs, highs = instance(rng, m, layers=4, width=5)
        lows = [high - float(rng.choice([0, 3, 30, math.inf])) * float(rng.choice([1, high / 40])) for high in highs]
        lows = [-math.inf if math.isnan(low) else low for low in lows]
        want = [r for r in brute(utilities, costs, highs) if all(c >= low for c, low in zip(r[1], lows, strict=True))]
        names = [f"c{i}" for i in range(m)]
        budgets = {name: pair for name, *pair in zip(names, lows, highs, strict=True)}
        got = found(utilities, dict(zip(names, costs, strict=True)), budgets, top=top)
        empty += got is None
        if got is None:
            assert want == [], i
            continue
        every = [(got.utility, tuple(got.costs.values()), got.choice)]
        every += [(c.utility, tuple(c.costs.values()), c.choice) for c in got.others]
        assert every == want[:top], i
        assert got.status == "OPTIMAL"
    assert empty < count / 2


@pytest.mark.parametrize("count", COUNTS)
def test_a_maximum_with_both_ends(count: int, brute: Brute, instance: Instance) -> None:
    rng = np.random.default_rng(12)
    empty = 0
    for i in range(count):
        utilities, (costs,), (high,) = instance(rng, 1, layers=4, width=4)
        peaks = [rng.integers(0, 8, len(row)) for row in utilities]
        low, top = sorted(rng.integers(0, 9, 2).tolist())
        fixed = int(rng.integers(0, 4))
        want = [
            r for r in brute(utilities, [costs], [high])
            if low <= max(fixed, *(int(row[k]) for row, k in zip(peaks, r[2], strict=True))) <= top
        ]
        got = found(
            utilities, {"sum": costs, "peak": peaks}, {"sum": high, "peak": (low, top)}, aggregate={"peak": "max"},
            fixed={"peak": fixed},
        )
        empty += got is None
        assert (got is None) == (want == []), i
        if got is not None:
            assert (got.utility, got.choice) == (want[0][0], want[0][2]), i
            assert low <= got.costs["peak"] <= top
    assert empty < count / 2


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(-4, 4), st.integers(-5, 9)), min_size=1, max_size=4), min_size=1, max_size=4
    ),
    st.integers(-20, 40),
    st.integers(0, 12),
)
def test_shrinks(rows: list[list[tuple[int, int]]], low: int, width: int) -> None:
    sums = [
        (sum(u for u, _ in picked), -sum(c for _, c in picked))
        for picked in itertools.product(*rows)
        if low <= sum(c for _, c in picked) <= low + width
    ]
    got = found([[u for u, _ in row] for row in rows], [[c for _, c in row] for row in rows], (low, low + width))
    assert (got is None) == (not sums)
    if got is not None:
        assert (got.utility, -got.costs["cost"]) == max(sums)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.lists(st.tuples(st.integers(-4, 4), st.floats(0, 3)), min_size=1, max_size=3), min_size=1, max_size=4),
    st.floats(0, 6),
    st.floats(0, 2),
)
def test_fractions_stay_within_the_range(rows: list[list[tuple[int, float]]], low: float, width: float) -> None:
    got = found(
        [[u for u, _ in row] for row in rows], [[c for _, c in row] for row in rows], (low, low + width), quantum=0.01
    )
    if got is not None:
        assert low <= got.costs["cost"] <= low + width
        assert low - 1e-9 <= math.fsum(row[k][1] for row, k in zip(rows, got.choice, strict=True)) <= low + width + 1e-9


@pytest.mark.parametrize("m", [1, 2])
def test_equals_highs_at_21_by_9(m: int) -> None:
    optimize = pytest.importorskip("scipy.optimize")
    for seed in range(3):
        rng = np.random.default_rng(seed)
        utilities = rng.random((21, 9)).cumsum(axis=1)
        costs = rng.integers(1, 10**4, (m, 21, 9)).cumsum(axis=2)
        highs = [int(np.median(c, axis=1).sum()) for c in costs]
        lows = [int(high * 0.995) for high in highs]
        got = solve(
            list(utilities), {f"c{i}": list(c) for i, c in enumerate(costs)},
            {f"c{i}": pair for i, pair in enumerate(zip(lows, highs, strict=True))},
        )
        one = np.repeat(np.eye(21), 9, axis=1)
        best = optimize.milp(
            -utilities.ravel(), integrality=np.ones(189), bounds=optimize.Bounds(0, 1),
            constraints=[optimize.LinearConstraint(one, 1, 1),
                         optimize.LinearConstraint(costs.reshape(m, -1), lows, highs)],
            options={"mip_rel_gap": 0.0},
        )
        assert got.status == "OPTIMAL"
        assert got.utility == pytest.approx(-best.fun, abs=1e-6)


@pytest.mark.parametrize(
    "budget, says",
    [((5, 4), "empty range"), ((math.nan, 4), "not a number"), ((math.inf, math.inf), "empty range")],
)
def test_bad_ranges(budget: tuple[float, float], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        solve([[0, 1]], [[1, 2]], budget)


def test_the_only_choice_within_three_ranges_is_found() -> None:
    """Hardly feasible limits have dear prices, at which rounding once passed for a proof that nothing fits."""
    utilities = [[1.60141656, -0.19197526, 0.51659687, -1.35086697, 0.16302626],
                 [3.44342281, -1.77431644, -0.41599437, -1.27910682]]
    costs = {"a": [[0, 0, 0, 0, 0], [1, 0, 0, 0]], "b": [[0, 0, 0, 0, 0], [1, 0, 0, 1]],
             "c": [[0, 0, 0, 1, 0], [0, 0, 1, 1]]}
    assert solve(utilities, costs, {"a": (1.0, 1.0), "b": (-2.0, 1.0), "c": (1.0, 1.0)}).choice == (3, 0)


def test_what_is_said_when_a_range_is_missed() -> None:
    with pytest.raises(BudgetInfeasible, match=r"least achievable 2, greatest 10, budget 11 to 20, short by 1.*dearer"):
        solve([[0, 1]] * 2, [[1, 5]] * 2, (11, 20))
    with pytest.raises(BudgetInfeasible, match=r"no choice has a total within the range.*3 to 5.*widen"):
        solve([[0, 1]] * 2, [[1, 5]] * 2, (3, 5))
    assert solve([[0, 1]] * 2, [[1, 5]] * 2, (-math.inf, 6)).choice == (0, 1)
