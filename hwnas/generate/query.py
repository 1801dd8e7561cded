"""A query of DPNG that can be asked again with other budgets or utilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hwnas.errors import BudgetInfeasible, WorkLimitReached
from hwnas.generate.budgets import Budget, read_budgets
from hwnas.generate.integer_costs import Cost
from hwnas.generate.knapsack import Solution, solve
from hwnas.generate.problem import Floats, Rows, alive_ids, by_name, read_cost, read_utilities
from hwnas.generate.time_limit import TimeLimit


@dataclass(frozen=True)
class Query:
    """What `solve` was asked.

    Attributes:
        utilities: per layer.
        rows: cost name -> per layer, as given.
        budgets: cost name -> upper end of its range; every cost that has none is left out.
        lows: cost name -> lower end, where there is one.
        options: further arguments of `solve`.
        costs: cost name -> its exact amounts.
        alive: operations that are not masked, per layer.
        clock: until when there may be answers; after it they are the first ones found.
    """

    utilities: list[Floats]
    rows: dict[str, Rows]
    budgets: dict[str, float]
    lows: dict[str, float]
    options: dict[str, Any]
    costs: dict[str, Cost]
    alive: list[Sequence[int]]
    clock: TimeLimit

    @classmethod
    def of(
        cls, utilities: Sequence[ArrayLike], costs: Mapping[str, Sequence[ArrayLike]], budgets: Mapping[str, Budget],
        fixed: Mapping[str, float], quantum: Mapping[str, float], aggregate: Mapping[str, str], max_labels: int,
        max_seconds: float | None = None,
    ) -> Query:
        """Read one; arguments and errors as in `solve`."""
        values, limits = read_utilities(utilities), read_budgets(budgets, list(costs))
        parts = {"fixed": fixed, "quantum": quantum, "aggregate": aggregate}
        options = {what: {n: v for n, v in by_name(what, given, list(costs)).items() if n in limits}
                   for what, given in parts.items()}
        rows = {name: costs[name] for name in costs if name in limits}
        read = {
            name: read_cost(name, row, values, fixed=options["fixed"].get(name), quantum=options["quantum"].get(name),
                            aggregate=options["aggregate"].get(name, "sum"))
            for name, row in rows.items()
        }
        lows = {name: limits[name].low for name in rows if limits[name].has_low}
        highs = {name: limits[name].high for name in rows}
        return cls(values, rows, highs, lows, {**options, "max_labels": max_labels}, read, alive_ids(values),
                   TimeLimit(max_seconds))

    def answer(self, changed: Mapping[str, float] | None = None, utilities: Rows | None = None) -> Solution:
        """Solve it, with some upper ends changed or other utilities.

        Raises:
            BudgetInfeasible: no choice meets the budgets.
            WorkLimitReached: none was found.
        """
        highs = {**self.budgets, **(changed or {})}
        budgets = {name: (self.lows[name], high) if name in self.lows else high for name, high in highs.items()}
        return solve(self.utilities if utilities is None else utilities, self.rows, budgets,
                     max_seconds=self.clock.left, **self.options)

    def try_answer(self, changed: Mapping[str, float], utilities: Rows | None = None) -> Solution | None:
        """The same; None where no choice meets the budgets or none was found in time."""
        if any(high < self.lows.get(name, high) for name, high in changed.items()):
            return None
        try:
            return self.answer(changed, utilities)
        except (BudgetInfeasible, WorkLimitReached):
            return None

    def amounts(self, name: str) -> list[Floats]:
        """A cost per layer and operation, infinite where masked."""
        found = []
        for layer, (row, ids) in enumerate(zip(self.utilities, self.alive, strict=True)):
            values = np.full(len(row), np.inf)
            values[ids] = [float(self.costs[name].amount(layer, k)) for k in ids]
            found.append(values)
        return found

    def levels(self, name: str) -> list[float]:
        """All different totals that a cost which is a maximum can have, rising."""
        fixed = self.costs[name].fixed
        least = float("-inf") if fixed is None else float(fixed)
        return sorted({max(value, least) for row in self.amounts(name) for value in row[np.isfinite(row)].tolist()})
