"""Cells of two inputs per node against brute force over every topology, pair of operations and rule."""

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
from hwnas.generate.cells import count_topologies, front_cell, solve_cell

EXHAUSTIVE = [pytest.mark.slow, pytest.mark.exhaustive, pytest.mark.timeout(1200)]

Edges = list[list[np.ndarray]]
Cell = tuple[float, tuple[int, ...], tuple[int, ...], int, int]  # utility, costs, choice, plain inputs, height


def brute(utilities: Edges, costs: list[Edges], plain: set[int]) -> list[Cell]:
    """All cells: utility falling, then costs, then choice."""
    per_node = [
        [(a, i, b, j) for a, b in itertools.combinations(range(node + 2), 2)
         for i in range(len(rows[a])) for j in range(len(rows[b])) if rows[a][i] > -math.inf and rows[b][j] > -math.inf]
        for node, rows in enumerate(utilities)
    ]
    found = []
    for nodes in itertools.product(*per_node):
        heights, worth, totals, skips = [0, 0], 0.0, [0] * len(costs), 0
        for node, (a, i, b, j) in enumerate(nodes):
            heights.append(1 + max(heights[a], heights[b]))
            worth += float(utilities[node][a][i]) + float(utilities[node][b][j])
            totals = [t + int(c[node][a][i]) + int(c[node][b][j]) for t, c in zip(totals, costs, strict=True)]
            skips += (i in plain) + (j in plain)
        found.append((worth, tuple(totals), tuple(itertools.chain(*nodes)), skips, max(heights)))
    return sorted(found, key=lambda r: (-r[0], r[1], r[2]))


def random_cell(rng: np.random.Generator, m: int) -> tuple[Edges, list[Edges]]:
    """One to three nodes, few operations, small costs, tied utilities, some masked."""
    nodes = int(rng.integers(1, 4))
    most = 4 if nodes < 3 else 2
    sizes = [[int(rng.integers(1, most + 1)) for _ in range(i + 2)] for i in range(nodes)]
    utilities = [[rng.integers(-3, 4, k) / 4 for k in row] for row in sizes]
    for row in utilities:
        for u in row:
            u[np.flatnonzero(rng.random(len(u)) < 0.1)[: len(u) - 1]] = -np.inf
    high = int(rng.choice([3, 9, 10**9]))
    return utilities, [[[rng.integers(0, high, k) for k in row] for row in sizes] for _ in range(m)]


def random_rules(rng: np.random.Generator, nodes: int) -> tuple[dict[str, Any], set[int]]:
    plain = set(np.flatnonzero(rng.random(4) < 0.5).tolist())
    low = int(rng.integers(0, 2 * nodes + 1))
    rules: dict[str, Any] = {"plain": plain}
    if rng.random() < 0.6:
        rules["plain_inputs"] = (low, low + int(rng.integers(0, 3)))
    if rng.random() < 0.6:
        rules["max_height"] = int(rng.integers(1, nodes + 1))
    return rules, plain


def allowed(every: list[Cell], rules: dict[str, Any]) -> list[Cell]:
    low, high = rules.get("plain_inputs", (0, 99))
    return [r for r in every if low <= r[3] <= high and r[4] <= rules.get("max_height", 99)]


@pytest.mark.parametrize("count", [150, pytest.param(5000, marks=EXHAUSTIVE)])
def test_equals_brute_force(count: int, tried: Callable[..., Any]) -> None:
    rng = np.random.default_rng(21)
    empty = 0
    for i in range(count):
        m = int(rng.integers(1, 4))
        utilities, costs = random_cell(rng, m)
        rules, plain = random_rules(rng, len(utilities))
        every = brute(utilities, costs, plain)
        ruled = allowed(every, rules)
        some = every[int(rng.integers(0, len(every)))][1]
        budgets = {f"c{j}": float(some[j] + int(rng.integers(-1, 3))) for j in range(m)}
        want = [r for r in ruled if all(c <= b for c, b in zip(r[1], budgets.values(), strict=True))]
        got = tried(solve_cell, utilities, {f"c{j}": c for j, c in enumerate(costs)}, budgets, **rules)
        if isinstance(got, BudgetInfeasible):
            empty += 1
            assert want == [], i
            least = [min((r[1][j] for r in ruled), default=math.inf) for j in range(m)]
            assert list(got.least.values()) == least, i
            continue
        assert (got.utility, tuple(got.costs.values()), got.choice) == want[0][:3], i
        assert got.status == "OPTIMAL"
    assert empty < 0.6 * count


@pytest.mark.parametrize("count", [100, pytest.param(5000, marks=EXHAUSTIVE)])
def test_front_equals_brute_force(count: int) -> None:
    rng = np.random.default_rng(22)
    for i in range(count):
        utilities, (costs,) = random_cell(rng, 1)
        rules, plain = random_rules(rng, len(utilities))
        want: list[tuple[float, float, tuple[int, ...]]] = []
        for r in sorted(allowed(brute(utilities, [costs], plain), rules), key=lambda r: (r[1], -r[0], r[2])):
            if not want or r[0] > want[-1][1]:
                want.append((r[1][0], r[0], r[2]))
        if not want:
            with pytest.raises(BudgetInfeasible):
                front_cell(utilities, costs, **rules)
            continue
        assert [(p.cost, p.utility, p.choice) for p in front_cell(utilities, costs, **rules)] == want, i


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_shrinks(data: Any) -> None:
    """Two nodes of two operations, one of them plain."""
    numbers = st.lists(st.integers(0, 4), min_size=2, max_size=2)
    utilities = [[np.array(data.draw(numbers), float) for _ in range(i + 2)] for i in range(2)]
    costs = [[np.array(data.draw(numbers)) for _ in range(i + 2)] for i in range(2)]
    low, height, budget = data.draw(st.integers(0, 4)), data.draw(st.integers(1, 2)), data.draw(st.integers(0, 12))
    rules = {"plain": {0}, "plain_inputs": (low, 4), "max_height": height}
    want = [r for r in allowed(brute(utilities, [costs], {0}), rules) if r[1][0] <= budget]
    try:
        got = solve_cell(utilities, {"c": costs}, {"c": budget}, **rules)
    except BudgetInfeasible:
        assert want == []
        return
    assert (got.utility, tuple(got.costs.values()), got.choice) == want[0][:3]


def test_topology_counts() -> None:
    assert count_topologies(4) == {1: 1, 2: 63, 3: 92, 4: 24}
    assert sum(count_topologies(4).values()) == 180


def darts(seed: int) -> tuple[Edges, Edges]:
    """Four nodes, seven operations and "none"."""
    rng = np.random.default_rng(seed)
    utilities = [[np.append(rng.normal(size=7), -np.inf) for _ in range(i + 2)] for i in range(4)]
    return utilities, [[rng.integers(0, 10**6, 8) for _ in range(i + 2)] for i in range(4)]


def test_a_darts_cell_is_the_best_of_all_topologies() -> None:
    """Without a budget: per topology the n best gains of a plain operation, as in `methods_a` 2.5 G."""
    utilities, costs = darts(0)
    best = {}
    for pairs in itertools.product(*(itertools.combinations(range(i + 2), 2) for i in range(4))):
        heights, rest, gains = [0, 0], 0.0, []
        for node, (a, b) in enumerate(pairs):
            heights.append(1 + max(heights[a], heights[b]))
            for j in (a, b):
                row = utilities[node][j]
                rest, gains = rest + row[3:7].max(), [*gains, row[:3].max() - row[3:7].max()]
        for n in range(9):
            value = rest + sum(sorted(gains, reverse=True)[:n])
            best[max(heights), n] = max(best.get((max(heights), n), -math.inf), value)
    for height, n in itertools.product((1, 2, 3, 4), (0, 2, 4, 8)):
        want = max(best[h, n] for h in range(1, height + 1))
        rules: dict[str, Any] = {"plain": {0, 1, 2}, "plain_inputs": (n, n), "max_height": height}
        got = solve_cell(utilities, {"c": costs}, {"c": math.inf}, **rules)
        assert got.utility == pytest.approx(want)


def test_front_and_solve_agree_and_budgets_are_kept() -> None:
    utilities, costs = darts(1)
    rules: dict[str, Any] = {"plain": {0, 1, 2}, "plain_inputs": (2, 6), "max_height": 3}
    points = front_cell(utilities, costs, **rules)
    before = -math.inf
    for budget in np.linspace(points.costs[0], points.costs[-1], 7):
        answer = solve_cell(utilities, {"c": costs}, {"c": budget}, **rules)
        assert answer.choice == points.query(budget).choice
        assert answer.costs["c"] <= budget
        assert answer.utility >= before
        before = answer.utility


def test_limits_on_work_are_told() -> None:
    utilities, costs = darts(2)
    other = darts(3)[1]
    both, budgets = {"a": costs, "b": other}, {"a": 2.5e6, "b": 2.5e6}
    exact = solve_cell(utilities, both, budgets, max_height=2)
    for options in ({"max_labels": 30}, {"max_seconds": 0.0}):
        short = solve_cell(utilities, both, budgets, max_height=2, **options)  # type: ignore[arg-type]
        assert short.status == "BOUNDED"
        assert short.utility <= exact.utility <= short.utility + short.gap + 1e-9
    points, few = front_cell(utilities, costs), front_cell(utilities, costs, max_labels=10)
    assert (points.status, few.status) == ("OPTIMAL", "BOUNDED")
    for point in points:
        found = few.query(point.cost)
        assert found.utility <= point.utility <= found.utility + few.gap + 1e-9


def test_quantum_and_fixed_part() -> None:
    answer = solve_cell([[[0, 1], [0, 1]]], {"ms": [[[0.1, 0.25], [0.2, 0.3]]]}, {"ms": 0.95}, fixed={"ms": 0.5},
                        quantum={"ms": 0.01})
    assert (answer.choice, answer.costs) == ((0, 0, 1, 1), {"ms": 0.9})


@pytest.mark.parametrize(
    "change, says",
    [
        ({"utilities": [[[0, 1]]]}, "must have 2 predecessors"),
        ({"utilities": []}, "at least one node"),
        ({"costs": {}}, "no cost"),
        ({"plain_inputs": (3, 2)}, "plain_inputs must be"),
        ({"max_height": 0}, "max_height must be at least 1"),
        ({"budgets": {"c": math.nan}}, "not a number"),
    ],
)
def test_bad_input(change: dict[str, Any], says: str) -> None:
    good = {"utilities": [[[0, 1], [0, 1]]], "costs": {"c": [[[1, 2], [1, 2]]]}, "budgets": {"c": 9}}
    with pytest.raises(UsageError, match=says):
        solve_cell(**{**good, **change})
