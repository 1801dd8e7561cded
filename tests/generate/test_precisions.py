"""Ops and precisions chosen together, against brute force: changes, masks, edges that are not there, the best apart."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from hwnas.errors import BudgetInfeasible, UsageError
from hwnas.generate import front_precisions, solve, solve_precisions
from tests.generate.distances import apart, held_apart
from tests.timing import least, processor_s

EXHAUSTIVE = [pytest.mark.slow, pytest.mark.exhaustive, pytest.mark.timeout(3600)]
Row = tuple[float, tuple[float, ...], tuple[int, ...]]


@dataclass
class Case:
    """An instance with all its choices: utility, costs and candidates, best first."""

    given: dict[str, Any]
    budgets: dict[str, float]
    aggregate: dict[str, str]
    precisions: int
    every: list[Row]

    @property
    def within(self) -> list[Row]:
        return [row for row in self.every if all(c <= b for c, b in zip(row[1], self.budgets.values(), strict=True))]

    def solve(self, **options: Any) -> Any:
        return solve_precisions(**self.given, budgets=self.budgets, aggregate=self.aggregate, **options)


def random_case(rng: np.random.Generator, layers: int = 6, most: int = 20_000) -> Case:
    """2 to `layers` layers of 1 to 4 ops in 1 to 3 precisions; chains, and in a third of the cases any pairs."""
    length, p = int(rng.integers(2, layers + 1)), int(rng.choice([1, 2, 3, 3, 3]))
    sizes = rng.integers(1, 5, length)
    while np.prod(sizes * p) > most:
        sizes[rng.integers(length)] = rng.integers(1, 4)
    tied, high = rng.random() < 0.4, int(rng.choice([3, 40, 10**9]))
    utilities = [rng.integers(0, 4, n) / 4 if tied else rng.normal(size=n) for n in sizes]
    flat = rng.random() < 0.3
    penalties = [rng.integers(0, 3, p if flat else (n, p)) / 4 for n in sizes]
    if not flat:
        for row in penalties:
            row[rng.random(row.shape) < 0.1] = np.inf
            row[0, 0] = 0.0
    carries = [rng.random(n) > 0.2 for n in sizes] if rng.random() < 0.3 else None
    names = ["ns", "memory"][: int(rng.integers(1, 3))]
    pairs = [(i, i + 1) for i in range(length - 1)]
    if rng.random() < 0.3:
        pairs = [pair for pair in itertools.permutations(range(length), 2) if rng.random() < 0.4]
    costs = {name: [rng.integers(0, high, (n, p)) for n in sizes] for name in names}
    changes = {name: {pair: rng.integers(0, high // 2 + 1, (p, p)) * (1 - np.eye(p, dtype=int)) for pair in pairs}
               for name in names}
    given = {"utilities": utilities, "costs": costs, "penalties": penalties, "changes": changes, "carries": carries}
    every = enumerated(given, sizes, p, names)
    budgets = {name: float(np.quantile([row[1][j] for row in every], rng.uniform(0.02, 0.7)))
               for j, name in enumerate(names)}
    if rng.random() < 0.15:
        budgets[names[0]] = min(row[1][0] for row in every) - 1.0
    return Case(given, budgets, {"memory": "max"} if len(names) > 1 else {}, p, every)


def enumerated(given: dict[str, Any], sizes: Any, p: int, names: list[str]) -> list[Row]:
    """Every choice that is no duplicate and not masked; arrays over all of them."""
    carries = given["carries"] or [np.ones(n, bool) for n in sizes]
    at = np.indices([n * p for n in sizes]).reshape(len(sizes), -1)
    utility, real = np.zeros(at.shape[1]), np.ones(at.shape[1], bool)
    for i, n in enumerate(sizes):
        off = np.broadcast_to(given["penalties"][i], (n, p))
        utility += (np.asarray(given["utilities"][i])[:, None] - off).ravel()[at[i]]
        real &= (carries[i][:, None] | (np.arange(p) == 0)).ravel()[at[i]]
    totals = []
    for name in names:
        parts = [given["costs"][name][i].ravel()[at[i]] for i in range(len(sizes))]
        for (a, b), grid in given["changes"][name].items():
            both = carries[a][at[a] // p] & carries[b][at[b] // p]
            parts.append(grid[at[a] % p, at[b] % p] * both)
        totals.append(np.max(parts, axis=0) if name == "memory" else np.sum(parts, axis=0))
    kept = np.flatnonzero(real & np.isfinite(utility))
    kept = kept[np.lexsort((kept, totals[0][kept], -np.round(utility[kept], 9)))]
    columns = zip(utility[kept].tolist(), np.array(totals)[:, kept].T.tolist(), at[:, kept].T.tolist(), strict=True)
    return [(worth, tuple(map(float, costs)), tuple(choice)) for worth, costs, choice in columns]


@pytest.mark.parametrize(("count", "most"), [(200, 20_000), pytest.param(400, 600_000, marks=EXHAUSTIVE)])
def test_equals_brute_force(count: int, most: int, tried: Callable[..., Any]) -> None:
    rng = np.random.default_rng(11)
    empty = changed = 0
    for i in range(count):
        case = random_case(rng, most=most)
        got, within = tried(case.solve), case.within
        if isinstance(got, BudgetInfeasible):
            empty += 1
            assert within == [], i
            assert got.least == {n: min(r[1][j] for r in case.every) for j, n in enumerate(case.budgets)}
            continue
        assert (got.status, got.gap) == ("OPTIMAL", 0.0)
        assert got.choice == within[0][2], i
        assert tuple(got.costs.values()) == within[0][1]
        assert got.utility == pytest.approx(within[0][0], abs=1e-9)
        changed += len({candidate % case.precisions for candidate in got.choice}) > 1
    assert count / 20 < empty < count / 2
    assert changed > count / 5


@pytest.mark.parametrize("count", [60, pytest.param(600, marks=EXHAUSTIVE)])
def test_the_best_apart_are_those_of_brute_force(count: int) -> None:
    """Greedy from the best down; a layer counts once, whether its op or its precision or both are others."""
    rng = np.random.default_rng(12)
    several = 0
    for _ in range(count):
        case, distance = random_case(rng, 5), int(rng.integers(0, 4))
        within = case.within
        if not within:
            continue
        found = case.solve(top=5, min_distance=distance)
        got = [(found.utility, found.choice), *((other.utility, other.choice) for other in found.others)]
        assert found.status == "OPTIMAL"
        held_apart(got, within, distance, 5)
        several += len(got) > 2
    assert several > count / 3


def test_a_front_answers_every_budget() -> None:
    rng = np.random.default_rng(13)
    for _ in range(40):
        case = random_case(rng, 4)
        given = {**case.given, "costs": case.given["costs"]["ns"], "changes": case.given["changes"]["ns"]}
        points = front_precisions(**given)
        best: list[tuple[float, float]] = []
        for utility, costs, _ in sorted(case.every, key=lambda row: (row[1][0], -row[0])):
            if not best or utility > best[-1][1] + 1e-9:
                best.append((costs[0], utility))
        assert [point.cost for point in points] == [cost for cost, _ in best]
        assert points.utilities == pytest.approx([utility for _, utility in best], abs=1e-9)
        by_choice = {choice: (costs[0], utility) for utility, costs, choice in case.every}
        for point in points:
            assert by_choice[tuple(point.choice)] == (point.cost, pytest.approx(point.utility, abs=1e-9))


def test_without_changes_it_is_the_chain_of_candidates() -> None:
    rng = np.random.default_rng(14)
    utilities, penalties = rng.normal(size=(9, 5)), rng.uniform(0, 0.3, (9, 5, 3))
    costs = rng.integers(1, 10**6, (9, 5, 3))
    budget = int(costs.min(axis=(1, 2)).sum() * 2)
    one = solve_precisions(list(utilities), {"ns": list(costs)}, {"ns": budget}, penalties=list(penalties))
    flat = [(u[:, None] - off).ravel() for u, off in zip(utilities, penalties, strict=True)]
    assert one.choice == solve(flat, {"ns": [row.ravel() for row in costs]}, {"ns": budget}).choice


def test_a_change_that_costs_more_than_it_saves_is_not_made() -> None:
    """int8 halves the middle layer alone; whether that pays is a matter of the two changes around it."""
    costs = [np.array([[10, 20]]), np.array([[10, 4]]), np.array([[10, 20]])]

    def plan(change: int) -> list[int]:
        grid = [[0, change], [change, 0]]
        found = solve_precisions([[0.0]] * 3, {"ns": costs}, {"ns": 100}, changes={"ns": {(0, 1): grid, (1, 2): grid}})
        return [candidate % 2 for candidate in found.choice]

    assert plan(2) == [0, 1, 0]
    assert plan(4) == [0, 0, 0]


def long_chain(layers: int, ops: int, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng([seed, 15])
    costs = [rng.integers(1, 10**9, (ops, 3)) for _ in range(layers)]
    worth = [row[:, 0] / 1e9 * (1 + 1e-7 * rng.normal(size=ops)) for row in costs]
    changes = {(i, i + 1): rng.integers(1, 10**8, (3, 3)) * (1 - np.eye(3, dtype=int)) for i in range(layers - 1)}
    penalties = [np.abs(row[:, :1] - row) / 1e9 for row in costs]
    return {"utilities": worth, "costs": {"ns": costs}, "changes": {"ns": changes}, "penalties": penalties,
            "budgets": {"ns": sum(int(row.max()) for row in costs) // 2}}


@pytest.mark.parametrize("seconds", [0.0, 0.3])
@pytest.mark.parametrize("options", [{}, {"top": 3, "min_distance": 2}])
def test_an_answer_is_there_in_time(seconds: float, options: dict[str, int]) -> None:
    given = long_chain(60, 8)
    found: list[Any] = []

    def spent() -> float:
        start = time.monotonic()
        busy = processor_s(lambda: found.append(solve_precisions(**given, max_seconds=seconds, **options)))
        return min(busy, time.monotonic() - start)

    assert least(seconds + 0.2, spent) <= seconds + 0.2
    assert all(answer.costs["ns"] <= given["budgets"]["ns"] for answer in found)


def test_answers_that_time_leaves_unproven_are_apart_and_within() -> None:
    given = long_chain(60, 8)
    found = solve_precisions(**given, top=8, min_distance=2, max_seconds=1.0)
    choices = [found.choice, *(other.choice for other in found.others)]
    assert found.status == "BOUNDED"
    assert all(apart(a, b) >= 2 for a, b in itertools.combinations(choices, 2))
    assert all(other.costs["ns"] <= given["budgets"]["ns"] for other in found.others)


def test_what_is_cut_short_is_within_its_gap() -> None:
    given = long_chain(9, 3)
    exact, short = solve_precisions(**given), solve_precisions(**given, max_labels=20)
    assert exact.status == "OPTIMAL"
    assert short.utility <= exact.utility <= short.utility + short.gap + 1e-9


@pytest.mark.parametrize(
    "change, says",
    [
        ({"utilities": []}, "utilities is empty"),
        ({"costs": {}}, "no cost"),
        ({"costs": {"ns": [[1, 2], [3, 4]]}}, "the cost 'ns' of layer 0 must be an array"),
        ({"costs": {"ns": [[[1, 2]]]}}, "has 1 layers and the utilities have 2"),
        ({"costs": {"ns": [[[1, 2]], [[1, 2, 3]]]}}, "the cost 'ns' of layer 1"),
        ({"penalties": [[0, 0]]}, "penalties has 1 layers"),
        ({"penalties": [[0, 0], [0, 0, 0]]}, r"penalties of layer 1 must have the shape \(2,\) or \(1, 2\)"),
        ({"penalties": [[0, math.nan], [0, 0]]}, "hold NaN"),
        ({"penalties": [[math.inf, math.inf], [0, 0]]}, "every operation masked"),
        ({"changes": {"ns": {(0, 2): [[0, 1], [1, 0]]}}}, "layers 0 to 1"),
        ({"changes": {"ns": {(0, 1): [[0, 1]]}}}, "the change of 'ns' between the layers 0 and 1"),
        ({"carries": [[True, False], [True]]}, "carries of layer 0"),
        ({"changes": {"ms": {(0, 1): [[0, 1], [1, 0]]}}}, "the changes of 'ms'"),
    ],
)
def test_bad_input(change: dict[str, Any], says: str) -> None:
    good: dict[str, Any] = {"utilities": [[0.0], [1.0]], "costs": {"ns": [[[1, 2]], [[3, 4]]]}, "budgets": {"ns": 9}}
    assert solve_precisions(**good).utility == 1.0
    with pytest.raises(UsageError, match=says):
        solve_precisions(**{**good, **change})
