"""The condition mean plus margin <= budget on one choice: in exact arithmetic, as a curve, and its least value.

Glossary
    p, V      mean and variance of a choice: sums over its layers and the fixed part
    B         budget
    z, k      standard deviations that count; error that all operations share, as a fraction of p
    f         (B - p)^2 - k^2 p^2, convex and falling: z^2 V may be at most that
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from hwnas.errors import BudgetInfeasible, UsageError
from hwnas.generate.integer_costs import Cost, Exact, exact
from hwnas.generate.problem import Floats, Rows, alive_ids, read_cost, read_utilities

NAME = "uncertain"
Pair = tuple[float, float]


@dataclass(frozen=True)
class Risk:
    """The condition on one choice, in exact arithmetic; see the glossary of this file."""

    mean: Cost
    variance: Cost
    alive: list[Sequence[int]]
    budget: Exact
    z: float
    relative: float

    @classmethod
    def of(
        cls, utilities: Rows, mean: Rows, variance: Rows, budget: float, z: float, relative: float, fixed: Pair
    ) -> Risk:
        """Read the rows of mean and variance; `fixed` is the mean and variance of what every network pays.

        Raises:
            UsageError: numbers that do not fit together.
        """
        if not (z >= 0 and math.isfinite(z) and 0 <= relative < 1 and math.isfinite(budget)):
            raise UsageError(
                f"z must be a number of at least 0, relative in [0, 1) and the budget finite, not z = {z}, relative = "
                f"{relative}, budget = {budget}"
            )
        values = read_utilities(utilities)
        rows = [read_cost(name, row, values, fixed=extra, quantum=1.0, aggregate="sum")
                for name, row, extra in (("mean", mean, fixed[0]), ("variance", variance, fixed[1]))]
        alive = alive_ids(values)
        if fixed[1] < 0 or any(rows[1].amount(layer, k) < 0 for layer, ids in enumerate(alive) for k in ids):
            raise UsageError("a variance is negative: variances must be at least 0")
        return cls(rows[0], rows[1], alive, exact(budget), z, relative)

    def sums(self, choice: Sequence[int]) -> tuple[Exact, Exact]:
        """p and V of a choice."""
        return tuple(cost.aggregate(cost.amount(i, k) for i, k in enumerate(choice))  # type: ignore[return-value]
                     for cost in (self.mean, self.variance))

    def holds(self, choice: Sequence[int]) -> bool:
        """Whether a choice is within the budget."""
        p, v = self.sums(choice)
        room = Fraction(self.budget) - p
        return room >= 0 and exact(self.z) ** 2 * v + (exact(self.relative) * p) ** 2 <= room**2

    def upper(self, p: float, v: float) -> float:
        """p + sqrt(k^2 p^2 + z^2 V)."""
        return p + math.hypot(self.relative * p, self.z * math.sqrt(v))

    def curve(self, p: float) -> float:
        """f(p), at least 0."""
        return max((float(self.budget) - p) ** 2 - (self.relative * p) ** 2, 0.0)

    @property
    def span(self) -> Pair:
        """Least mean of any choice, and the greatest that can be within the budget; empty if that is less."""
        top = float(self.budget) / (1 + self.relative if self.budget >= 0 else 1 - self.relative)
        return float(self.mean.least(self.alive)), top + 1e-12 * abs(top)  # rounding must not cut anything off

    def chord(self, a: float, b: float) -> Pair:
        """(steepness, height at p = 0) of the line through f at a and b."""
        steep = (self.curve(a) - self.curve(b)) / (b - a) if b > a else 2 * abs(float(self.budget)) + 1.0
        return steep, self.curve(a) + steep * a

    def tangent(self, p: float) -> Pair:
        """The same of the tangent of f at p."""
        steep = 2 * (float(self.budget) - p) + 2 * self.relative**2 * p
        return steep, self.curve(p) + steep * p

    def floats(self, cost: Cost) -> list[Floats]:
        """A cost's amounts as floats."""
        return [np.array([float(x) for x in row]) for row in cost.amounts]

    def refusal(self, others: Mapping[str, float], budgets: Mapping[str, float]) -> BudgetInfeasible:
        """Says what the least upper value is."""
        least, budget = self.safest()[0], float(self.budget)
        why = (f"the least achievable is {least:.10g}" if least > budget
               else f"{least:.10g} is achievable alone, but not together with the other budgets")
        return BudgetInfeasible(
            f"no choice keeps mean plus margin within {budget:.10g}: {why}; raise a budget, or ask for less confidence",
            {NAME: least, **others}, {NAME: budget, **budgets},
        )

    def safest(self) -> tuple[float, tuple[int, ...]]:
        """Least upper value of any choice, and that choice.

        `upper` is quasi-concave, so its least value is at a corner of the hull of (p, V).
        """
        hulls = [_hull(m[list(ids)], v[list(ids)]) for m, v, ids in
                 zip(self.floats(self.mean), self.floats(self.variance), self.alive, strict=True)]
        steps = sorted(
            ((b[1] - a[1]) / (b[0] - a[0]), layer, i)
            for layer, hull in enumerate(hulls) for i, (a, b) in enumerate(itertools.pairwise(hull), 1)
        )
        at = [0] * len(hulls)
        p, v = (sum(hull[0][i] for hull in hulls) + float(cost.fixed or 0)
                for i, cost in enumerate((self.mean, self.variance)))
        least, best = self.upper(p, max(v, 0.0)), list(at)
        for _, layer, i in steps:
            before, after = hulls[layer][i - 1], hulls[layer][i]
            p, v, at[layer] = p + after[0] - before[0], v + after[1] - before[1], i
            if self.upper(p, max(v, 0.0)) < least:
                least, best = self.upper(p, max(v, 0.0)), list(at)
        choice = tuple(ids[hull[i][2]] for ids, hull, i in zip(self.alive, hulls, best, strict=True))
        return least, choice


def _hull(p: Floats, v: Floats) -> list[tuple[float, float, int]]:
    """The lower left hull of one layer, from its point of least p on, each to a lower V: (p, V, place)."""
    hull: list[tuple[float, float, int]] = []
    for point in sorted(zip(p.tolist(), v.tolist(), range(len(p)), strict=True)):
        if hull and point[1] >= hull[-1][1]:
            continue
        while len(hull) > 1 and _turns_up(hull[-2], hull[-1], point):
            hull.pop()
        hull.append(point)
    return hull


def _turns_up(a: tuple[float, float, int], b: tuple[float, float, int], c: tuple[float, float, int]) -> bool:
    return (b[1] - a[1]) * (c[0] - b[0]) >= (c[1] - b[1]) * (b[0] - a[0])
