"""`ranked_front`: the k best choices for every budget on one cost, in a single pass.

A label stays while fewer than k others beat it in cost and utility (`hwnas.generate.dominance`); what is left after
the last layer holds the k best within any budget. About k times the labels of a front, so k times its time.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwnas.errors import UsageError
from hwnas.generate.label_dp import run
from hwnas.generate.pareto import Point, below, comparable, one_cost
from hwnas.generate.problem import Floats, Ints
from hwnas.generate.time_limit import TimeIsUp, TimeLimit

_FIRST_PART = 0.7  # of the time, for labels that are not merged down to the least


@dataclass(frozen=True, eq=False)
class RankedFront:
    """The choices that fewer than `k` others beat in both utility and cost, cheapest first.

    Attributes:
        k: how many of the best it holds for every budget.
        costs: (n,) rising totals, the fixed part included, in the unit given; rounded up where there is a quantum.
        utilities: (n,) float64; of equal costs the higher comes first.
        choices: (n, L) int16.
        gap: 0 where it is exact; else how far below the true best utility an answer can be, because `max_labels` was
            reached.
    """

    k: int
    costs: NDArray[Any]
    utilities: Floats
    choices: NDArray[np.int16]
    gap: float = 0.0

    def __post_init__(self) -> None:
        for array in (self.costs, self.utilities, self.choices):
            array.setflags(write=False)

    def query(self, budget: float) -> list[Point]:
        """The k best choices within a budget, best first; all there are, if fewer.

        Equal utilities: the lower cost first, then the lexicographically smaller choice.

        Raises:
            BudgetInfeasible: the budget is below the cheapest choice.
            UsageError: the budget is not a number.
        """
        return [self._point(i) for i in self.queries([budget])[0].tolist()]

    def queries(self, budgets: ArrayLike) -> list[Ints]:
        """Places in `costs` of the k best within each of many budgets, best first; one pass, O(n log k).

        Raises:
            BudgetInfeasible: a budget is below the cheapest choice.
            UsageError: not a flat list of numbers.
        """
        within = np.searchsorted(self.costs, comparable(budgets, self.costs.dtype), side="right")
        if len(within) and within.min() == 0:
            raise below(float(self.costs[0]), float(np.min(budgets)))
        best: list[tuple[float, int]] = []
        answers, done = {}, 0
        utilities = self.utilities.tolist()
        for count in np.unique(within).tolist():
            for i in range(done, count):
                # of equal utilities the later is the worse: it costs more, or its choice is larger
                (heapq.heappush if len(best) < self.k else heapq.heappushpop)(best, (utilities[i], -i))
            done = count
            answers[count] = np.array([-i for _, i in sorted(best, reverse=True)], dtype=np.int64)
        return [answers[count] for count in within.tolist()]

    def _point(self, i: int) -> Point:
        return Point(float(self.costs[i]), float(self.utilities[i]), tuple(self.choices[i].tolist()))


def ranked_front(
    utilities: Sequence[ArrayLike],
    costs: Sequence[ArrayLike],
    k: int,
    *,
    fixed: float = 0,
    quantum: float | None = None,
    max_cost: float | None = None,
    max_labels: int = 2_000_000,
    max_seconds: float | None = None,
) -> RankedFront:
    """The k best choices for every budget on one cost; arguments and errors as in `hwnas.generate.front`.

    Args:
        k: how many of the best, at least 1.
    """
    if k < 1:
        raise UsageError(f"k must be at least 1, not {k}")
    problem, totals = one_cost(utilities, costs, fixed, quantum, max_cost, max_labels)
    clock = TimeLimit(max_seconds)
    try:
        outcome = run(problem, k, max_labels, clock=clock.part(_FIRST_PART))
    except TimeIsUp:
        outcome = run(problem, k, k)
    labels = outcome.labels
    order = np.lexsort((labels.rank, -labels.utility, labels.ticks[:, 0]))
    choices = outcome.choices(order)
    return RankedFront(k, totals(labels.ticks[order, 0]), labels.utility[order], choices, outcome.loss)
