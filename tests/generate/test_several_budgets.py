"""Two to four budgets, the k best and distances: against brute force, HiGHS at 21 x 9, limits on time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hwnas.errors import BudgetInfeasible, UsageError
from hwnas.generate import front, solve
from hwnas.generate.dual import Dual
from hwnas.generate.problem import Problem, alive_ids, assemble, read_cost
from hwnas.generate.time_limit import TimeLimit

EXHAUSTIVE = [pytest.mark.slow, pytest.mark.exhaustive, pytest.mark.timeout(1200)]

Brute = Callable[..., list[tuple[float, tuple[float, ...], tuple[int, ...]]]]
Instance = Callable[..., Any]
Rows = list[np.ndarray]


@pytest.mark.parametrize("count", [100, pytest.param(5000, marks=EXHAUSTIVE)])
def test_equals_brute_force(count: int, brute: Brute, instance: Instance) -> None:
    """A third of the instances with a maximum among the costs, a third with the k best, a third with distances."""
    rng = np.random.default_rng(41)
    empty = 0
    for i in range(count):
        m, kind = int(rng.integers(2, 5)), i % 3
        utilities, costs, highs = instance(rng, m, layers=5, width=4)
        names, distance = [f"c{j}" for j in range(m)], (int(rng.integers(2, 4)) if kind == 2 else 0)
        top = 1 if kind == 0 else int(rng.choice([4, 10])) if kind == 2 else 4
        rows, budgets = dict(zip(names, costs, strict=True)), dict(zip(names, highs, strict=True))
        options: dict[str, Any] = {"top": top, "min_distance": distance}
        every = brute(utilities, costs[: m - (kind == 0)], highs[: m - (kind == 0)])
        if kind == 0:
            budgets[names[-1]] = float(rng.integers(0, max(int(max(row.max() for row in costs[-1])), 1) + 1))
            options["aggregate"] = {names[-1]: "max"}
            peak = budgets[names[-1]]
            every = [r for r in every if max(row[k] for row, k in zip(costs[-1], r[2], strict=True)) <= peak]
        want: list[tuple[int, ...]] = []
        for _, _, choice in every:
            if all(sum(a != b for a, b in zip(choice, other, strict=True)) >= distance for other in want):
                want.append(choice)
        try:
            got = solve(utilities, rows, budgets, **options)
        except BudgetInfeasible:
            empty += 1
            assert want == [], i
            continue
        assert [got.choice, *(c.choice for c in got.others)] == want[:top], i
        assert got.utility == every[0][0]
    assert empty < 0.6 * count


def large(seed: int, m: int, kind: str) -> tuple[Rows, dict[str, Rows], dict[str, float]]:
    """21 layers of 9 operations: independent costs, or costs that go with one another and with the utility."""
    rng = np.random.default_rng(seed)
    if kind == "free":
        utilities = rng.normal(size=(21, 9))
        costs = {f"c{i}": list(rng.integers(1, 10**6, (21, 9))) for i in range(m)}
    else:
        base = rng.integers(1, 10**6, (21, 9)).cumsum(axis=1)
        utilities = np.sqrt(base / 1e6) * rng.uniform(0.9, 1.1, (21, 9))
        costs = {f"c{i}": list((base * rng.uniform(0.8, 1.2, (21, 9))).astype(np.int64)) for i in range(m)}
    budgets = {n: float(sum((row.min() + np.median(row)) / 2 for row in rows)) for n, rows in costs.items()}
    return list(utilities), costs, budgets


def by_highs(utilities: Rows, costs: dict[str, Rows], budgets: dict[str, float]) -> float | None:
    optimize = pytest.importorskip("scipy.optimize")
    one = np.repeat(np.eye(len(utilities)), [len(row) for row in utilities], axis=1)
    spent = np.array([np.concatenate(rows) for rows in costs.values()]) / 1e6
    best = optimize.milp(
        -np.concatenate(utilities), integrality=np.ones(one.shape[1]), bounds=optimize.Bounds(0, 1),
        constraints=[optimize.LinearConstraint(one, 1, 1),
                     optimize.LinearConstraint(spent, -np.inf, np.array(list(budgets.values())) / 1e6)],
        options={"mip_rel_gap": 0.0},
    )
    return None if best.fun is None else -float(best.fun)


@pytest.mark.parametrize("kind", ["free", "alike"])
@pytest.mark.parametrize("m", [2, 3, 4])
def test_equals_highs_at_21_by_9(m: int, kind: str) -> None:
    for seed in range(2):
        utilities, costs, budgets = large(seed, m, kind)
        want = by_highs(utilities, costs, budgets)
        if want is None:
            with pytest.raises(BudgetInfeasible, match="jointly"):
                solve(utilities, costs, budgets)
            continue
        got = solve(utilities, costs, budgets)
        assert got.status == "OPTIMAL"
        assert got.utility == pytest.approx(want, abs=1e-6)


@pytest.mark.parametrize("m", [1, 2, 4])
@pytest.mark.parametrize("seconds", [0.0, 0.02])
def test_a_limit_on_time_gives_a_proven_gap(m: int, seconds: float) -> None:
    utilities, costs, budgets = large(3, m, "alike")
    exact = solve(utilities, costs, budgets)
    short = solve(utilities, costs, budgets, max_seconds=seconds)
    assert short.utility <= exact.utility <= short.utility + short.gap + 1e-9
    assert (short.status == "OPTIMAL") == (short.gap == 0.0)
    assert all(short.costs[name] <= budgets[name] for name in budgets)


def test_a_limit_on_time_is_kept() -> None:
    rng = np.random.default_rng(5)
    base = rng.integers(1, 10**6, (60, 30)).cumsum(axis=1)
    utilities = list(np.sqrt(base / 1e6) * rng.uniform(0.95, 1.05, (60, 30)))
    costs = {f"c{i}": list((base * rng.uniform(0.8, 1.2, (60, 30))).astype(np.int64)) for i in range(5)}
    budgets = {n: float(sum(np.median(row) for row in rows)) for n, rows in costs.items()}
    start = time.process_time()
    short = solve(utilities, costs, budgets, max_seconds=0.5)
    assert time.process_time() - start < 5.0
    assert short.status == "BOUNDED"
    assert 0 < short.gap < 2.0
    points = front(utilities, costs["c0"], max_seconds=0.05)
    assert points.status == "BOUNDED"
    whole = solve(utilities, {"c0": costs["c0"]}, {"c0": budgets["c0"]})
    found = points.query(budgets["c0"])
    assert found.utility <= whole.utility <= found.utility + points.gap + 1e-9


@pytest.mark.parametrize("seconds", [-1.0, float("nan")])
def test_bad_time(seconds: float) -> None:
    with pytest.raises(UsageError, match="max_seconds must be at least 0"):
        solve([[0, 1]], [[1, 2]], 3, max_seconds=seconds)


def problem_of(utilities: Rows, costs: dict[str, Rows], budgets: dict[str, float]) -> Problem:
    read = [read_cost(n, rows, utilities, fixed=None, quantum=None, aggregate="sum") for n, rows in costs.items()]
    return assemble(utilities, alive_ids(utilities), read, list(budgets.values()))


@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_prices_reach_the_bound_of_the_linear_relaxation(m: int) -> None:
    optimize = pytest.importorskip("scipy.optimize")
    for seed in range(3):
        problem = problem_of(*large(seed, m, "alike"))
        one, spent = np.repeat(np.eye(21), 9, axis=1), np.concatenate(problem.ticks) / problem.limits
        worth = np.concatenate(problem.utilities)
        best = optimize.linprog(-worth, A_ub=spent.T, b_ub=np.ones(m), A_eq=one, b_eq=np.ones(21))
        y = Dual.of(problem).prices(TimeLimit())
        layers = zip(problem.utilities, problem.ticks, strict=True)
        bound = y @ problem.limits + sum(float((u - c @ y).max()) for u, c in layers)
        assert -best.fun - 1e-6 <= bound <= -best.fun + 1e-3


@pytest.mark.parametrize("top, distance", [(5, 4), (12, 2), (9, 4)])
def test_distances_at_21_by_9(top: int, distance: int) -> None:
    """(12, 2) comes of a list of the best, (9, 4) of a list and then one by one."""
    utilities, costs, budgets = large(1, 2, "free")
    got = solve(utilities, costs, budgets, top=top, min_distance=distance)
    choices = [got.choice, *(c.choice for c in got.others)]
    assert got.status == "OPTIMAL"
    assert len(choices) == top
    for a in range(top):
        assert all(sum(x != y for x, y in zip(choices[a], choices[b], strict=True)) >= distance for b in range(a))
    utilities_found = [got.utility, *(c.utility for c in got.others)]
    assert utilities_found == sorted(utilities_found, reverse=True)
