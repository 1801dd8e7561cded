"""Brute force over every choice: the oracle of this room."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from hwnas.errors import BudgetInfeasible

Ranked = list[tuple[float, tuple[float, ...], tuple[int, ...]]]


def enumerate_all(
    utilities: Sequence[np.ndarray], costs: Sequence[Sequence[np.ndarray]], budgets: Sequence[float]
) -> Ranked:
    """All choices within the budgets: utility falling, then costs, then choice. Each cost is a sum."""
    total, sums = np.zeros(1), [np.zeros(1) for _ in costs]
    for layer, row in enumerate(utilities):
        total = (total[:, None] + np.asarray(row, dtype=float)).ravel()
        sums = [(s[:, None] + np.asarray(c[layer])).ravel() for s, c in zip(sums, costs, strict=True)]
    fits = np.isfinite(total)
    for s, budget in zip(sums, budgets, strict=True):
        fits &= s <= budget
    index = np.flatnonzero(fits)
    index = index[np.lexsort((index, *[s[index] for s in reversed(sums)], -total[index]))]
    shape = [len(row) for row in utilities]
    choices = np.stack(np.unravel_index(index, shape), axis=1).tolist()
    return [
        (float(total[i]), tuple(float(s[i]) for s in sums), tuple(choice))
        for i, choice in zip(index, choices, strict=True)
    ]


@pytest.fixture(scope="session")
def brute() -> Callable[..., Ranked]:
    return enumerate_all


def random_instance(
    rng: np.random.Generator, m: int, layers: int = 6, width: int = 7
) -> tuple[list[np.ndarray], list[list[np.ndarray]], list[float]]:
    """Ragged layers, small costs with zeros and ties, half of the instances with tied utilities."""
    sizes = rng.integers(1, width + 1, rng.integers(1, layers + 1))
    high = int(rng.choice([2, 6, 50, 10**9]))
    tied = rng.random() < 0.5
    utilities = [rng.integers(-3, 4, n) / 4 if tied else rng.normal(size=n) for n in sizes]
    for row in utilities:
        row[np.flatnonzero(rng.random(len(row)) < 0.1)[: len(row) - 1]] = -np.inf
    costs = [[rng.integers(0, high, n) for n in sizes] for _ in range(m)]
    spans = [(sum(int(c.min()) for c in cost), sum(int(c.max()) for c in cost)) for cost in costs]
    return utilities, costs, [float(rng.integers(low, top + 1)) for low, top in spans]


def try_out(call: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """What a solver answers, or the BudgetInfeasible it raises."""
    try:
        return call(*args, **options)
    except BudgetInfeasible as refusal:
        return refusal


@pytest.fixture(scope="session")
def tried() -> Callable[..., Any]:
    return try_out


@pytest.fixture(scope="session")
def instance() -> Callable[..., tuple[list[np.ndarray], list[list[np.ndarray]], list[float]]]:
    return random_instance
