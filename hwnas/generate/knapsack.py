"""`solve`: the best choice, or the k best, within any number of budgets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from numpy.typing import ArrayLike

from hwnas.errors import BudgetInfeasible, UsageError
from hwnas.generate.chain import best
from hwnas.generate.labels import Ranked, search
from hwnas.generate.problem import Floats, Problem, Rows, alive_ids, assemble, by_name, read_cost, read_utilities
from hwnas.generate.ticks import Cost, Exact, exact

ONLY_COST = "cost"


@dataclass(frozen=True)
class Candidate:
    """One choice: the operation per layer, its utility, its totals per cost in the unit given."""

    choice: tuple[int, ...]
    utility: float
    costs: dict[str, float]


@dataclass(frozen=True)
class Solution:
    """Answer of `solve`.

    Attributes:
        status: "OPTIMAL", or "BOUNDED" where `max_labels` stopped the search: then the best
            utility is at most `utility + gap`, and `others` need not be the next best.
        choice: operation per layer.
        utility: sum of the utilities of the choice.
        costs: total per cost, the fixed part included, in the unit given.
        gap: 0 when OPTIMAL.
        others: the choices after the best one, best first (`top - 1` of them, or all there are).
    """

    status: Literal["OPTIMAL", "BOUNDED"]
    choice: tuple[int, ...]
    utility: float
    costs: dict[str, float]
    gap: float
    others: tuple[Candidate, ...]


def solve(
    utilities: Sequence[ArrayLike],
    costs: Sequence[ArrayLike] | Mapping[str, Sequence[ArrayLike]],
    budgets: float | Mapping[str, float],
    *,
    fixed: Mapping[str, float] | float = 0,
    quantum: Mapping[str, float] | float | None = None,
    aggregate: Mapping[str, str] | None = None,
    top: int = 1,
    min_distance: int = 0,
    max_labels: int = 2_000_000,
) -> Solution:
    """Choose one operation per layer: highest sum of utilities within every budget.

    Exact: Pareto labels with dominance, cut by Lagrangian upper bounds. Ties go to the lower
    first cost, then the next costs, then the lexicographically smaller choice (of the summed costs
    that carry a budget, in the order of `costs`).

    Args:
        utilities: per layer, float64 (K_l,); K_l may differ; -inf masks an operation.
        costs: per layer (K_l,), or a mapping from cost name to that. A bare list is named "cost".
        budgets: most that each total may be; a bare number where there is one cost. A cost without
            a budget is reported and restricts nothing; `math.inf` is a budget.
        fixed: what every network pays on top, per cost; for an aggregate "max" it takes part in the maximum.
        quantum: size of a tick per cost, in the unit of the cost. Not needed for whole numbers,
            which are exact with 1. Every operation is rounded up and the budget down, so the answer
            is always within the budget; its utility is at least the optimum at the budget less
            L quanta (L layers), and is optimal among the rounded problem's choices.
        aggregate: "sum" (default) or "max" per cost; "max" suits peak memory and needs no quantum.
        top: how many choices to return, the best included.
        min_distance: the choices returned differ from each other in at least this many layers.
            Greedy: going down from the best, a choice is taken if it is far enough from all taken.
            All choices in between are enumerated, so a large distance is slow or ends BOUNDED.
        max_labels: most labels kept per layer before those of the lowest upper bound are cut.

    Raises:
        BudgetInfeasible: no choice meets the budgets; `least` holds the least achievable total of
            every budgeted cost, each alone.
        UsageError: shapes, names or numbers that do not fit together.
    """
    rows = dict(costs) if isinstance(costs, Mapping) else {ONLY_COST: costs}
    _check_counts(rows, top, min_distance, max_labels)
    values = read_utilities(utilities)
    read = _read_costs(rows, values, fixed=fixed, quantum=quantum, aggregate=aggregate or {})
    limits = _read_budgets(budgets, list(rows))
    problem = _restricted(values, read, limits)
    found, gap = _spread(problem, top, min_distance, max_labels)
    if not found:
        _refuse_jointly(values, read, limits, max_labels, gap)
    first, *others = (
        Candidate(choice, utility, {cost.name: cost.total(choice) for cost in read}) for utility, choice in found
    )
    status: Literal["OPTIMAL", "BOUNDED"] = "OPTIMAL" if gap == 0.0 else "BOUNDED"
    return Solution(status, first.choice, first.utility, first.costs, gap, tuple(others))


def _check_counts(rows: Mapping[str, Rows], top: int, min_distance: int, max_labels: int) -> None:
    if not rows:
        raise UsageError("there is no cost: give at least one")
    for name, value, least in (("top", top, 1), ("min_distance", min_distance, 0), ("max_labels", max_labels, 1)):
        if value < least:
            raise UsageError(f"{name} must be at least {least}, not {value}")


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


def _read_budgets(budgets: float | Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
    limits = by_name("budgets", budgets, names)
    if not limits:
        raise UsageError("there is no budget: give at least one (math.inf for no limit)")
    for name, value in limits.items():
        if math.isnan(value):
            raise UsageError(f"the budget for {name!r} is not a number")
    return {name: limits[name] for name in names if name in limits}


def _restricted(values: Sequence[Floats], costs: Sequence[Cost], budgets: Mapping[str, float]) -> Problem:
    """The problem over the operations that no budget on a maximum forbids.

    Raises:
        BudgetInfeasible: a budget cannot be met even alone, or nothing is left in a layer.
    """
    alive = alive_ids(values)
    summed = [cost for cost in costs if cost.name in budgets and not cost.is_max]
    peaks = [cost for cost in costs if cost.name in budgets and cost.is_max]
    whole = assemble(values, alive, summed, [budgets[cost.name] for cost in summed])
    short = [cost.name for cost, limit in zip(summed, whole.limits.tolist(), strict=True) if limit < 0]
    short += [cost.name for cost in peaks if cost.least(alive) > _ceiling(budgets[cost.name])]
    if short:
        raise _alone(costs, alive, budgets, short)
    if not peaks:
        return whole
    fits = [[k for k in ids if _fits(peaks, budgets, layer, k)] for layer, ids in enumerate(alive)]
    if not all(fits):
        raise _together(costs, alive, budgets)
    problem = assemble(values, fits, summed, [budgets[cost.name] for cost in summed])
    if (problem.limits < 0).any():
        raise _together(costs, alive, budgets)
    return problem


def _ceiling(budget: float) -> Exact | float:
    return budget if math.isinf(budget) else exact(budget)


def _fits(peaks: Sequence[Cost], budgets: Mapping[str, float], layer: int, k: int) -> bool:
    return all(cost.amount(layer, k) <= _ceiling(budgets[cost.name]) for cost in peaks)


def _spread(problem: Problem, top: int, min_distance: int, max_labels: int) -> tuple[Ranked, float]:
    """The `top` best that lie `min_distance` apart: enlarge the list of best ones until it holds them."""
    if top == 1 and len(problem.limits) == 1 and (alone := best(problem, max_labels)) is not None:
        return [alone], 0.0
    wanted = top
    while True:
        found, gap = search(problem, wanted, max_labels)
        taken: Ranked = []
        for utility, choice in found:
            if len(taken) < top and all(_distance(choice, other) >= min_distance for _, other in taken):
                taken.append((utility, choice))
        if len(taken) == top or len(found) < wanted or gap > 0.0:
            return taken, gap
        wanted *= 4


def _distance(one: Sequence[int], other: Sequence[int]) -> int:
    return sum(a != b for a, b in zip(one, other, strict=True))


def _refuse_jointly(
    values: Sequence[Floats], costs: Sequence[Cost], budgets: Mapping[str, float], max_labels: int, gap: float
) -> None:
    if gap > 0.0:
        raise UsageError(f"max_labels = {max_labels} was reached before any choice met the budgets: raise it")
    raise _together(costs, alive_ids(values), budgets)


def _least(costs: Sequence[Cost], alive: Sequence[Sequence[int]], budgets: Mapping[str, float]) -> dict[str, float]:
    return {cost.name: float(cost.least(alive)) for cost in costs if cost.name in budgets}


def _alone(
    costs: Sequence[Cost], alive: Sequence[Sequence[int]], budgets: Mapping[str, float], short: Sequence[str]
) -> BudgetInfeasible:
    least = _least(costs, alive, budgets)
    parts = []
    for name, value in least.items():
        miss = value - budgets[name]
        tail = "" if name not in short else f", short by {miss:.10g}" if miss > 0 else ", just missed by rounding up"
        parts.append(f"{name}: least achievable {value:.10g}, budget {budgets[name]:.10g}{tail}")
    rounded = any(least[name] <= budgets[name] for name in short)
    way_out = "use a smaller quantum" if rounded else "raise the budget or offer cheaper operations"
    return BudgetInfeasible(f"no choice meets the budget ({'; '.join(parts)}): {way_out}", least, budgets)


def _together(costs: Sequence[Cost], alive: Sequence[Sequence[int]], budgets: Mapping[str, float]) -> BudgetInfeasible:
    least = _least(costs, alive, budgets)
    parts = [f"{name}: least achievable {value:.10g}, budget {budgets[name]:.10g}" for name, value in least.items()]
    return BudgetInfeasible(
        f"each budget can be met alone, but no choice meets them jointly ({'; '.join(parts)}): raise one of them",
        least,
        budgets,
    )
