"""Choices that depend on each other: transitions, ties, branches that join; exact, by variable elimination.

A variable has options; a factor gives the options of a few variables together a utility and costs. A cost of a layer
that depends on the width chosen before is a factor of both widths and the layer's operation; layers that must agree
share one variable; what two branches of a network make together is a factor of both. The work grows with how many
variables meet at once (`elimination`): on a chain or a tree no more than in one factor.

Rollon and Larrosa, "Bucket elimination for multiobjective optimization problems", Journal of Heuristics 12, 2006.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from hwnas.errors import BudgetInfeasible, UsageError, WorkLimitReached
from hwnas.generate.graph_problem import GraphProblem, Row
from hwnas.generate.graph_search import best, points
from hwnas.generate.pareto import Front
from hwnas.generate.solution import Candidate, Solution
from hwnas.generate.time_limit import TimeLimit


@dataclass(frozen=True)
class Factor:
    """Utility and costs of the options of a few variables together.

    Attributes:
        variables: names; the axes of the arrays, in this order.
        utility: one axis per variable; None for 0; -inf forbids a combination.
        costs: name -> one axis per variable; a cost that is missing is 0.
    """

    variables: tuple[str, ...]
    utility: ArrayLike | None = None
    costs: Mapping[str, ArrayLike] = field(default_factory=dict)


def solve_graph(
    options: Mapping[str, int],
    factors: Sequence[Factor],
    budgets: Mapping[str, float],
    *,
    fixed: Mapping[str, float] | None = None,
    quantum: Mapping[str, float] | None = None,
    aggregate: Mapping[str, str] | None = None,
    top: int = 1,
    min_distance: int = 0,
    together: Sequence[Sequence[str]] = (),
    max_labels: int = 1_000_000,
    max_seconds: float | None = None,
) -> Solution:
    """Choose one option per variable: highest sum of the factors' utilities within every budget.

    Ties go to the lower first summed cost of `budgets`, then the next, then the lexicographically smaller choice; of
    the choices after the best, any of those equal in utility and costs may come.

    Args:
        options: variable -> how many options it has.
        factors: any number, over any variables.
        budgets: most that the total of each cost may be; a cost without one is reported only.
        fixed, quantum, aggregate: per cost, as in `hwnas.generate.solve`; a maximum is over the factors.
        top: how many choices to return, the best included.
        min_distance: the choices returned differ from each other in at least this many variables. Greedy: going down
            from the best, a choice is taken if it is far enough from all taken.
        together: groups of variables that count as one in `min_distance`: two choices differ in a group if they differ
            in any variable of it.
        max_labels: most labels kept in one table before those of the lowest upper bound are cut.
        max_seconds: how long it may take; None for as long as it takes.

    Returns:
        A solution whose `choice` is one option per variable, in the order of `options`.

    Raises:
        BudgetInfeasible: no choice meets the budgets; `least` holds the least of every budgeted cost, each alone.
        UsageError: names, shapes or numbers that do not fit together; a width of the graph that is too large; or a
            limit on work was reached before any choice within the budgets was found.
    """
    for name, value, least in (("top", top, 1), ("min_distance", min_distance, 0), ("max_labels", max_labels, 1)):
        if value < least:
            raise UsageError(f"{name} must be at least {least}, not {value}")
    problem = GraphProblem.read(options, _rows(factors), fixed or {}, quantum or {}, aggregate or {}, budgets)
    clock = TimeLimit(max_seconds)
    model = problem.model(budgets, together)
    found, gap = ([], 0.0) if model is None else best(model, max_labels, clock, top, min_distance)
    if not found and gap > 0.0:
        raise WorkLimitReached(f"max_labels = {max_labels} or max_seconds ended it before any choice met the budgets")
    if not found:
        raise _infeasible(problem, budgets)
    return Solution.of((Candidate(choice, utility, problem.totals(choice)) for utility, choice in found), gap)


def front_graph(
    options: Mapping[str, int],
    factors: Sequence[Factor],
    cost: str,
    *,
    fixed: float = 0,
    quantum: float | None = None,
    max_cost: float | None = None,
    max_labels: int = 1_000_000,
    max_seconds: float | None = None,
) -> Front:
    """The whole Pareto front of the sum of utilities against the sum of one cost; arguments as in `solve_graph`.

    Args:
        max_cost: leave out what costs more.

    Raises:
        BudgetInfeasible: the cheapest choice costs more than `max_cost`.
        UsageError: as in `solve_graph`.
    """
    sizes = {} if quantum is None else {cost: quantum}
    problem = GraphProblem.read(options, _rows(factors, cost), {cost: fixed}, sizes, {}, [cost])
    budgets = {cost: np.inf if max_cost is None else max_cost}
    model = problem.model(budgets)
    if model is None:
        raise _infeasible(problem, budgets)
    table, loss = points(model, max_labels, TimeLimit(max_seconds))
    if not len(table.utility):
        raise _infeasible(problem, budgets)
    return Front(problem.in_unit(cost, table.ticks[:, 0]), table.utility, table.picks.made(), loss)


def _rows(factors: Sequence[Factor], only: str | None = None) -> list[Row]:
    rows: list[Row] = []
    for factor in factors:
        costs = {name: amounts for name, amounts in factor.costs.items() if only is None or name == only}
        rows.append((tuple(factor.variables), factor.utility, costs))
    return rows


def _infeasible(problem: GraphProblem, budgets: Mapping[str, float]) -> BudgetInfeasible:
    least = {name: problem.least(name) for name in budgets}
    said = "; ".join(f"{name}: least achievable {least[name]:.10g}, budget {budgets[name]:.10g}" for name in budgets)
    return BudgetInfeasible(f"no choice meets the budgets ({said}): raise one of them", least, dict(budgets))
