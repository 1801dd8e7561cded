"""One budget where utilities follow costs, against brute force and HiGHS; the pieces of the search by themselves."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.generate import solve
from hwnas.generate.subset_sums import largest
from hwnas.generate.two_lists import frontier

Rows = list[np.ndarray]


def follows(rng: np.random.Generator, kind: str, layers: int, width: int, most: int) -> tuple[Rows, Rows]:
    """Utilities that follow costs, as whole numbers of 1/64, so that sums are exact."""
    costs = [rng.integers(0, most, int(rng.integers(1, width + 1))) for _ in range(layers)]
    if kind == "equal":
        costs = [costs[0]] * layers
    noise = {"near": 3, "steps": 0}.get(kind, 0)
    rows = [row + rng.integers(-noise, noise + 1, len(row)) for row in costs]
    if kind == "steps":
        rows = [row + 5 * np.arange(len(row)) for row in rows]
    return [row / 64 for row in rows], costs


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["same", "near", "steps", "equal"]), st.sampled_from([4, 60, 10**5]))
def test_follows_brute_force_to_the_choice(seed: int, kind: str, most: int) -> None:
    """Ties included, whether totals were looked at as bits or not."""
    rng = np.random.default_rng(seed)
    utilities, costs = follows(rng, kind, int(rng.integers(1, 7)), 5, most)
    low, high = (sum(int(f(row)) for row in costs) for f in (np.min, np.max))
    budget = int(rng.integers(low, high + 1))
    best = min(
        (-sum(u[k] for u, k in zip(utilities, choice, strict=True)), cost, choice)
        for choice in itertools.product(*(range(len(row)) for row in costs))
        if (cost := sum(int(c[k]) for c, k in zip(costs, choice, strict=True))) <= budget
    )
    found = solve(utilities, costs, budget)
    assert (found.status, found.utility, found.costs["cost"], found.choice) == ("OPTIMAL", -best[0], best[1], best[2])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([-40, 40]))
def test_the_scale_of_utilities_changes_nothing(seed: int, power: int) -> None:
    """By a power of two no rounding differs: a utility in FLOPs or in shares of them gives the same choice."""
    rng = np.random.default_rng(seed)
    costs = [rng.integers(1, 10**4, 8) for _ in range(12)]
    utilities = [row * (1 + 1e-5 * rng.normal(size=8)) for row in costs]
    budget = sum(int(row.max()) for row in costs) // 2
    found = solve(utilities, costs, budget)
    scaled = solve([row * 2.0**power for row in utilities], costs, budget)
    assert (scaled.choice, scaled.utility) == (found.choice, found.utility * 2.0**power)


def highs(utilities: Rows, costs: Rows, budget: int) -> float:
    from scipy.optimize import Bounds, LinearConstraint, milp

    sizes = [len(row) for row in utilities]
    layer = np.repeat(np.arange(len(sizes)), sizes)
    one = (layer == np.arange(len(sizes))[:, None]).astype(float)
    row = np.concatenate(costs)
    found = milp(-np.concatenate(utilities), integrality=np.ones(len(row)), bounds=Bounds(0, 1), constraints=[
        LinearConstraint(one, 1, 1), LinearConstraint(row[None] / row.max(), -np.inf, budget / row.max())],
        options={"mip_rel_gap": 0.0})
    chosen = found.x > 0.5
    assert row[chosen].sum() <= budget
    return float(np.concatenate(utilities)[chosen].sum())


KINDS: dict[str, Callable[[np.random.Generator, np.ndarray], np.ndarray]] = {
    "proportional": lambda rng, cost: cost * 0.37e-6,
    "but for a thousandth": lambda rng, cost: cost * (1 + 1e-3 * rng.normal(size=len(cost))),
    "weakly": lambda rng, cost: cost + rng.uniform(-10, 10, len(cost)),
    "or nothing": lambda rng, cost: np.where(cost > cost.min(), cost + 100, cost),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("equal", [False, True])
def test_no_worse_than_highs(kind: str, equal: bool) -> None:
    rng = np.random.default_rng(8)
    costs = [rng.integers(1, 1000, 9) for _ in range(1 if equal else 16)]
    utilities = [KINDS[kind](rng, cost) for cost in costs]
    utilities, costs = (utilities * 16, costs * 16) if equal else (utilities, costs)
    for share in (0.3, 0.6):
        budget = int(sum(int(row.min()) for row in costs) * (1 - share) + sum(int(row.max()) for row in costs) * share)
        found = solve(utilities, costs, budget)
        theirs = highs(utilities, costs, budget)
        assert found.status == "OPTIMAL"
        assert found.costs["cost"] <= budget
        assert found.utility >= theirs - 1e-6 * abs(theirs)


def test_too_many_ties_for_bits_are_still_proven() -> None:
    """Totals up to 10^10, every choice that spends the whole budget is best: one of them, and proven."""
    rng = np.random.default_rng(9)
    costs = [rng.integers(1, 10**7, 20) for _ in range(60)]
    budget = sum(int(row.max()) for row in costs) // 2
    found = solve([row / 1024 for row in costs], costs, budget)
    assert (found.status, found.costs["cost"], found.utility) == ("OPTIMAL", budget, budget / 1024)
    assert solve([row / 1024 for row in costs], costs, budget).choice == found.choice


@pytest.mark.parametrize("labels", [1, 30, 3000])
def test_few_labels_leave_a_gap_that_holds(labels: int) -> None:
    rng = np.random.default_rng(10)
    costs = [rng.integers(1, 10**5, 9) for _ in range(24)]
    utilities = [row * (1 + 1e-6 * rng.normal(size=9)) for row in costs]
    budget = sum(int(row.max()) for row in costs) // 2
    exact, short = solve(utilities, costs, budget), solve(utilities, costs, budget, max_labels=labels)
    assert exact.status == "OPTIMAL"
    assert short.utility <= exact.utility <= short.utility + short.gap
    assert (short.gap > 0) == (short.status == "BOUNDED")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=4), min_size=1, max_size=5), st.integers(0, 100))
def test_the_largest_total(rows: list[list[int]], limit: int) -> None:
    totals = [(sum(row[k] for row, k in zip(rows, choice, strict=True)), choice)
              for choice in itertools.product(*(range(len(row)) for row in rows))]
    within = [(-total, choice) for total, choice in totals if total <= limit]
    assert largest(rows, limit) == (list(min(within)[1]) if within else None)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=40), st.sampled_from([1, 2**56]))
def test_the_frontier(labels: list[tuple[int, int]], step: int) -> None:
    """Costs that leave no room for a place beside them go the other way."""
    def beaten(i: int) -> bool:
        return any(c <= labels[i][0] and u >= labels[i][1] and ((c, u) != labels[i] or j < i)
                   for j, (c, u) in enumerate(labels) if j != i)

    cost, utility = (np.array(column) for column in zip(*labels, strict=True))
    found: Any = frontier(cost * step, utility.astype(float)).tolist()
    assert found == [i for i in range(len(labels)) if not beaten(i)]
