"""Cells in which every node takes two inputs (DARTS): which inputs, and which operation on each; exact, in one pass.

Node i chooses two different of its i + 2 predecessors (0 and 1 are the inputs of the cell, j + 2 is node j) and an
operation for each. The height of a node is 1 + the larger height of its inputs, that of the cell's inputs 0. Instead
of enumerating all topologies, labels are kept per state: the heights of the nodes so far and the number of plain
operations (skips, pools: those without parameters) among the inputs. Of equal states only Pareto labels go on.

Glossary
    n        number of nodes
    edge     (node i, predecessor j); edges in the order (0, 0), (0, 1), (1, 0), (1, 1), (1, 2), ...
    item     two edges of a node with an operation each

Complexity: O(states x C(i + 2, 2) x items) labels per node, with at most H^(n-1) x (2 n + 1) states.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from hwnas.errors import BudgetInfeasible, UsageError, WorkLimitReached
from hwnas.generate.cell_labels import CellLabels, CellRules
from hwnas.generate.integer_costs import Cost
from hwnas.generate.pareto import Front
from hwnas.generate.problem import Floats, alive_ids, by_name, read_cost, read_utilities
from hwnas.generate.solution import Candidate, Solution
from hwnas.generate.time_limit import TimeLimit

Edges = Sequence[Sequence[ArrayLike]]


def solve_cell(
    utilities: Edges,
    costs: Mapping[str, Edges],
    budgets: Mapping[str, float],
    *,
    plain: Collection[int] = (),
    plain_inputs: tuple[int, int] | None = None,
    max_height: int | None = None,
    fixed: Mapping[str, float] | None = None,
    quantum: Mapping[str, float] | None = None,
    max_labels: int = 1_000_000,
    max_seconds: float | None = None,
) -> Solution:
    """Choose inputs and operations of every node: highest sum of utilities within budgets and rules.

    Ties go to the lower first cost, then the next, then the lexicographically smaller choice.

    Args:
        utilities: `utilities[i][j]` is (K,): the operations on what node i takes from its predecessor j; -inf masks
            one (the operation "none" of DARTS).
        costs: name -> amounts of the same shape.
        budgets: most that the total of each cost may be; a cost without one is reported only.
        plain: numbers of the operations without parameters.
        plain_inputs: (fewest, most) inputs that have a plain operation; None for no rule.
        max_height: most height of a node; None for no rule.
        fixed, quantum: per cost, as in `hwnas.generate.solve`.
        max_labels: most labels kept per node before those of the lowest upper bound are cut.
        max_seconds: how long it may take.

    Returns:
        A solution whose `choice` holds four numbers per node: first input, its operation, second input, its
        operation; the first input is the smaller.

    Raises:
        BudgetInfeasible: no cell meets budgets and rules; `least` holds the least of every budgeted cost under the
            rules, each alone.
        UsageError: shapes, names or numbers that do not fit together.
    """
    cell = _Cell(utilities, costs, fixed or {}, quantum or {}, CellRules.read(plain, plain_inputs, max_height))
    names = [name for name in costs if name in by_name("budgets", budgets, list(costs))]
    found, gap = cell.best({name: budgets[name] for name in names}, max_labels, TimeLimit(max_seconds))
    if found is None and gap > 0.0:
        raise WorkLimitReached(f"max_labels = {max_labels} or max_seconds was reached before any cell met the budgets")
    if found is None:
        raise cell.infeasible(budgets)
    return Solution.of([found], gap)


def front_cell(
    utilities: Edges,
    costs: Edges,
    *,
    plain: Collection[int] = (),
    plain_inputs: tuple[int, int] | None = None,
    max_height: int | None = None,
    fixed: float = 0,
    quantum: float | None = None,
    max_cost: float | None = None,
    max_labels: int = 1_000_000,
    max_seconds: float | None = None,
) -> Front:
    """The whole Pareto front of cells against one cost; arguments, choices and errors as in `solve_cell`.

    Args:
        max_cost: leave out what costs more.
    """
    sizes = {} if quantum is None else {"cost": quantum}
    rules = CellRules.read(plain, plain_inputs, max_height)
    cell = _Cell(utilities, {"cost": costs}, {"cost": fixed}, sizes, rules)
    budgets = {"cost": math.inf if max_cost is None else max_cost}
    labels = cell.labels(budgets)
    table, loss = labels.front(max_labels, TimeLimit(max_seconds))
    if not len(table.utility):
        raise cell.infeasible(budgets)
    return Front(labels.in_unit(table.ticks[:, 0]), table.utility, table.picks.made(), loss)


def count_topologies(nodes: int) -> dict[int, int]:
    """How many ways there are to give every node two inputs, by the height of the cell."""
    ways: Counter[tuple[int, ...]] = Counter({(0, 0): 1})
    for node in range(nodes):
        more: Counter[tuple[int, ...]] = Counter()
        for heights, count in ways.items():
            for a, b in itertools.combinations(range(node + 2), 2):
                more[(*heights, 1 + max(heights[a], heights[b]))] += count
        ways = more
    counts: Counter[int] = Counter()
    for heights, count in ways.items():
        counts[max(heights)] += count
    return dict(sorted(counts.items()))


class _Cell:
    """What was asked, read: edges as layers."""

    def __init__(
        self, utilities: Edges, costs: Mapping[str, Edges], fixed: Mapping[str, float],
        quantum: Mapping[str, float], rules: CellRules,
    ) -> None:
        if not costs:
            raise UsageError("there is no cost: give at least one")
        _check_shape("utilities", utilities)
        names = list(costs)
        self.nodes, self.rules = len(utilities), rules
        self.values: list[Floats] = read_utilities([row for node in utilities for row in node])
        extra, sizes = by_name("fixed", fixed, names), by_name("quantum", quantum, names)
        self.costs: list[Cost] = []
        for name, edges in costs.items():
            _check_shape(f"the cost {name!r}", edges)
            rows = [row for node in edges for row in node]
            self.costs.append(read_cost(name, rows, self.values, fixed=extra.get(name), quantum=sizes.get(name),
                                        aggregate="sum"))

    def labels(self, budgets: Mapping[str, float]) -> CellLabels:
        """The labels under some budgets."""
        if any(math.isnan(budget) for budget in budgets.values()):
            raise UsageError("a budget is not a number")
        costs = [cost for cost in self.costs if cost.name in budgets]
        return CellLabels(self.nodes, self.values, alive_ids(self.values), costs,
                          [budgets[cost.name] for cost in costs], self.rules)

    def best(self, budgets: Mapping[str, float], max_labels: int, clock: TimeLimit) -> tuple[Candidate | None, float]:
        """The best cell, None where none was found, and how far from the best it can be."""
        table, dropped = self.labels(budgets).final(max_labels, clock)
        order = np.lexsort((*table.ticks.T[::-1], -table.utility))[:1]
        if not len(order):
            return None, 0.0 if dropped == -np.inf else np.inf
        choice = tuple(table.picks.made()[order[0]].tolist())
        utility = float(table.utility[order[0]])
        tolerance = 1e-9 * (1.0 + sum(float(np.abs(u[np.isfinite(u)]).max()) for u in self.values))
        gap = 0.0 if dropped < utility - tolerance else max(dropped - utility, 0.0) + tolerance
        return Candidate(choice, utility, {cost.name: self._total(cost, choice) for cost in self.costs}), gap

    def _total(self, cost: Cost, choice: Sequence[int]) -> float:
        parts = []
        for node, (a, op_a, b, op_b) in enumerate(zip(*(choice[i::4] for i in range(4)), strict=True)):
            first = node * (node + 3) // 2
            parts += [cost.amount(first + a, op_a), cost.amount(first + b, op_b)]
        return float(cost.aggregate(parts))

    def infeasible(self, budgets: Mapping[str, float]) -> BudgetInfeasible:
        """The refusal: the least of every cost under the rules."""
        least = {}
        for cost in (cost for cost in self.costs if cost.name in budgets):
            table, _ = self.labels({cost.name: math.inf}).final(1 << 30, TimeLimit())
            order = np.argsort(table.ticks[:, 0])[:1]
            least[cost.name] = self._total(cost, table.picks.made()[order[0]].tolist()) if len(order) else math.inf
        said = "; ".join(f"{name}: least achievable {value:.10g}, budget {budgets[name]:.10g}"
                         for name, value in least.items())
        return BudgetInfeasible(f"no cell meets the budgets and rules ({said}): raise a budget or loosen a rule", least,
                                {name: budgets[name] for name in least})


def _check_shape(what: str, edges: Edges) -> None:
    if not len(edges):
        raise UsageError(f"{what} must have at least one node")
    for node, rows in enumerate(edges):
        if len(rows) != node + 2:
            raise UsageError(f"{what} of node {node} must have {node + 2} predecessors, not {len(rows)}")
