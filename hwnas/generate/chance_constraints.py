"""`solve_uncertain`: the best choice whose uncertain cost stays within its budget with a given confidence, exactly.

An operation's cost has a mean and a variance; errors of operations are independent, and one error is common to all and
relative. A choice is within the budget when

    p + sqrt(k^2 p^2 + z^2 V) <= B,    that is    p <= B  and  z^2 V <= f(p) = (B - p)^2 - k^2 p^2.

The square root is no sum over the layers, but f is convex and falls (k < 1), so on any interval of p its chord lies
above it. With the chord in place of f the condition is one sum, and `solve` gives an upper bound for all choices whose
p is in the interval. If its choice meets the true condition, the interval is done. Else p of that choice cuts the
interval in two; both new chords touch f there, so the choice never comes back, and the search ends with the optimum.
A chord continued beyond its interval lies below f, so what it admits there is within the budget. A tangent of f lies
below f everywhere: it gives choices to start from.

(Branch and bound over a piecewise linear outer approximation of a function of one sum; the problem is the knapsack
with a mean-risk constraint, e.g. A. Atamturk and V. Narayanan, Operations Research Letters 36(5), 2008.)

Glossary
    p, V      mean and variance of a choice: sums over its layers and the fixed part
    B         budget
    z, k      standard deviations that count; error that all share, as a fraction of p
    a, b      interval of p
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from hwnas.errors import BudgetInfeasible, UsageError, WorkLimitReached
from hwnas.generate.chance_condition import NAME, Pair, Risk
from hwnas.generate.knapsack import solve
from hwnas.generate.problem import Rows, read_utilities
from hwnas.generate.time_limit import TimeLimit

_TICKS = 2.0**44
Found = tuple[float, tuple[int, ...], dict[str, float]]


@dataclass(frozen=True)
class Confident:
    """Answer of `solve_uncertain`.

    Attributes:
        status: "OPTIMAL", or "BOUNDED" where `max_steps`, `max_labels` or `max_seconds` stopped the search: then
            the best utility is at most `utility + gap`.
        choice: operation per layer.
        utility: sum of the utilities.
        mean, deviation: of the uncertain cost of the choice: p and sqrt(V).
        upper: p + sqrt(k^2 p^2 + z^2 V), at most the budget.
        costs: totals of the other costs.
        gap: 0 when OPTIMAL.
        steps: how often the problem was solved with a chord or tangent.
    """

    status: Literal["OPTIMAL", "BOUNDED"]
    choice: tuple[int, ...]
    utility: float
    mean: float
    deviation: float
    upper: float
    costs: dict[str, float]
    gap: float
    steps: int


def solve_uncertain(
    utilities: Sequence[ArrayLike],
    mean: Sequence[ArrayLike],
    variance: Sequence[ArrayLike],
    budget: float,
    *,
    z: float,
    relative: float = 0.0,
    fixed_mean: float = 0.0,
    fixed_variance: float = 0.0,
    costs: Mapping[str, Sequence[ArrayLike]] | None = None,
    budgets: Mapping[str, float] | None = None,
    max_steps: int = 1000,
    max_seconds: float | None = None,
    **options: Any,
) -> Confident:
    """Highest sum of utilities with p + sqrt(k^2 p^2 + z^2 V) within the budget, and other costs within theirs.

    Every answer is checked in exact arithmetic. Of choices equal in utility, any may be returned.

    Args:
        utilities: as in `solve`.
        mean, variance: per layer (K_l,), in a unit and its square; variances at least 0.
        budget: in the unit of the means.
        z: how many standard deviations count, at least 0.
        relative: k, in [0, 1).
        fixed_mean, fixed_variance: of what every network pays.
        costs, budgets: further costs and their budgets.
        max_steps: most problems to solve.
        max_seconds: how long it may take in all; None for as long as it takes.
        options: `fixed`, `quantum` and `aggregate` of `costs`, and `max_labels`, for `solve`.

    Raises:
        BudgetInfeasible: no choice meets the budgets; `least` holds the least upper value there is and the least of
            every other cost, each alone.
        UsageError: shapes or numbers that do not fit together.
    """
    if max_steps < 1:
        raise UsageError(f"max_steps must be at least 1, not {max_steps}")
    risk = Risk.of(utilities, mean, variance, budget, z, relative, (fixed_mean, fixed_variance))
    try:
        clock = TimeLimit(max_seconds)
        return _Search(utilities, risk, dict(costs or {}), dict(budgets or {}), options, max_steps, clock).answer()
    except BudgetInfeasible as err:
        others = {name: value for name, value in err.least.items() if name != NAME}
        raise risk.refusal(others, dict(budgets or {})) from err


class _Search:
    """Best-first branch and bound over intervals of p."""

    def __init__(
        self, utilities: Rows, risk: Risk, costs: dict[str, Rows], budgets: dict[str, float], options: dict[str, Any],
        max_steps: int, clock: TimeLimit,
    ) -> None:
        self.utilities, self.risk, self.costs, self.budgets, self.options = utilities, risk, costs, budgets, options
        self.max_steps, self.steps, self.loose = max_steps, 0, -np.inf
        self.best: Found | None = None
        self.clock = clock
        self.highest = sum(float(np.max(row)) for row in read_utilities(utilities))
        self.means, self.variances = risk.floats(risk.mean), risk.floats(risk.variance)

    def answer(self) -> Confident:
        a, b = self.risk.span
        if a > b:
            raise BudgetInfeasible("the least mean is over the budget", {}, {})
        queue = [(-np.inf, a, b)]
        self._learn_safest()
        while queue and self._goes_on and -queue[0][0] > self._found:
            _, a, b = heapq.heappop(queue)
            cut = self._cut(a, b)
            if cut is not None:
                bound, p = cut
                self._try(self.risk.tangent(p))
                for one in ((-bound, a, p), (-bound, p, b)):
                    heapq.heappush(queue, one)
        return self._result(max([self.loose, *(-bound for bound, _, _ in queue)]))

    @property
    def _goes_on(self) -> bool:
        return self.steps < self.max_steps and not self.clock.over

    def _learn_safest(self) -> None:
        """Begin with the choice of the least upper value, if that is within all budgets."""
        choice = self.risk.safest()[1]
        if not self.risk.holds(choice):
            return
        rows = {NAME: [np.zeros(1, np.int64)] * len(choice), **{n: _only(row, choice) for n, row in self.costs.items()}}
        try:
            found = solve(_only(self.utilities, choice), rows, {NAME: 0, **self.budgets}, **self.options)
        except BudgetInfeasible:
            return
        self._learn(found.utility, choice, found.costs)

    @property
    def _found(self) -> float:
        return -np.inf if self.best is None else self.best[0]

    def _cut(self, a: float, b: float) -> Pair | None:
        """Bound and p of the best choice under the chord if it is over the budget; None when the interval is done."""
        count, found = 1, list[Found]()
        while self._goes_on:
            found = self._solve(self.risk.chord(a, b), count)
            for utility, choice, totals in found:
                if self.risk.holds(choice):
                    self._learn(utility, choice, totals)
                    return None
                p = float(self.risk.sums(choice)[0])
                if a < p < b:
                    return utility, p
            if len(found) < count:
                return None
            count *= 4  # let in by rounding alone: look past them
        self.loose = max(self.loose, found[-1][0] if found else self.highest)
        return None

    def _try(self, line: Pair) -> None:
        """Learn from a line below f, all of whose choices are within the budget but for rounding."""
        for utility, choice, totals in self._solve(line, 1):
            if self.risk.holds(choice):
                self._learn(utility, choice, totals)

    def _learn(self, utility: float, choice: tuple[int, ...], totals: dict[str, float]) -> None:
        if utility > self._found:
            self.best = utility, choice, totals

    def _solve(self, line: Pair, count: int) -> list[Found]:
        """The best `count` choices under a line; rounding admits a little more, never less."""
        self.steps += 1
        steep, height = line
        rows = [self.risk.z**2 * v + steep * m for m, v in zip(self.means, self.variances, strict=True)]
        always = self.risk.z**2 * float(self.risk.variance.fixed or 0) + steep * float(self.risk.mean.fixed or 0)
        tick = (abs(height) + abs(always) + sum(float(np.abs(row).max()) for row in rows)) / _TICKS or 1.0
        ticks = [np.floor(row / tick).astype(np.int64) for row in rows]
        limit = math.floor((height - always) / tick) + 2
        try:
            found = solve(self.utilities, {NAME: ticks, **self.costs}, {NAME: limit, **self.budgets}, top=count,
                          max_seconds=self.clock.left, **self.options)
        except WorkLimitReached:
            self.loose = max(self.loose, self.highest)
            return []
        except BudgetInfeasible:
            if self.steps == 1:
                raise
            return []
        if found.status != "OPTIMAL":
            self.loose = max(self.loose, found.utility + found.gap)
        first = (found.utility, found.choice, found.costs)
        return [first, *((other.utility, other.choice, other.costs) for other in found.others)]

    def _result(self, bound: float) -> Confident:
        if self.best is None:
            if bound > -np.inf:
                raise WorkLimitReached(
                    f"{self.steps} steps found no choice within the budget: raise max_steps, max_labels or max_seconds"
                )
            raise BudgetInfeasible("no choice is left", {}, {})
        utility, choice, totals = self.best
        p, v = (float(x) for x in self.risk.sums(choice))
        gap = max(min(bound, self.highest) - utility, 0.0)
        others = {name: value for name, value in totals.items() if name != NAME}
        return Confident("OPTIMAL" if gap == 0.0 else "BOUNDED", choice, utility, p, math.sqrt(v),
                         min(self.risk.upper(p, v), float(self.risk.budget)), others, gap, self.steps)


def _only(rows: Rows, choice: Sequence[int]) -> Rows:
    """One operation of every layer."""
    return [np.asarray(row)[[k]] for row, k in zip(rows, choice, strict=True)]
