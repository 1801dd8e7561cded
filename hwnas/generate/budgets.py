"""Budgets as they are given: a most, or a least and a most; and what is said when they cannot be met."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from hwnas.errors import BudgetInfeasible, UsageError
from hwnas.generate.integer_costs import Cost, Exact, exact
from hwnas.generate.problem import by_name

Budget: TypeAlias = float | tuple[float, float]


@dataclass(frozen=True)
class Range:
    """What a total may be, ends included; `low` is -inf for no lower end."""

    low: float
    high: float

    @property
    def has_low(self) -> bool:
        """Whether a total can be too small."""
        return not math.isinf(self.low)

    def allows(self, amount: Exact) -> bool:
        """Whether an amount is not above the upper end."""
        return amount <= (self.high if math.isinf(self.high) else exact(self.high))

    def __str__(self) -> str:
        high = f"{float(self.high):.10g}"
        return f"{float(self.low):.10g} to {high}" if self.has_low else high


def read_budgets(budgets: Budget | Mapping[str, Budget], names: Sequence[str]) -> dict[str, Range]:
    """Budgets per cost, in the order of `names`.

    Raises:
        UsageError: none given, not a number, or a range that is empty.
        UnknownName: a budget for a cost that does not exist.
    """
    given = by_name("budgets", budgets, names)
    if not given:
        raise UsageError("there is no budget: give at least one (math.inf for no limit)")
    return {name: _range(name, given[name]) for name in names if name in given}


def _range(name: str, value: Budget) -> Range:
    low, high = value if isinstance(value, tuple | list) else (-math.inf, value)
    if math.isnan(low) or math.isnan(high):
        raise UsageError(f"the budget for {name!r} is not a number")
    if low > high or low == math.inf:
        raise UsageError(f"the budget for {name!r} is an empty range: {low!r} to {high!r}")
    return Range(low, high)


def unreachable(
    costs: Sequence[Cost], alive: Sequence[Sequence[int]], budgets: Mapping[str, Range], short: Sequence[str]
) -> BudgetInfeasible:
    """The refusal where the budgets of the costs `short` cannot be met even alone."""
    least = _least(costs, alive, budgets)
    parts, rounded = [], False
    for cost in (cost for cost in costs if cost.name in budgets):
        tail, missed = _miss(cost, alive, budgets[cost.name]) if cost.name in short else ("", False)
        parts.append(f"{_facts(cost, alive, budgets[cost.name])}{tail}")
        rounded |= missed
    way_out = "use a smaller quantum" if rounded else "raise the budget or offer cheaper operations"
    if any(cost.name in short and cost.least(alive) <= budgets[cost.name].high for cost in costs) and not rounded:
        way_out = "lower the lower end or offer dearer operations"
    return BudgetInfeasible(f"no choice meets the budget ({'; '.join(parts)}): {way_out}", least, _highs(budgets))


def unreachable_together(
    costs: Sequence[Cost], alive: Sequence[Sequence[int]], budgets: Mapping[str, Range]
) -> BudgetInfeasible:
    """The refusal where every budget can be met alone, but not all of them."""
    parts = [_facts(cost, alive, budgets[cost.name]) for cost in costs if cost.name in budgets]
    said = "; ".join(parts)
    text = f"each budget can be met alone, but no choice meets them jointly ({said}): raise one of them"
    if len(parts) == 1:
        text = f"no choice has a total within the range ({said}): widen it"
    return BudgetInfeasible(text, _least(costs, alive, budgets), _highs(budgets))


def _facts(cost: Cost, alive: Sequence[Sequence[int]], budget: Range) -> str:
    most = f", greatest {float(cost.greatest(alive)):.10g}" if budget.has_low else ""
    return f"{cost.name}: least achievable {float(cost.least(alive)):.10g}{most}, budget {budget}"


def _miss(cost: Cost, alive: Sequence[Sequence[int]], budget: Range) -> tuple[str, bool]:
    """By how much a budget is missed, in words; and whether rounding alone is to blame."""
    over = float(cost.least(alive)) - budget.high
    under = float(budget.low) - float(cost.greatest(alive)) if budget.has_low else -math.inf
    miss = max(over, under)
    return (f", short by {float(miss):.10g}", False) if miss > 0 else (", just missed by rounding up", True)


def _least(costs: Sequence[Cost], alive: Sequence[Sequence[int]], budgets: Mapping[str, Range]) -> dict[str, float]:
    return {cost.name: float(cost.least(alive)) for cost in costs if cost.name in budgets}


def _highs(budgets: Mapping[str, Range]) -> dict[str, float]:
    return {name: float(budget.high) for name, budget in budgets.items()}
