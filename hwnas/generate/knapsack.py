"""`solve`: the best choice, or the k best, within any number of budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from numpy.typing import ArrayLike

from hwnas.errors import UsageError, WorkLimitReached
from hwnas.generate.budgets import Budget, Range, read_budgets, unreachable, unreachable_together
from hwnas.generate.integer_costs import Cost, exact
from hwnas.generate.label_widening import Ranked
from hwnas.generate.one_budget import best_within
from hwnas.generate.problem import Floats, Problem, Rows, alive_ids, assemble, by_name, read_cost, read_utilities
from hwnas.generate.search import search
from hwnas.generate.side_constraints import with_distance, with_floor
from hwnas.generate.solution import Candidate, Solution
from hwnas.generate.time_limit import TimeLimit

__all__ = ["Candidate", "Solution", "solve"]
ONLY_COST = "cost"
_MANY = 8  # choices apart from each other, above which a list of the best comes first
_LISTS = (8, 32)  # times as many choices in the list


def solve(
    utilities: Sequence[ArrayLike],
    costs: Sequence[ArrayLike] | Mapping[str, Sequence[ArrayLike]],
    budgets: Budget | Mapping[str, Budget],
    *,
    fixed: Mapping[str, float] | float = 0,
    quantum: Mapping[str, float] | float | None = None,
    aggregate: Mapping[str, str] | None = None,
    top: int = 1,
    min_distance: int = 0,
    max_labels: int = 2_000_000,
    max_seconds: float | None = None,
) -> Solution:
    """Choose one operation per layer: highest sum of utilities within every budget.

    Exact: Pareto labels with dominance, cut by Lagrangian upper bounds. Ties go to the lower
    first cost, then the next costs, then the lexicographically smaller choice (of the summed costs
    that carry a budget, in the order of `costs`). Only where one budget is used up by more choices of the
    same utility than can be looked through (utility proportional to cost, totals beyond some millions) the
    first one found is returned, always the same.

    Args:
        utilities: per layer, float64 (K_l,); K_l may differ; -inf masks an operation.
        costs: per layer (K_l,), or a mapping from cost name to that. A bare list is named "cost".
        budgets: most that each total may be; a bare number where there is one cost. A pair (low, high) also asks for
            a total of at least `low`. A cost without a budget is reported and restricts nothing; `math.inf` is a
            budget.
        fixed: what every network pays on top, per cost; for an aggregate "max" it takes part in the maximum.
        quantum: size of a tick per cost, in the unit of the cost. Not needed for whole numbers,
            which are exact with 1. Every operation is rounded up and the budget down (for `low`, down
            and up), so the answer is always within the budget; its utility is at least the optimum at
            the budget less L quanta (L layers), and is optimal among the rounded problem's choices.
        aggregate: "sum" (default) or "max" per cost; "max" suits peak memory and needs no quantum.
        top: how many choices to return, the best included.
        min_distance: the choices returned differ from each other in at least this many layers.
            Greedy: going down from the best, a choice is taken if it is far enough from all taken.
        max_labels: most labels kept per layer before those of the lowest upper bound are cut.
        max_seconds: how long it may take, kept to within 0.2 s; None for as long as it takes. Then the answer is the
            best found, with a gap.

    Raises:
        BudgetInfeasible: no choice meets the budgets; `least` holds the least achievable total of
            every budgeted cost, each alone.
        UsageError: shapes, names or numbers that do not fit together, or (WorkLimitReached) a limit on
            work was reached before any choice within the budgets was found.
    """
    rows = dict(costs) if isinstance(costs, Mapping) else {ONLY_COST: costs}
    _check_counts(rows, top, min_distance, max_labels, max_seconds)
    values = read_utilities(utilities)
    read = _read_costs(rows, values, fixed=fixed, quantum=quantum, aggregate=aggregate or {})
    limits = read_budgets(budgets, list(rows))
    problem = _restricted(values, read, limits)
    found, gap = _spread(problem, top, min_distance, max_labels, TimeLimit(max_seconds))
    if not found:
        _refuse(values, read, limits, max_labels, max_seconds, gap)
    return Solution.of(
        (Candidate(choice, utility, {cost.name: cost.total(choice) for cost in read}) for utility, choice in found), gap
    )


def _check_counts(
    rows: Mapping[str, Rows], top: int, min_distance: int, max_labels: int, max_seconds: float | None
) -> None:
    if not rows:
        raise UsageError("there is no cost: give at least one")
    for name, value, least in (("top", top, 1), ("min_distance", min_distance, 0), ("max_labels", max_labels, 1)):
        if value < least:
            raise UsageError(f"{name} must be at least {least}, not {value}")
    if max_seconds is not None and not max_seconds >= 0:
        raise UsageError(f"max_seconds must be at least 0, not {max_seconds!r}")


def _read_costs(
    rows: Mapping[str, Rows],
    values: Sequence[Floats],
    *,
    fixed: Mapping[str, float] | float,
    quantum: Mapping[str, float] | float | None,
    aggregate: Mapping[str, str],
) -> list[Cost]:
    names = list(rows)
    extra = by_name("fixed", {} if not isinstance(fixed, Mapping) and fixed == 0 else fixed, names)
    sizes = by_name("quantum", {} if quantum is None else quantum, names)
    kinds = by_name("aggregate", aggregate, names)
    return [
        read_cost(name, row, values, fixed=extra.get(name), quantum=sizes.get(name), aggregate=kinds.get(name, "sum"))
        for name, row in rows.items()
    ]


def _restricted(values: Sequence[Floats], costs: Sequence[Cost], budgets: Mapping[str, Range]) -> Problem:
    """The problem over the operations that no budget on a maximum forbids, with the lower ends as side conditions.

    Raises:
        BudgetInfeasible: a budget cannot be met even alone, or nothing is left in a layer.
    """
    alive = alive_ids(values)
    given = [cost for cost in costs if cost.name in budgets]
    peaks = [cost for cost in given if cost.is_max]
    whole, short = _problem(values, alive, given, budgets)
    short += [cost.name for cost in peaks if not budgets[cost.name].allows(cost.least(alive))]
    if short:
        raise unreachable(costs, alive, budgets, short)
    if not peaks:
        return whole
    fits = [[k for k in ids if _fits(peaks, budgets, layer, k)] for layer, ids in enumerate(alive)]
    if not all(fits):
        raise unreachable_together(costs, alive, budgets)
    problem, short = _problem(values, fits, given, budgets)
    if short:
        raise unreachable_together(costs, alive, budgets)
    return problem


def _problem(
    values: Sequence[Floats], alive: Sequence[Sequence[int]], costs: Sequence[Cost], budgets: Mapping[str, Range]
) -> tuple[Problem, list[str]]:
    """The problem over some operations, and the costs whose budget cannot be met alone."""
    summed = [cost for cost in costs if not cost.is_max]
    floored = [cost for cost in costs if budgets[cost.name].has_low]
    problem = assemble(values, alive, summed, [budgets[cost.name].high for cost in summed])
    for cost in floored:
        problem = with_floor(problem, cost, exact(budgets[cost.name].low))
    names = [cost.name for cost in (*summed, *floored)]
    return problem, [name for name, limit in zip(names, problem.limits.tolist(), strict=True) if limit < 0]


def _fits(peaks: Sequence[Cost], budgets: Mapping[str, Range], layer: int, k: int) -> bool:
    return all(budgets[cost.name].allows(cost.amount(layer, k)) for cost in peaks)


def _spread(problem: Problem, top: int, min_distance: int, max_labels: int, clock: TimeLimit) -> tuple[Ranked, float]:
    """The `top` best that lie `min_distance` apart.

    Many are taken from a long list of the best; few, and what the list lacks, are found one after the other, each far
    enough from those before.
    """
    if min_distance <= 1 or top == 1:
        return _best(problem, top, max_labels, clock)
    taken: Ranked = []
    for share in _LISTS if top > _MANY else ():
        found, gap = _best(problem, share * top, max_labels, clock)
        if gap > 0.0:
            return _far(found, top, min_distance), gap
        taken = _far(found, top, min_distance)
        if len(taken) == top or len(found) < share * top:
            return taken, 0.0
    for _, choice in taken:
        problem = with_distance(problem, choice, min_distance)
    gap = 0.0
    while len(taken) < top:
        found, its_gap = _best(problem, 1, max_labels, clock)
        if its_gap > 0.0:  # the gap is that of the best choice; a later one only makes the answer unproven
            gap = max(gap, problem.tolerance) if taken else its_gap
        if not found:
            break
        taken = taken + found
        if clock.over and len(taken) < top:
            return taken, max(gap, problem.tolerance)
        problem = with_distance(problem, found[0][1], min_distance)
    return taken, gap


def _far(found: Ranked, top: int, min_distance: int) -> Ranked:
    """Going down from the best, the choices that are far enough from all taken."""
    taken: Ranked = []
    for utility, choice in found:
        far = (sum(a != b for a, b in zip(choice, other, strict=True)) >= min_distance for _, other in taken)
        if len(taken) < top and all(far):
            taken.append((utility, choice))
    return taken


def _best(problem: Problem, count: int, max_labels: int, clock: TimeLimit) -> tuple[Ranked, float]:
    if (problem.limits < 0).any():
        return [], 0.0
    if count == 1 and len(problem.limits) == problem.ranked == 1:
        return best_within(problem, max_labels, clock)
    return search(problem, count, max_labels, clock)


def _refuse(
    values: Sequence[Floats], costs: Sequence[Cost], budgets: Mapping[str, Range], max_labels: int,
    max_seconds: float | None, gap: float,
) -> None:
    if gap > 0.0:
        limit = f"max_labels = {max_labels}" + ("" if max_seconds is None else f" or max_seconds = {max_seconds:g}")
        raise WorkLimitReached(f"{limit} was reached before any choice met the budgets: raise it")
    raise unreachable_together(costs, alive_ids(values), budgets)
