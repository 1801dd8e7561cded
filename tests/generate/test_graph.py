"""Graphs of choices against brute force and HiGHS: transitions, ties, any factors, masks, limits on work."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.errors import BudgetInfeasible, UnknownName, UsageError
from hwnas.generate import front, solve
from hwnas.generate.elimination import plan
from hwnas.generate.graph import Factor, front_graph, solve_graph
from tests.generate.distances import apart, held_apart

EXHAUSTIVE = [pytest.mark.slow, pytest.mark.exhaustive, pytest.mark.timeout(1200)]

Ranked = list[tuple[float, tuple[float, ...], tuple[int, ...]]]
T2 = "7,0,111 8,1,112 9,3,113 13,5,131 15,6,213 19,8,133 26,9,232 29,11,233 39,12,333"


def brute(options: dict[str, int], factors: list[Factor], names: list[str], peaks: Collection[str] = ()) -> Ranked:
    """All choices: utility falling, then costs, then choice."""
    found = []
    for choice in itertools.product(*map(range, options.values())):
        at = dict(zip(options, choice, strict=True))
        places = [tuple(at[name] for name in f.variables) for f in factors]
        utility = sum(
            0.0 if f.utility is None else float(np.asarray(f.utility)[p]) for f, p in zip(factors, places, strict=True)
        )
        parts = {
            n: [float(np.asarray(f.costs[n])[p]) if n in f.costs else 0.0 for f, p in zip(factors, places, strict=True)]
            for n in names
        }
        if math.isfinite(utility):
            found.append((utility, tuple(max(v) if n in peaks else sum(v) for n, v in parts.items()), choice))
    return sorted(found, key=lambda r: (-r[0], r[1], r[2]))


def random_graph(rng: np.random.Generator, m: int) -> tuple[dict[str, int], list[Factor], list[str]]:
    """At most 5 variables of 3 options and 6 factors of up to 3 of them; small costs, half with tied utilities."""
    options = {f"v{i}": int(rng.integers(1, 4)) for i in range(rng.integers(1, 6))}
    names, high = [f"c{i}" for i in range(m)], int(rng.choice([2, 8, 10**9]))
    tied, factors = rng.random() < 0.5, []
    for _ in range(rng.integers(1, 7)):
        some = rng.permutation(list(options))[: rng.integers(1, 4)].tolist()
        shape = tuple(options[name] for name in some)
        utility = rng.integers(-3, 4, shape) / 4 if tied else rng.normal(size=shape)
        forbidden = rng.random(shape) < 0.1
        forbidden.flat[0] = False
        utility = np.where(forbidden, -np.inf, utility)
        given = [name for name in names if rng.random() < 0.8]
        factors.append(Factor(tuple(some), None if rng.random() < 0.2 else utility,
                              {name: rng.integers(0, high, shape) for name in given}))
    factors.append(Factor(("v0",), None, {name: np.arange(options["v0"]) for name in names}))
    return options, factors, names


@pytest.mark.parametrize("count", [300, pytest.param(5000, marks=EXHAUSTIVE)])
def test_equals_brute_force(count: int, tried: Callable[..., Any]) -> None:
    rng = np.random.default_rng(5)
    empty = 0
    for i in range(count):
        options, factors, names = random_graph(rng, int(rng.integers(1, 4)))
        peaks = {names[-1]} if len(names) > 1 and rng.random() < 0.3 else set()
        every = brute(options, factors, names, peaks)
        totals = [sorted(r[1][j] for r in every) or [0.0] for j in range(len(names))]
        some = [t[int(rng.integers(0, len(t)))] - int(rng.random() < 0.1) for t in totals]
        budgets = dict(zip(names, some, strict=True))
        within = [r for r in every if all(c <= budgets[n] for n, c in zip(names, r[1], strict=True))]
        summed = [j for j, n in enumerate(names) if n not in peaks]
        within.sort(key=lambda r: (-round(r[0], 9), [r[1][j] for j in summed], r[2]))
        got = tried(solve_graph, options, factors, budgets, aggregate=dict.fromkeys(peaks, "max"))
        if isinstance(got, BudgetInfeasible):
            empty += 1
            assert within == [], i
            if every:
                assert got.least == {n: t[0] for n, t in zip(names, totals, strict=True)}
            continue
        assert (got.status, got.gap) == ("OPTIMAL", 0.0)
        assert (got.choice, tuple(got.costs.values())) == (within[0][2], within[0][1]), i
        assert got.utility == pytest.approx(within[0][0], abs=1e-9)
    assert empty < count / 2


@pytest.mark.parametrize("count", [200, pytest.param(5000, marks=EXHAUSTIVE)])
def test_front_equals_brute_force(count: int) -> None:
    rng = np.random.default_rng(6)
    seen = 0
    for i in range(count):
        options, factors, names = random_graph(rng, 1)
        every = brute(options, factors, names)
        want: Ranked = []
        for r in sorted(every, key=lambda r: (r[1], -round(r[0], 9), r[2])):
            if not want or r[0] > want[-1][0] + 1e-9:
                want.append(r)
        if not want:
            with pytest.raises(BudgetInfeasible):
                front_graph(options, factors, "c0")
            continue
        got = front_graph(options, factors, "c0")
        assert [(p.cost, p.choice) for p in got] == [(r[1][0], r[2]) for r in want], i
        assert got.utilities == pytest.approx([r[0] for r in want], abs=1e-9)
        seen += len(want) > 2
    assert seen > count / 10


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_shrinks(data: Any) -> None:
    """Pairwise chains of small numbers, under one budget."""
    sizes = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
    options = {f"v{i}": n for i, n in enumerate(sizes)}
    small = st.integers(0, 4)
    factors = [Factor(("v0",), data.draw(st.lists(small, min_size=sizes[0], max_size=sizes[0])), {"c": [0] * sizes[0]})]
    for i in range(1, len(sizes)):
        row = st.lists(small, min_size=sizes[i], max_size=sizes[i])
        grid = st.lists(row, min_size=sizes[i - 1], max_size=sizes[i - 1])
        factors.append(Factor((f"v{i - 1}", f"v{i}"), data.draw(grid), {"c": data.draw(grid)}))
    budget = data.draw(st.integers(0, 12))
    within = [r for r in brute(options, factors, ["c"]) if r[1][0] <= budget]
    try:
        got = solve_graph(options, factors, {"c": budget})
    except BudgetInfeasible:
        assert within == []
        return
    assert (got.utility, tuple(got.costs.values()), got.choice) == within[0]


def transitions() -> tuple[dict[str, int], list[Factor]]:
    """T2 of the reference: cost a_l * w_(l-1) * w_l, start width 1."""
    widths, utilities = np.arange(1, 4), [[0, 3, 4], [0, 2, 5], [0, 1, 3]]
    factors = [Factor(("w0",), utilities[0], {"c": 4 * widths})]
    for layer, a in ((1, 2), (2, 1)):
        worth = np.tile(utilities[layer], (3, 1))
        factors.append(Factor((f"w{layer - 1}", f"w{layer}"), worth, {"c": a * np.outer(widths, widths)}))
    return {f"w{i}": 3 for i in range(3)}, factors


def test_transition_costs_known_answer() -> None:
    points = front_graph(*transitions(), "c")
    words = [f"{p.cost:.0f},{p.utility:.0f},{''.join(str(k + 1) for k in p.choice)}" for p in points]
    assert " ".join(words) == T2
    for point in points:
        assert solve_graph(*transitions(), {"c": point.cost}).choice == point.choice


def chain_with_widths(seed: int, layers: int, m: int) -> tuple[dict[str, int], list[Factor], dict[str, float]]:
    """Layers of 9 operations and 3 widths; a layer's cost depends on the width before."""
    rng, widths = np.random.default_rng(seed), np.array([1.0, 1.5, 2.0])
    options, factors = {}, []
    for layer in range(layers):
        options |= {f"op{layer}": 9, f"w{layer}": 3}
        base = rng.integers(1, 10**6, 9).cumsum()
        before = ("op0", "w0") if layer == 0 else (f"w{layer - 1}", f"op{layer}", f"w{layer}")
        sides = widths[None] if layer == 0 else widths[:, None, None] * widths
        grid = base[:, None] * sides if layer == 0 else base[None, :, None] * sides
        costs = {f"c{i}": (grid * rng.uniform(0.8, 1.2, grid.shape)).astype(np.int64) for i in range(m)}
        worth = np.sqrt(base / 1e6) * rng.uniform(0.7, 1.3, 9)
        factors += [Factor(before, None, costs), Factor((f"op{layer}",), worth)]
        factors.append(Factor((f"w{layer}",), np.sort(rng.random(3))))
    budgets = {f"c{i}": float(sum(int(np.median(f.costs[f"c{i}"])) for f in factors if f.costs)) for i in range(m)}
    return options, factors, budgets


def by_highs(options: dict[str, int], factors: list[Factor], budgets: dict[str, float]) -> float:
    """The optimum by HiGHS: one 0/1 variable per entry of a factor, equal marginals."""
    optimize = pytest.importorskip("scipy.optimize")
    sizes = [math.prod(options[n] for n in f.variables) for f in factors]
    starts = np.cumsum([0, *sizes])
    rows, right = [], []
    first: dict[str, np.ndarray] = {}
    for f, start, size in zip(factors, starts, sizes, strict=False):
        index = np.arange(start, start + size).reshape([options[n] for n in f.variables])
        one = np.zeros(starts[-1])
        one[index.ravel()] = 1
        rows, right = [*rows, one], [*right, 1]
        for axis, name in enumerate(f.variables):
            marginal = np.zeros((options[name], starts[-1]))
            for k in range(options[name]):
                marginal[k, np.take(index, k, axis=axis).ravel()] = 1
            if name in first:
                rows, right = [*rows, *(marginal - first[name])], [*right, *([0] * options[name])]
            first.setdefault(name, marginal)
    both = list(zip(factors, sizes, strict=True))
    flat = [np.concatenate([np.ravel(f.costs.get(n, np.zeros(size))) for f, size in both]) for n in budgets]
    worth = np.concatenate([np.zeros(size) if f.utility is None else np.ravel(f.utility) for f, size in both])
    best = optimize.milp(
        -worth, integrality=np.ones(len(worth)), bounds=optimize.Bounds(0, 1), options={"mip_rel_gap": 0.0},
        constraints=[optimize.LinearConstraint(np.array(rows), right, right),
                     optimize.LinearConstraint(np.array(flat) / 1e6, -np.inf, np.array(list(budgets.values())) / 1e6)],
    )
    return -float(best.fun)


@pytest.mark.parametrize("m", [1, 2])
def test_equals_highs(m: int) -> None:
    options, factors, budgets = chain_with_widths(m, 8, m)
    got = solve_graph(options, factors, budgets)
    assert got.status == "OPTIMAL"
    assert got.utility == pytest.approx(by_highs(options, factors, budgets), abs=1e-5)
    assert all(got.costs[name] <= budget for name, budget in budgets.items())


def test_query_of_the_front_is_solve_and_larger_budgets_never_lower_utility() -> None:
    options, factors, budgets = chain_with_widths(3, 12, 1)
    points = front_graph(options, factors, "c0")
    before = -math.inf
    for share in (0.5, 0.7, 0.9, 1.0, 1.1):
        answer = solve_graph(options, factors, {"c0": share * budgets["c0"]})
        point = points.query(share * budgets["c0"])
        assert answer.utility == pytest.approx(point.utility)
        assert answer.choice == point.choice
        assert before <= answer.utility
        before = answer.utility


def test_without_dependences_it_is_the_chain() -> None:
    rng = np.random.default_rng(2)
    utilities, costs = rng.normal(size=(8, 5)), rng.integers(1, 1000, (8, 5))
    options = {f"v{i}": 5 for i in range(8)}
    factors = [Factor((f"v{i}",), utilities[i], {"cost": costs[i]}) for i in range(8)]
    a, b = front(list(utilities), list(costs)), front_graph(options, factors, "cost")
    assert [p.choice for p in a] == [p.choice for p in b]
    assert (a.costs == b.costs).all()
    assert solve(list(utilities), list(costs), 2500).choice == solve_graph(options, factors, {"cost": 2500}).choice


def test_tied_choices_share_a_variable() -> None:
    cell = Factor(("op", "width"), [[0, 2], [1, 5]], {"c": [[1, 2], [2, 5]]})
    answer = solve_graph({"op": 2, "width": 2}, [cell, cell, Factor(("width",), [0, 1], {"c": [0, 1]})], {"c": 8})
    assert (answer.choice, answer.utility, answer.costs) == ((0, 1), 5.0, {"c": 5.0})


@pytest.mark.parametrize("max_labels", [1, 3, 20])
def test_a_label_limit_gives_a_proven_gap(max_labels: int) -> None:
    options, factors, budgets = chain_with_widths(4, 10, 2)
    exact = solve_graph(options, factors, budgets)
    short = solve_graph(options, factors, budgets, max_labels=max_labels)
    assert short.utility <= exact.utility <= short.utility + short.gap + 1e-9
    assert (short.status == "OPTIMAL") == (short.gap == 0.0)
    assert all(short.costs[name] <= budgets[name] for name in budgets)


def test_a_front_of_few_labels_bounds_its_loss() -> None:
    options, factors, _ = chain_with_widths(5, 8, 1)
    exact, short = front_graph(options, factors, "c0"), front_graph(options, factors, "c0", max_labels=60)
    assert (exact.status, short.status) == ("OPTIMAL", "BOUNDED")
    for point in exact:
        found = short.query(point.cost)
        assert found.utility <= point.utility <= found.utility + short.gap + 1e-9


def test_no_time_gives_an_honest_answer() -> None:
    options, factors, budgets = chain_with_widths(6, 12, 2)
    short, exact = solve_graph(options, factors, budgets, max_seconds=0.0), solve_graph(options, factors, budgets)
    assert short.utility <= exact.utility <= short.utility + short.gap + 1e-9
    assert all(short.costs[name] <= budgets[name] for name in budgets)


def test_quantum_and_fixed_part() -> None:
    factors = [Factor(("a", "b"), [[0, 1], [2, 3]], {"ms": [[0.1, 0.2], [0.3, 0.35]]})]
    answer = solve_graph({"a": 2, "b": 2}, factors, {"ms": 0.9}, fixed={"ms": 0.6}, quantum={"ms": 0.01})
    assert (answer.choice, answer.costs) == ((1, 0), {"ms": 0.9})
    points = front_graph({"a": 2, "b": 2}, factors, "ms", fixed=0.6, quantum=0.01)
    assert points.costs.tolist() == [0.7, 0.8, 0.9, 0.95]


@pytest.mark.parametrize(
    "change, says",
    [
        ({"options": {}}, "options is empty"),
        ({"options": {"a": 0, "b": 2}}, "must have 1 to"),
        ({"factors": [Factor(("a", "a"), None, {"c": [[1, 2], [1, 2]]})]}, "different variables"),
        ({"factors": [Factor(("a",), [1, 2, 3], {"c": [1, 2]})]}, r"must have the shape \(2,\)"),
        ({"factors": [Factor(("a",), [1, 2])]}, "no cost"),
        ({"budgets": {"c": math.nan}}, "not a number"),
    ],
)
def test_bad_input(change: dict[str, Any], says: str) -> None:
    good = {"options": {"a": 2, "b": 2}, "factors": [Factor(("a",), None, {"c": [1, 2]})], "budgets": {"c": 3}}
    with pytest.raises(UsageError, match=says):
        solve_graph(**{**good, **change})


def test_unknown_names() -> None:
    with pytest.raises(UnknownName, match="unknown variable 'z'"):
        solve_graph({"a": 2}, [Factor(("z",), None, {"c": [1, 2]})], {"c": 3})
    with pytest.raises(UnknownName, match="unknown cost 'd'"):
        solve_graph({"a": 2}, [Factor(("a",), None, {"c": [1, 2]})], {"d": 3})


def test_too_wide_a_graph_is_refused() -> None:
    options = {f"v{i}": 9 for i in range(9)}
    pairs = itertools.combinations(options, 2)
    with pytest.raises(UsageError, match="depend on each other at once"):
        solve_graph(options, [Factor(pair, None, {"c": np.ones((9, 9), int)}) for pair in pairs], {"c": 99})


def test_a_chain_is_eliminated_without_fill() -> None:
    scopes = [(i, i + 1) for i in range(20)]
    assert max(len(bucket.scope) for bucket in plan([3] * 21, scopes)) == 2
    cycle = [*scopes, (0, 20)]
    assert max(len(bucket.scope) for bucket in plan([3] * 21, cycle)) == 3


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 4), st.integers(1, 2))
def test_the_best_apart_are_those_of_brute_force(seed: int, distance: int, m: int) -> None:
    """Greedy from the best down: utilities are unique in value, choices where no other has the same."""
    rng = np.random.default_rng([seed, 21])
    options, factors, names = random_graph(rng, m)
    every = brute(options, factors, names)
    budgets = {name: float(np.median([row[1][i] for row in every])) for i, name in enumerate(names)}
    within = [row for row in every if all(c <= budgets[n] for c, n in zip(row[1], names, strict=True))]
    if not within or distance > len(options):
        return
    found = solve_graph(options, factors, budgets, top=4, min_distance=distance)
    got = [(found.utility, found.choice), *((other.utility, other.choice) for other in found.others)]
    assert found.status == "OPTIMAL"
    assert found.choice == within[0][2]
    held_apart(got, within, distance, 4)


def test_the_best_apart_on_a_long_chain() -> None:
    """Twelve variables, three at least apart, and every answer within the budget."""
    rng = np.random.default_rng(3)
    options = {f"v{i}": 4 for i in range(12)}
    factors = [Factor((f"v{i}", f"v{i + 1}"), rng.normal(size=(4, 4)), {"ms": rng.integers(1, 100, (4, 4))})
               for i in range(11)]
    found = solve_graph(options, factors, {"ms": 450}, top=5, min_distance=3)
    choices = [found.choice, *(other.choice for other in found.others)]
    utilities = [found.utility, *(other.utility for other in found.others)]
    assert len(choices) == 5
    assert all(apart(a, b) >= 3 for a, b in itertools.combinations(choices, 2))
    assert utilities == sorted(utilities, reverse=True)
    assert max(other.costs["ms"] for other in found.others) <= 450
    assert solve_graph(options, factors, {"ms": 450}).choice == found.choice


@pytest.mark.parametrize("options", [{"top": 0}, {"min_distance": -1}])
def test_counts_of_choices_are_checked(options: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="must be at least"):
        solve_graph({"a": 2}, [Factor(("a",), [0.0, 1.0], {"ms": [1, 2]})], {"ms": 2}, **options)
