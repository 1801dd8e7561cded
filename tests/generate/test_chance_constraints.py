"""solve_uncertain against enumeration: mean plus margin, relative errors, further budgets, limits on work."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.errors import BudgetInfeasible, UsageError
from hwnas.generate import solve
from hwnas.generate.chance_constraints import solve_uncertain

layer = st.integers(1, 4).flatmap(lambda k: st.tuples(
    st.lists(st.integers(-8, 8).map(lambda n: n / 4), min_size=k, max_size=k),
    st.lists(st.integers(0, 9), min_size=k, max_size=k),
    st.lists(st.integers(0, 60), min_size=k, max_size=k),
    st.lists(st.integers(0, 9), min_size=k, max_size=k),
))


def holds(p: int, v: int, budget: float, z: float, k: float) -> bool:
    room = Fraction(repr(budget)) - p
    return room >= 0 and Fraction(repr(z)) ** 2 * v + Fraction(repr(k)) ** 2 * p * p <= room**2


def total(rows: Any, choice: tuple[int, ...]) -> Any:
    return sum(row[k] for row, k in zip(rows, choice, strict=True))


@settings(max_examples=150, deadline=None)
@given(st.lists(layer, min_size=1, max_size=4), st.integers(0, 200).map(lambda n: n / 4),
       st.sampled_from([0.0, 0.5, 1.0, 1.645, 3.0]), st.sampled_from([0.0, 0.1, 0.5, 0.9]), st.integers(0, 3),
       st.integers(0, 40) | st.none())
def test_equals_brute_force(rows: list[Any], budget: float, z: float, k: float, extra: int, other: int | None) -> None:
    utilities, mean, variance, flops = zip(*rows, strict=True)
    within = [c for c in itertools.product(*map(range, map(len, utilities)))
              if holds(total(mean, c) + extra, total(variance, c) + extra, budget, z, k)
              and (other is None or total(flops, c) <= other)]
    more = {} if other is None else {"costs": {"flops": flops}, "budgets": {"flops": other}}
    try:
        found = solve_uncertain(utilities, mean, variance, budget, z=z, relative=k, fixed_mean=extra,
                                fixed_variance=extra, **more)
    except BudgetInfeasible:
        assert within == []
        return
    assert found.choice in within
    assert found.utility == max(total(utilities, c) for c in within)
    assert (found.status, found.gap) == ("OPTIMAL", 0.0)
    assert found.mean == total(mean, found.choice) + extra
    assert found.upper <= budget


def test_without_a_margin_it_is_the_plain_problem() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        utilities, mean = rng.normal(size=(8, 5)), rng.integers(1, 1000, (8, 5))
        budget = int(mean.min(axis=1).sum() * 1.5)
        found = solve_uncertain(utilities, mean, rng.integers(0, 99, (8, 5)), budget, z=0)
        assert found.utility == solve(utilities, mean, budget).utility


def test_where_mean_and_deviation_both_pay_the_interval_is_split_often() -> None:
    rng, steps = np.random.default_rng(8), []
    for _ in range(80):
        mean = rng.integers(10**4, 10**6, (7, 5))
        variance = (mean * rng.uniform(0.0, 2.0, (7, 5))).astype(np.int64) ** 2
        utilities = mean / 1e6 + 0.3 * np.sqrt(variance) / 1e6 + rng.normal(0, 0.1, (7, 5))
        p, v, worth = (summed(rows) for rows in (mean, variance, utilities))
        upper = p + np.sqrt((0.1 * p) ** 2 + v)
        budget = float(np.quantile(upper, rng.uniform(0.01, 0.5)))
        found = solve_uncertain(utilities, mean, variance, budget, z=1.0, relative=0.1)
        steps.append(found.steps)
        assert found.utility == worth[upper <= budget].max()
    assert max(steps) > 8


def summed(rows: Any) -> Any:
    total = np.zeros(1)
    for row in rows:
        total = (total[:, None] + row).ravel()
    return total


def by_two_budgets(utilities: Any, mean: Any, variance: Any, budget: float, z: float) -> float:
    """Any choice within: its mean is one of those possible, and its variance is at most what that mean leaves."""
    means = {0}
    for row in mean:
        means = {m + int(c) for m in means for c in row}
    best = -math.inf
    for m in (m for m in means if m <= budget):
        try:
            found = solve(utilities, {"mean": mean, "variance": variance},
                          {"mean": m, "variance": math.floor(((budget - m) / z) ** 2)})
        except BudgetInfeasible:
            continue
        best = max(best, found.utility)
    return best


def test_beyond_brute_force_it_agrees_with_a_scan_of_means() -> None:
    rng = np.random.default_rng(1)
    for _ in range(3):
        utilities = rng.normal(size=(12, 5)).cumsum(axis=1)
        mean, variance = rng.integers(1, 5, (12, 5)).cumsum(axis=1), rng.integers(0, 40, (12, 5))
        budget = float(mean.min(axis=1).sum() + 40.5)
        found = solve_uncertain(utilities, mean, variance, budget, z=1.5)
        assert found.utility == by_two_budgets(utilities, mean, variance, budget, 1.5)


def test_more_confidence_never_gains() -> None:
    rng = np.random.default_rng(2)
    utilities, mean = rng.normal(size=(15, 6)), rng.integers(10**5, 10**6, (15, 6))
    variance = (mean * rng.uniform(0.02, 0.4, (15, 6))) ** 2
    budget = float(mean.mean(axis=1).sum())
    worth = [solve_uncertain(utilities, mean, variance, budget, z=z, relative=0.05).utility for z in (0, 0.5, 1, 2, 3)]
    assert worth == sorted(worth, reverse=True)
    assert worth[0] > worth[-1]


def test_the_least_is_named() -> None:
    mean, variance = [[4, 6], [4, 7]], [[100, 0], [100, 4]]
    least = min(p + 2 * math.sqrt(v) for p, v in ((8, 200), (10, 100), (11, 104), (13, 4)))
    with pytest.raises(BudgetInfeasible, match="less confidence") as caught:
        solve_uncertain([[0, 1], [0, 1]], mean, variance, 16, z=2)
    assert caught.value.least["uncertain"] == pytest.approx(least)
    assert solve_uncertain([[0, 1], [0, 1]], mean, variance, least, z=2).choice == (1, 1)


def test_a_limit_on_steps_gives_a_proven_gap() -> None:
    rng = np.random.default_rng(3)
    utilities, mean = rng.normal(size=(21, 9)), rng.integers(10**5, 10**6, (21, 9))
    variance = (mean * rng.uniform(0.02, 0.5, (21, 9))) ** 2
    budget = float(mean.min(axis=1).sum() * 2)
    exact = solve_uncertain(utilities, mean, variance, budget, z=1.645)
    short = solve_uncertain(utilities, mean, variance, budget, z=1.645, max_steps=3)
    assert exact.status == "OPTIMAL"
    assert short.status == "BOUNDED"
    assert short.utility <= exact.utility <= short.utility + short.gap
    assert short.upper <= budget


def test_masked_operations_and_fractions() -> None:
    found = solve_uncertain([[5.0, -math.inf, 1.0]], [[0.5, math.nan, 0.1]], [[0.25, 0.0, 0.0]], 0.9, z=1)
    assert found.choice == (2,)
    assert solve_uncertain([[5.0, 1.0]], [[0.5, 0.1]], [[0.16, 0.0]], 0.9, z=1).choice == (0,)


@pytest.mark.parametrize("change, message", [
    ({"z": -1.0}, "at least 0"), ({"relative": 1.0}, r"\[0, 1\)"), ({"z": math.nan}, "at least 0"),
    ({"max_steps": 0}, "max_steps"), ({"variance": [[-1.0, 0.0]]}, "negative"), ({"fixed_variance": -1.0}, "negative"),
    ({"mean": [[1.0]]}, "operations"), ({"budget": math.inf}, "finite"),
])
def test_refusals(change: dict[str, Any], message: str) -> None:
    given = {"mean": [[1.0, 2.0]], "variance": [[0.0, 0.0]], "budget": 5.0, "z": 1.0, **change}
    with pytest.raises(UsageError, match=message):
        solve_uncertain([[0.0, 1.0]], **given)
