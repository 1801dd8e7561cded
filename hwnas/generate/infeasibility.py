"""Where budgets cannot be met: the least of every cost, who holds it, and the cheapest ways out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwnas.generate.knapsack import Solution
from hwnas.generate.problem import Floats
from hwnas.generate.query import Query

_HOLDERS = 3
_CLOSE = 1e-3
Holder = tuple[int, float]


@dataclass(frozen=True)
class Relaxation:
    """Budgets that can be met.

    Attributes:
        budgets: those that have to be raised, and to what.
        raised: the largest raise, as a fraction of the budget; infinite for a budget that is not above 0.
        choice: within all budgets then.
    """

    budgets: dict[str, float]
    raised: float
    choice: tuple[int, ...]


def least_with_others(query: Query, name: str) -> tuple[float, tuple[int, ...]] | None:
    """Least total of one cost while the others keep their budgets, and its choice; None if those alone cannot.

    Where a limit on work stopped the solver, the least that was found.
    """
    others = {n: b for n, b in query.budgets.items() if n != name}
    if query.costs[name].is_max:
        found = _lowest_level(query, name)
    elif others or name in query.lows:
        found = query.try_answer({name: np.inf}, [-row for row in query.amounts(name)])
    else:
        choice = tuple(int(np.argmin(row)) for row in query.amounts(name))
        return query.costs[name].total(choice), choice
    return None if found is None else (found.costs[name], found.choice)


def _lowest_level(query: Query, name: str) -> Solution | None:
    """By halving: a larger maximum is never harder to meet."""
    levels = query.levels(name)
    found = query.try_answer({name: levels[-1]})
    low, high = 0, len(levels) - 1
    while found is not None and low < high and not query.clock.over:
        middle = (low + high) // 2
        better = query.try_answer({name: levels[middle]})
        if better is None:
            low = middle + 1
        else:
            found, high = better, middle
    return found


def holders(query: Query, name: str, choice: tuple[int, ...] | None) -> tuple[Holder, ...]:
    """The layers that keep a cost up, most first, with how much.

    With a choice, how much it takes above the layer's cheapest operation: what the other budgets force on it.
    Without, the cheapest operation itself; of a maximum, only where that is over the budget.
    """
    amounts = query.amounts(name)
    least = [float(row.min()) for row in amounts]
    held = least if choice is None else [float(row[k]) - low for row, k, low in
                                         zip(amounts, choice, least, strict=True)]
    floor = query.budgets[name] if choice is None and query.costs[name].is_max else 0.0
    ranked = sorted(((layer, amount) for layer, amount in enumerate(held) if amount > floor), key=lambda h: -h[1])
    return tuple(ranked[:_HOLDERS])


def relaxations(query: Query, alone: dict[str, tuple[float, tuple[int, ...]] | None]) -> list[Relaxation]:
    """Ways to meet the budgets, the smallest raise first: one budget alone, or all by one factor.

    Args:
        alone: `least_with_others` of every cost.
    """
    found = [
        Relaxation({name: pair[0]}, _raised(query, {name: pair[0]}), pair[1])
        for name, pair in alone.items() if pair is not None and pair[0] > query.budgets[name]
    ]
    together = _together(query) if len(alone) > 1 else None
    if together is not None and len(together.budgets) > 1:
        found.append(together)
    return sorted(found, key=lambda one: one.raised)


def _raised(query: Query, budgets: dict[str, float]) -> float:
    return max(value / query.budgets[name] - 1 if query.budgets[name] > 0 else np.inf
               for name, value in budgets.items())


def _together(query: Query) -> Relaxation | None:
    """All budgets by one factor, by halving to a thousandth; None unless all are finite and above 0."""
    if not all(0 < b < np.inf for b in query.budgets.values()):
        return None
    cheap = _cheapness(query)
    low, high, best = 1.0, np.inf, None
    step = 1.0
    while high - low > _CLOSE * low and not query.clock.over:
        factor = low + step if high == np.inf else (low + high) / 2
        answer = query.try_answer({name: factor * b for name, b in query.budgets.items()}, cheap)
        if answer is None:
            low, step = factor, 2 * step
            if step > 1e6:
                return None
            continue
        best = answer
        high = min(factor, max(answer.costs[name] / b for name, b in query.budgets.items()))
    if best is None:
        return None
    over = {name: best.costs[name] for name, b in query.budgets.items() if best.costs[name] > b}
    return Relaxation(over, _raised(query, over), best.choice) if over else None


def _cheapness(query: Query) -> list[Floats]:
    """Utilities that prefer what is cheap in all summed costs."""
    summed = [name for name, cost in query.costs.items() if not cost.is_max]
    rows = [np.where(np.isfinite(row), 0.0, -np.inf) for row in query.utilities]
    for name in summed:
        rows = [row - amount / query.budgets[name] for row, amount in
                zip(rows, query.amounts(name), strict=True)]
    return rows


def least_alone(query: Query) -> dict[str, float]:
    """Least achievable total of every cost, each alone."""
    return {name: float(cost.least(query.alive)) for name, cost in query.costs.items()}

