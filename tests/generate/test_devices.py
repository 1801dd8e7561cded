"""One network for several devices, against brute force."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hwnas.errors import BudgetInfeasible, UnknownName, UsageError
from hwnas.generate import solve
from hwnas.generate.devices import solve_for_devices

EXHAUSTIVE = [pytest.mark.slow, pytest.mark.exhaustive, pytest.mark.timeout(1200)]

Brute = Callable[..., list[tuple[float, tuple[float, ...], tuple[int, ...]]]]
Instance = Callable[..., Any]


@pytest.mark.parametrize("count", [100, pytest.param(5000, marks=EXHAUSTIVE)])
def test_equals_brute_force(count: int, brute: Brute, instance: Instance) -> None:
    rng = np.random.default_rng(31)
    gained = empty = 0
    for i in range(count):
        m = int(rng.integers(1, 4))
        utilities, costs, highs = instance(rng, m, layers=4, width=4)
        names, highs = [f"c{j}" for j in range(m)], [max(high, 1.0) for high in highs]
        spread = names[: int(rng.integers(1, m + 1))]
        give_up = float(rng.choice([0, 0.25, 1, 100]))
        within = brute(utilities, costs, highs)
        rows, budgets = dict(zip(names, costs, strict=True)), dict(zip(names, highs, strict=True))
        if not within:
            empty += 1
            with pytest.raises(BudgetInfeasible):
                solve_for_devices(utilities, rows, budgets, spread, give_up=give_up)
            continue
        good = [r for r in within if r[0] >= within[0][0] - give_up - 1e-12]
        slack = max(min(1 - c / b for c, b in zip(r[1], highs[: len(spread)], strict=False)) for r in good)
        most = max(r[0] for r in good
                   if min(1 - c / b for c, b in zip(r[1], highs[: len(spread)], strict=False)) >= slack - 1e-12)
        got = solve_for_devices(utilities, rows, budgets, spread, give_up=give_up)
        assert min(got.slack.values()) == pytest.approx(slack, abs=1e-12), i
        assert (got.utility, got.best_utility, got.status) == (most, within[0][0], "OPTIMAL"), i
        assert all(got.costs[n] <= b for n, b in budgets.items())
        gained += got.utility < got.best_utility
    assert gained > count / 20
    assert empty < count / 2


def test_utility_first_then_slack() -> None:
    answer = solve_for_devices([[1, 1, 0]], {"a": [[3, 6, 1]], "b": [[8, 5, 1]]}, {"a": 10, "b": 10}, ["a", "b"])
    assert (answer.choice, answer.slack) == ((1,), {"a": 0.4, "b": 0.5})
    assert solve([[1, 1, 0]], {"a": [[3, 6, 1]], "b": [[8, 5, 1]]}, {"a": 10, "b": 10}).choice == (0,)
    more = solve_for_devices([[1, 1, 0]], {"a": [[3, 6, 1]], "b": [[8, 5, 1]]}, {"a": 10, "b": 10}, ["a"], give_up=1)
    assert (more.choice, more.best_utility) == ((2,), 1.0)


def test_the_last_nanosecond_counts() -> None:
    answer = solve_for_devices([[1.1, 1.0, 0.0]], {"a": [[900_000, 899_999, 1]]}, {"a": 10**6}, ["a"], give_up=0.2)
    assert (answer.choice, answer.utility, answer.best_utility) == ((1,), 1.0, 1.1)


def test_three_devices_at_21_by_9() -> None:
    rng = np.random.default_rng(1)
    base = rng.integers(1, 10**5, (21, 9)).cumsum(axis=1)
    costs = {f"d{i}": list((base * rng.uniform(0.8, 1.2, (21, 9))).astype(np.int64)) for i in range(3)}
    utilities = list(np.sqrt(base / 1e5) * rng.uniform(0.9, 1.1, (21, 9)))
    budgets = {n: float(sum(np.median(row) for row in rows)) for n, rows in costs.items()}
    plain = solve(utilities, costs, budgets)
    even = solve_for_devices(utilities, costs, budgets, list(costs), give_up=0.3)
    assert even.status == "OPTIMAL"
    assert min(even.slack.values()) > max(0.0, min(1 - plain.costs[n] / budgets[n] for n in budgets))
    assert plain.utility - 0.3 - 1e-9 <= even.utility <= plain.utility == even.best_utility


@pytest.mark.parametrize(
    "change, says",
    [
        ({"spread": []}, "at least one cost"),
        ({"give_up": -1}, "give_up must be at least 0"),
        ({"budgets": {"a": (1, 5)}}, "one finite number above 0"),
        ({"budgets": {"a": 0}}, "one finite number above 0"),
        ({"costs": {"a": [[1.5, 2]]}, "quantum": {"a": 0.5}}, "whole numbers"),
        ({"aggregate": {"a": "max"}}, "a sum of whole numbers"),
        ({"top": 2}, "top must be 1"),
    ],
)
def test_bad_input(change: dict[str, Any], says: str) -> None:
    good: dict[str, Any] = {"utilities": [[0, 1]], "costs": {"a": [[1, 2]]}, "budgets": {"a": 5}, "spread": ["a"]}
    with pytest.raises(UsageError, match=says):
        solve_for_devices(**{**good, **change})


def test_unknown_device() -> None:
    with pytest.raises(UnknownName, match="unknown cost 'b'"):
        solve_for_devices([[0, 1]], {"a": [[1, 2]]}, {"a": 5}, ["b"])
