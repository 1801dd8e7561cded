"""Shadow prices: what a larger budget buys, what a smaller one costs, and at which layers.

The prices are of whole steps, since choices are whole: for budgets some percent larger and smaller, the best choice
there against the best choice here. One summed cost: read off the exact front. Several budgets: the others stay, and
the problem is solved again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hwnas.errors import BudgetInfeasible
from hwnas.generate.knapsack import Solution
from hwnas.generate.pareto import front
from hwnas.generate.query import Query

FRACTIONS = (0.01, 0.02, 0.05, 0.1, 0.2)
_LEVELS, _DOUBLINGS = 8, 40
Best = tuple[float, float, tuple[int, ...]]  # total of the cost, utility, choice


@dataclass(frozen=True)
class Step:
    """Another budget, and what it changes.

    Attributes:
        cost: whose budget.
        by: how much more the budget must be (less, if negative), in the unit of the cost.
        gain: change of utility; negative where the budget is less.
        layers: where the choice differs.
        choice: operation per layer.
    """

    cost: str
    by: float
    gain: float
    layers: tuple[int, ...]
    choice: tuple[int, ...]

    @property
    def price(self) -> float:
        """Utility per unit of the cost."""
        return self.gain / self.by


def steps(query: Query, answer: Solution, name: str) -> list[Step]:
    """Steps of one binding budget away from an answer, from the largest cut to the largest raise; each changes the
    utility. Where no raise of `FRACTIONS` does, larger ones are tried.

    Where a limit on work stopped a solve, its step is what was found.
    """
    best_at = _lookup(query, name, answer)
    found = {best[2]: _step(query, name, answer, best) for bound in _budgets(query, name, answer)
             if not query.clock.over and (best := best_at(bound)) is not None}
    kept = [step for step in found.values() if step.by * step.gain > 0]
    if not any(step.by > 0 for step in kept):
        kept += _further(query, name, answer)
    return sorted(kept, key=lambda step: step.by)


def _step(query: Query, name: str, answer: Solution, best: Best) -> Step:
    total, utility, choice = best
    layers = tuple(i for i, (a, b) in enumerate(zip(choice, answer.choice, strict=True)) if a != b)
    return Step(name, total - query.budgets[name], utility - answer.utility, layers, choice)


def _further(query: Query, name: str, answer: Solution) -> list[Step]:
    """The first larger raise that gains anything: by doubling, or the highest level of a maximum."""
    budget, best_at = query.budgets[name], _solved(query, name)
    first = 2 * FRACTIONS[-1] * (abs(budget) or 1.0)
    raised = [budget + first * 2.0**i for i in range(_DOUBLINGS)]
    for bound in query.levels(name)[-1:] if query.costs[name].is_max else raised:
        best = None if query.clock.over else best_at(bound)
        if best is not None and best[1] > answer.utility:
            return [_step(query, name, answer, best)]
    return []


def _budgets(query: Query, name: str, answer: Solution) -> Iterator[float]:
    """The budgets to look at: percents, or the next levels of a maximum."""
    budget = query.budgets[name]
    if query.costs[name].is_max:
        levels = query.levels(name)
        yield from [level for level in levels if level < answer.costs[name]][-_LEVELS:]
        yield from [level for level in levels if level > budget][:_LEVELS]
        return
    room = abs(budget)
    yield from (budget - fraction * room for fraction in reversed(FRACTIONS))
    yield from (budget + fraction * room for fraction in FRACTIONS)


def _lookup(query: Query, name: str, answer: Solution) -> Callable[[float], Best | None]:
    alone = list(query.budgets) == [name] and not query.costs[name].is_max and name not in query.lows
    if alone and answer.status == "OPTIMAL":
        return _on_front(query, name)
    return _solved(query, name)


def _solved(query: Query, name: str) -> Callable[[float], Best | None]:
    def solved(bound: float) -> Best | None:
        found = query.try_answer({name: bound})
        return None if found is None else (found.costs[name], found.utility, found.choice)

    return solved


def _on_front(query: Query, name: str) -> Callable[[float], Best | None]:
    budget, options = query.budgets[name], query.options
    points = front(query.utilities, query.rows[name], fixed=options["fixed"].get(name, 0),
                   quantum=options["quantum"].get(name), max_cost=budget + FRACTIONS[-1] * abs(budget),
                   max_labels=options["max_labels"], max_seconds=query.clock.left)

    def read(bound: float) -> Best | None:
        try:
            point = points.query(bound)
        except BudgetInfeasible:
            return None
        return point.cost, point.utility, point.choice

    return read
