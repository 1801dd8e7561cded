"""hwnas.generate against enumeration of every choice, for benchmarks/dpng.py."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from hwnas.errors import BudgetInfeasible
from hwnas.generate import front, solve
from hwnas.generate.chance_constraints import solve_uncertain
from hwnas.generate.ranked import ranked_front

CHUNK = 500


def brute_chunk(kind: str, chunk: int) -> dict[str, Any]:
    """How many of `CHUNK` small random instances differ from enumeration."""
    rng = np.random.default_rng([len(kind), chunk])
    wrong, infeasible = 0, 0
    for _ in range(CHUNK):
        differs, empty = KINDS[kind](rng)
        wrong, infeasible = wrong + int(differs), infeasible + int(empty)
    return {"instances": CHUNK, "wrong": wrong, "infeasible": infeasible}


def _small(rng: np.random.Generator, m: int) -> tuple[list[np.ndarray], list[list[np.ndarray]], list[int]]:
    """At most 5 layers of at most 6 operations, with zero costs and ties."""
    sizes = rng.integers(1, 7, rng.integers(1, 6))
    high = int(rng.choice([2, 6, 50, 10**9]))
    tied = rng.random() < 0.5
    utilities = [rng.integers(-3, 4, n) / 4 if tied else rng.normal(size=n) for n in sizes]
    costs = [[rng.integers(0, high, n) for n in sizes] for _ in range(m)]
    bounds = [int(rng.integers(sum(c.min() for c in rows), sum(c.max() for c in rows) + 1)) for rows in costs]
    return utilities, costs, bounds


def _sums(rows: list[np.ndarray]) -> np.ndarray:
    """Totals of all choices, in lexicographic order."""
    total = np.zeros(1, dtype=rows[0].dtype)
    for row in rows:
        total = (total[:, None] + row).ravel()
    return total


def _brute_solve(m: int, peak: bool, rng: np.random.Generator) -> tuple[bool, bool]:
    utilities, costs, bounds = _small(rng, m)
    worth, totals = _sums(utilities), [_sums(rows) for rows in costs]
    if peak:
        totals[-1] = np.max(np.stack(np.meshgrid(*costs[-1], indexing="ij")), axis=0).ravel()
        bounds[-1] = int(rng.integers(totals[-1].min(), totals[-1].max() + 1))
    fits = np.flatnonzero(np.all([total <= bound for total, bound in zip(totals, bounds, strict=True)], axis=0))
    names = [f"c{i}" for i in range(m)]
    try:
        got = solve(utilities, dict(zip(names, costs, strict=True)), dict(zip(names, bounds, strict=True)),
                    aggregate={names[-1]: "max"} if peak else {})
    except BudgetInfeasible:
        return bool(len(fits)), True
    if not len(fits):
        return True, False
    ranked_totals = totals[:-1] if peak else totals
    first = fits[np.lexsort((fits, *[total[fits] for total in reversed(ranked_totals)], -worth[fits]))[0]]
    place = np.ravel_multi_index(got.choice, [len(row) for row in utilities])
    return got.utility != worth[first] or (not peak and place != first), False


def _brute_front(k: int, rng: np.random.Generator) -> tuple[bool, bool]:
    utilities, (rows,), (budget,) = _small(rng, 1)
    worth, total = _sums(utilities), _sums(rows)
    order = np.lexsort((np.arange(len(worth)), total, -worth))
    want = [i for i in order if total[i] <= budget][:k]
    shape = [len(row) for row in utilities]
    if k == 1:
        points = front(utilities, rows)
        better = np.maximum.accumulate(worth[np.lexsort((-worth, total))])
        wrong = len(points) != len(np.unique(better)) or points.query(budget).utility != worth[want[0]]
        return wrong, False
    got = ranked_front(utilities, rows, k).query(budget)
    return [int(np.ravel_multi_index(p.choice, shape)) for p in got] != [int(i) for i in want], False


def _brute_uncertain(rng: np.random.Generator) -> tuple[bool, bool]:
    utilities, (mean, variance), _ = _small(rng, 2)
    z, k = float(rng.choice([0.0, 1.0, 1.645])), float(rng.choice([0.0, 0.125, 0.5]))
    p, v, worth = _sums(mean).astype(float), _sums(variance).astype(float), _sums(utilities)
    upper = p + np.sqrt((k * p) ** 2 + z * z * v)
    budget = float(upper.min() * rng.choice([0.9, 1.1, 1.5, 2.5]) + 0.123)
    sure = np.abs(upper - budget) > 1e-6 * budget
    if not sure.all():
        return False, False
    fits = upper <= budget
    try:
        got = solve_uncertain(utilities, mean, variance, budget, z=z, relative=k)
    except BudgetInfeasible:
        return bool(fits.any()), True
    return not fits.any() or got.utility != worth[fits].max() or got.status != "OPTIMAL", False


KINDS: dict[str, Callable[[np.random.Generator], tuple[bool, bool]]] = {
    "one budget": partial(_brute_solve, 1, False), "two budgets": partial(_brute_solve, 2, False),
    "three budgets": partial(_brute_solve, 3, False), "a budget on a sum and one on a maximum":
    partial(_brute_solve, 2, True), "the whole front": partial(_brute_front, 1),
    "the 5 best for any budget": partial(_brute_front, 5), "mean plus margin": _brute_uncertain,
}
