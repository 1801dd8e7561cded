"""explain: every claim about budgets against brute force or a second solve."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hwnas.errors import BudgetInfeasible, UsageError
from hwnas.generate import solve
from hwnas.generate.explain import Explanation, Words, explain
from hwnas.generate.shadow_prices import FRACTIONS

Instance = Callable[..., Any]


def everything(utilities: Any, rows: dict[str, Any], peaks: set[str]) -> list[tuple[float, dict[str, float], Any]]:
    """Utility, totals and choice of every choice that is not masked."""
    found = []
    for choice in itertools.product(*(range(len(row)) for row in utilities)):
        utility = sum(float(row[k]) for row, k in zip(utilities, choice, strict=True))
        if utility > -math.inf:
            totals = {name: (max if name in peaks else sum)(int(row[k]) for row, k in zip(cost, choice, strict=True))
                      for name, cost in rows.items()}
            found.append((utility, totals, choice))
    return found


def best(found: Any, budgets: dict[str, float]) -> float | None:
    return max((u for u, totals, _ in found if all(totals[n] <= b for n, b in budgets.items())), default=None)


def problems(instance: Instance, m: int, peak: bool, count: int, shrink: float) -> Any:
    rng = np.random.default_rng(10 * m + peak)
    for _ in range(count):
        utilities, costs, budgets = instance(rng, m, layers=4, width=4)
        names = [f"c{i}" for i in range(m)]
        peaks = {names[-1]} if peak else set()
        rows = dict(zip(names, costs, strict=True))
        bounds = {name: math.floor(b * shrink) for name, b in zip(names, budgets, strict=True)}
        if peak:
            low, high = (max(int(pick(row)) for row in costs[-1]) for pick in (np.min, np.max))
            bounds[names[-1]] = int(rng.integers(int(low * shrink), high + 1))
        yield utilities, rows, bounds, peaks


@pytest.mark.parametrize("m, peak", [(1, False), (2, False), (3, False), (2, True)])
def test_feasible_claims(m: int, peak: bool, instance: Instance) -> None:
    told = 0
    for utilities, rows, budgets, peaks in problems(instance, m, peak, 20 if m > 1 and not peak else 50, 1.0):
        found = everything(utilities, rows, peaks)
        top = best(found, budgets)
        if top is None:
            continue
        story = explain(utilities, rows, budgets, aggregate=dict.fromkeys(peaks, "max"))
        assert story.status == "OPTIMAL"
        assert story.utility == pytest.approx(top, abs=1e-12)
        for limit in story.limits:
            free = best(found, {n: b for n, b in budgets.items() if n != limit.name})
            assert free is not None
            assert limit.binds == (free > top + 1e-12)
            assert limit.least == min(totals[limit.name] for _, totals, _ in found)
            assert limit.reached is not None
            assert limit.slack == limit.budget - limit.reached >= 0
        for step in story.steps:
            told += 1
            at = best(found, {**budgets, step.cost: budgets[step.cost] + step.by})
            assert at == pytest.approx(top + step.gain, abs=1e-9)  # neither more nor less at that budget
            assert story.choice is not None
            assert step.layers == tuple(i for i, (a, b) in enumerate(zip(step.choice, story.choice, strict=True))
                                        if a != b)
            assert step.gain * step.by > 0
            assert any(limit.binds for limit in story.limits if limit.name == step.cost)
        for limit in story.limits:  # what binds has a price
            assert limit.binds == (story.prices[limit.name] > 0)
        check_json(story)
    assert told > 8


def test_steps_are_the_best_within_each_percentage(instance: Instance) -> None:
    rng = np.random.default_rng(3)
    utilities, costs = rng.normal(size=(15, 6)), rng.integers(10**5, 10**6, (15, 6))
    budget = int(costs.min(axis=1).sum() * 1.6)
    story = explain(utilities, {"latency": costs}, {"latency": budget})
    here = solve(utilities, costs, budget)
    want = {}
    for fraction in (*(-f for f in FRACTIONS), *FRACTIONS):
        there = solve(utilities, costs, budget + fraction * budget)
        if there.choice != here.choice:
            want[there.choice] = (there.costs["cost"] - budget, there.utility - here.utility)
    assert {step.choice: (step.by, step.gain) for step in story.steps} == want
    assert story.prices["latency"] == max(step.gain / step.by for step in story.steps if step.by > 0)


def test_the_same_steps_with_and_without_a_second_budget() -> None:
    """One cost reads a front, several solve again: an unlimited second budget must change nothing."""
    rng = np.random.default_rng(4)
    utilities, costs = rng.normal(size=(10, 5)), rng.integers(1, 1000, (10, 5))
    budget = int(costs.min(axis=1).sum() * 1.8)
    one = explain(utilities, {"a": costs}, {"a": budget})
    two = explain(utilities, {"a": costs, "b": costs}, {"a": budget, "b": math.inf})
    assert one.steps == two.steps
    assert [limit.binds for limit in two.limits] == [True, False]
    assert two.prices["b"] == 0.0


@pytest.mark.parametrize("m, peak", [(1, False), (2, False), (3, False), (2, True)])
def test_infeasible_claims(m: int, peak: bool, instance: Instance) -> None:
    seen = joint = 0
    for utilities, rows, budgets, peaks in problems(instance, m, peak, 30 if m > 1 and not peak else 100, 0.8):
        found = everything(utilities, rows, peaks)
        if best(found, budgets) is not None:
            continue
        seen += 1
        story = explain(utilities, rows, budgets, aggregate=dict.fromkeys(peaks, "max"))
        assert (story.status, story.choice, story.steps) == ("INFEASIBLE", None, ())
        joint += all(limit.least <= limit.budget for limit in story.limits)
        for limit in story.limits:
            others = {n: b for n, b in budgets.items() if n != limit.name}
            within = [t[limit.name] for _, t, _ in found if all(t[n] <= b for n, b in others.items())]
            assert limit.least == min(t[limit.name] for _, t, _ in found)
            assert limit.within == min(within, default=None)
        assert [one.raised for one in story.relaxations] == sorted(one.raised for one in story.relaxations)
        for one in story.relaxations:
            assert all(value > budgets[name] for name, value in one.budgets.items())
            totals = next(t for _, t, choice in found if choice == one.choice)
            assert all(totals[n] <= b for n, b in {**budgets, **one.budgets}.items())
        check_json(story)
    assert seen > 8
    assert joint > 0 or m == 1


def test_raising_all_budgets_together_is_nearly_the_least_factor() -> None:
    rng = np.random.default_rng(5)
    for _ in range(10):
        utilities = rng.normal(size=(5, 4))
        rows = {"a": rng.integers(1, 100, (5, 4)), "b": rng.integers(1, 100, (5, 4))}
        found = everything(utilities, rows, set())
        budgets = {name: 1.02 * min(t[name] for _, t, _ in found) for name in rows}
        if best(found, budgets) is not None:
            continue
        story = explain(utilities, rows, budgets)
        least = min(max(t[n] / b for n, b in budgets.items()) for _, t, _ in found)
        assert least - 1e-9 <= 1 + story.relaxations[0].raised <= least * 1.0011


def test_who_holds_the_least() -> None:
    story = explain([[0, 1]] * 3, {"a": [[5, 9], [50, 60], [1, 2]]}, {"a": 20})
    assert story.limits[0].holders == ((1, 50.0), (0, 5.0), (2, 1.0))
    assert story.relaxations[0].budgets == {"a": 56.0}
    text = story.text(Words(lambda name, amount: f"{amount:g} ms", lambda i: f"stage{i}"))
    assert text.splitlines() == [
        "no choice meets the budgets",
        "a: 20 ms asked, the least is 56 ms, 36 ms too much; the most of it at stage1 (50 ms), stage0 (5 ms), stage2 "
        "(1 ms)",
        "cheapest way out: raise a to 56 ms (+180.0 %)",
    ]


def test_a_conflict_names_the_layers_where_it_lies() -> None:
    rows = {"a": [[1, 9], [1, 1]], "b": [[9, 1], [1, 1]]}
    story = explain([[0, 0], [0, 1]], rows, {"a": 4, "b": 4})
    assert [(limit.least, limit.within) for limit in story.limits] == [(2.0, 10.0), (2.0, 10.0)]
    assert [limit.holders for limit in story.limits] == [((0, 8.0),), ((0, 8.0),)]
    assert "2 possible alone, 10 beside the other budgets" in story.text()


def test_a_maximum_is_held_by_the_layers_over_it() -> None:
    story = explain([[0, 1]] * 2, {"peak": [[7, 9], [3, 4]]}, {"peak": 5}, aggregate={"peak": "max"})
    assert story.limits[0].holders == ((0, 7.0),)
    assert story.relaxations[0].budgets == {"peak": 7.0}


def test_text_of_a_feasible_answer() -> None:
    story = explain([[0.0, 1.0, 3.0]], {"a": [[1, 2, 3]], "b": [[1, 1, 1]]}, {"a": 2.5, "b": 9})
    assert story.text().splitlines() == [
        "a: 2 of 2.5: this budget binds", "b: 1 of 9: does not bind, down to 1 nothing changes",
        "a: 0.5 more buys +2, at layer 0"]
    story = explain([[0.0, 1.0, 3.0]], {"a": [[100, 110, 120]]}, {"a": 115})
    assert story.text().splitlines() == [
        "a: 110 of 115: this budget binds", "a: 15 less costs -1, at layer 0", "a: 5 more buys +2, at layer 0"]


def test_fixed_parts_and_quanta() -> None:
    options: dict[str, Any] = {"fixed": {"ms": 1.0}, "quantum": {"ms": 0.1}}
    rows = {"ms": [[0.12, 0.55], [0.2, 0.3]]}
    story = explain([[0, 1], [0, 2]], rows, {"ms": 1.5}, **options)
    assert story.limits[0].reached == pytest.approx(1.42)
    assert story.choice == solve([[0, 1], [0, 2]], rows, {"ms": 1.5}, **options).choice == (0, 1)
    refused = explain([[0, 1], [0, 2]], rows, {"ms": 1.2}, **options)
    assert refused.limits[0].least == pytest.approx(1.32)


def test_the_upper_end_of_a_range_is_explained() -> None:
    """The best of utility is too cheap, and one more step is just over the upper end."""
    utilities, rows = [[5.0, 0.0, 1.0], [0.0, 3.0, 6.0]], {"ms": [[1, 2, 6], [1, 2, 4]]}
    told = explain(utilities, rows, {"ms": (3, 4)})
    assert told.choice == solve(utilities, rows, (3, 4)).choice
    assert (told.limits[0].budget, told.limits[0].binds) == (4, True)
    raises = [step for step in told.steps if step.by > 0]
    assert raises
    assert all(step.choice == solve(utilities, rows, (3, 4 + step.by)).choice for step in raises)
    refused = explain(utilities, rows, {"ms": (9, 9.5)})
    assert (refused.status, refused.limits[0].within) == ("INFEASIBLE", 10)


def test_refusals() -> None:
    with pytest.raises(UsageError, match="no budget"):
        explain([[0, 1]], {"a": [[1, 2]]}, {})
    with pytest.raises(UsageError, match="empty range"):
        explain([[0, 1]], {"a": [[1, 2]]}, {"a": (2, 1)})
    with pytest.raises(UsageError):
        explain([[0, 1]], {"a": [[1, 2]]}, {"b": 2})


def check_json(story: Explanation) -> None:
    data = json.loads(json.dumps(story.to_json(), allow_nan=False))
    assert data["status"] == story.status
    assert [row["name"] for row in data["limits"]] == [limit.name for limit in story.limits]
    assert len(data["steps"]) == len(story.steps)
    assert story.text()


def test_infeasible_is_what_solve_says(instance: Instance) -> None:
    for utilities, rows, budgets, _ in problems(instance, 2, False, 30, 0.8):
        story = explain(utilities, rows, budgets)
        if story.choice is None:
            with pytest.raises(BudgetInfeasible):
                solve(utilities, rows, budgets)
