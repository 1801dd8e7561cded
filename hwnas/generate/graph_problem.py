"""A graph of choices, checked and in ticks.

A factor is read as a layer whose operations are the combinations of its variables' options (row by row), so that
utilities, costs, budgets and ticks are those of `hwnas.generate.problem`; messages count factors as layers.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwnas.errors import UnknownName, UsageError
from hwnas.generate.elimination import Scope, plan
from hwnas.generate.graph_search import best
from hwnas.generate.integer_costs import Cost, exact
from hwnas.generate.lagrangian import Model
from hwnas.generate.pareto import in_unit
from hwnas.generate.problem import MAX_OPERATIONS, Floats, Ints, alive_ids, assemble, by_name, read_cost, read_utilities
from hwnas.generate.time_limit import TimeLimit

Row = tuple[tuple[str, ...], ArrayLike | None, Mapping[str, ArrayLike]]


@dataclass(frozen=True)
class GraphProblem:
    """A graph of choices.

    Attributes:
        names: of the variables.
        sizes: options per variable.
        scopes: per factor, variables by number, rising.
        utilities: per factor, flat, in the order of its scope.
        costs: exact amounts, factors as layers.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    scopes: tuple[Scope, ...]
    utilities: tuple[Floats, ...]
    costs: tuple[Cost, ...]

    @classmethod
    def read(
        cls, options: Mapping[str, int], rows: Sequence[Row], fixed: Mapping[str, float],
        quantum: Mapping[str, float], aggregate: Mapping[str, str], budgets: Collection[str],
    ) -> GraphProblem:
        """Check what `graph.solve_graph` was given; the costs in `budgets` come first.

        Raises:
            UsageError: names, shapes or numbers that do not fit together.
        """
        numbers = _numbered(options)
        covered = {name for variables, _, _ in rows for name in variables}
        rows = [*rows, *(((name,), None, {}) for name in options if name not in covered)]
        every = list(dict.fromkeys(name for _, _, costs in rows for name in costs))
        names = [*(name for name in budgets if name in every), *(name for name in every if name not in budgets)]
        if not names:
            raise UsageError("there is no cost: give at least one factor a cost")
        scopes, orders = zip(*(_scope(variables, numbers) for variables, _, _ in rows), strict=True)
        shapes = [tuple(options[name] for name in variables) for variables, _, _ in rows]
        flat = [
            [_flat(given, shape, order, f"{what} of factor {i} ({', '.join(row[0])})") for i, (row, given, shape, order)
             in enumerate(zip(rows, column, shapes, orders, strict=True))]
            for what, column in [("the utility", [u for _, u, _ in rows]),
                                 *((f"the cost {name!r}", [c.get(name) for _, _, c in rows]) for name in names)]
        ]
        values = read_utilities(flat[0])
        parts = [by_name(what, given, names) for what, given in
                 (("fixed", fixed), ("quantum", quantum), ("aggregate", aggregate))]
        costs = tuple(
            read_cost(name, amounts, values, fixed=parts[0].get(name), quantum=parts[1].get(name),
                      aggregate=parts[2].get(name, "sum"))
            for name, amounts in zip(names, flat[1:], strict=True)
        )
        return cls(tuple(options), tuple(options.values()), scopes, tuple(values), costs)

    def model(self, budgets: Mapping[str, float], together: Sequence[Sequence[str]] = ()) -> Model | None:
        """The graph under some budgets, in ticks; None where a factor alone breaks one.

        Args:
            together: names of variables that count as one where choices are to differ.

        Raises:
            UnknownName: a budget for a cost that does not exist, or a variable that does not.
            UsageError: a budget is not a number.
        """
        known = [cost.name for cost in self.costs]
        for name, budget in budgets.items():
            if name not in known:
                raise UnknownName("cost", name, known, "It was given in budgets.")
            if math.isnan(budget):
                raise UsageError(f"the budget for {name!r} is not a number")
        summed = [cost for cost in self.costs if cost.name in budgets and not cost.is_max]
        alive = alive_ids(self.utilities)
        for cost in (cost for cost in self.costs if cost.is_max and budgets.get(cost.name, math.inf) < math.inf):
            most = exact(budgets[cost.name])
            if cost.fixed is not None and cost.fixed > most:
                return None
            alive = [[k for k in ids if cost.amount(f, k) <= most] for f, ids in enumerate(alive)]
        if not all(alive):
            return None
        problem = assemble(self.utilities, alive, summed, [budgets[cost.name] for cost in summed])
        if (problem.limits < 0).any():
            return None
        worth, ticks = [], []
        for scope, values, ids, amounts in zip(self.scopes, self.utilities, problem.ids, problem.ticks, strict=True):
            shape = tuple(self.sizes[v] for v in scope)
            dense = np.full(len(values), -np.inf)
            dense[ids] = values[ids]
            spent = np.zeros((len(values), len(summed)), np.int64)
            spent[ids] = amounts
            worth.append(dense.reshape(shape))
            ticks.append(spent.reshape(*shape, len(summed)))
        buckets = tuple(plan(self.sizes, self.scopes))
        groups = self._groups(together)
        return Model(self.sizes, buckets, self.scopes, tuple(worth), tuple(ticks), problem.limits, groups)

    def _groups(self, together: Sequence[Sequence[str]]) -> tuple[Scope, ...]:
        """The variables that count as one each, by number; those that are in no group stand alone."""
        numbers = {name: number for number, name in enumerate(self.names)}
        groups = [_scope(tuple(names), numbers)[0] for names in together]
        grouped = [v for scope in groups for v in scope]
        if len(set(grouped)) < len(grouped):
            raise UsageError("a variable is in two groups of together: name it in one")
        return (*groups, *((v,) for v in range(len(self.sizes)) if v not in grouped))

    def totals(self, choice: Sequence[int]) -> dict[str, float]:
        """Total of every cost of a choice, in the unit given."""
        entries = self._entries(choice)
        return {cost.name: cost.total(entries) for cost in self.costs}

    def in_unit(self, name: str, ticks: Ints) -> NDArray[Any]:
        """Ticks above the sum of every factor's least, in the unit given: integers where all are whole."""
        cost = self._cost(name)
        problem = assemble(self.utilities, alive_ids(self.utilities), [cost], [math.inf])
        start = (cost.fixed or 0) + problem.base[0] * cost.quantum
        return in_unit(ticks, start=start, quantum=cost.quantum)

    def least(self, name: str) -> float:
        """Least achievable total of one cost; infinite where no combination is allowed at all."""
        cost = self._cost(name)
        if cost.is_max:
            levels = sorted({cost.amount(f, k) for f, ids in enumerate(alive_ids(self.utilities)) for k in ids})
            first = bisect_left(levels, True, key=lambda level: self._possible(name, float(level)))
            reached = levels[first] if first < len(levels) else math.inf
            return float(max(reached, cost.fixed if cost.fixed is not None else reached))
        worth = [np.where(np.isfinite(u), 0.0, -np.inf) for u in self.utilities]
        for f, values in enumerate(worth):
            ids = np.flatnonzero(np.isfinite(values)).tolist()
            values[ids] = [-float(cost.amount(f, k)) for k in ids]
        priced = replace(self, utilities=tuple(worth)).model({})
        found, _ = ([], 0.0) if priced is None else best(priced, 1 << 20, TimeLimit())
        return cost.total(self._entries(found[0][1])) if found else math.inf

    def _possible(self, name: str, level: float) -> bool:
        model = self.model({name: max(level, float(self._cost(name).fixed or level))})
        return model is not None and bool(best(model, 1 << 20, TimeLimit())[0])

    def _cost(self, name: str) -> Cost:
        return next(cost for cost in self.costs if cost.name == name)

    def _entries(self, choice: Sequence[int]) -> list[int]:
        entries = []
        for scope in self.scopes:
            shape = tuple(self.sizes[v] for v in scope)
            entries.append(int(np.ravel_multi_index(tuple(choice[v] for v in scope), shape)))
        return entries


def _numbered(options: Mapping[str, int]) -> dict[str, int]:
    if not options:
        raise UsageError("there is no variable to choose for: options is empty")
    for name, size in options.items():
        if not 1 <= size <= MAX_OPERATIONS:
            raise UsageError(f"the variable {name!r} must have 1 to {MAX_OPERATIONS} options, not {size}")
    return {name: number for number, name in enumerate(options)}


def _scope(variables: tuple[str, ...], numbers: Mapping[str, int]) -> tuple[Scope, tuple[int, ...]]:
    """Variables by number, rising, and the axes in that order."""
    for name in variables:
        if name not in numbers:
            raise UnknownName("variable", name, list(numbers), "A factor names it.")
    if not variables or len(set(variables)) < len(variables):
        raise UsageError(f"a factor must name one or more different variables, not {variables!r}")
    order = sorted(range(len(variables)), key=lambda i: numbers[variables[i]])
    return tuple(numbers[variables[i]] for i in order), tuple(order)


def _flat(given: ArrayLike | None, shape: tuple[int, ...], order: tuple[int, ...], what: str) -> NDArray[Any]:
    """An array of a factor, its axes in the order of the variables' numbers, flat."""
    array = np.zeros(shape, np.int64) if given is None else np.asarray(given)
    if array.shape != shape:
        raise UsageError(f"{what} must have the shape {shape}, not {array.shape}")
    return array.transpose(order).ravel()
