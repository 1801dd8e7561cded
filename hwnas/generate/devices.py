"""One network for several devices: as good as can be, and with room to spare on all of them.

Bounds per device are budgets like any others (`hwnas.generate.solve`). What is added here is which of the good choices
to take: of all within the budgets whose utility is at most `give_up` below the best there is, the one whose smallest
slack is largest. The slack of a cost is the share of its budget that is left, 1 - total / budget.

The smallest slack that a utility allows falls as the utility rises, so budgets shrunk together by one share find it:
every solve either reaches the utility, and shows a larger slack, or proves that no choice has that much. Slacks of
choices are finitely many; the search ends with a proof that none is strictly larger (bisection, then one step).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from hwnas.errors import BudgetInfeasible, UnknownName, UsageError, WorkLimitReached
from hwnas.generate.integer_costs import exact
from hwnas.generate.knapsack import solve
from hwnas.generate.solution import Solution
from hwnas.generate.time_limit import TimeLimit

_ROUNDS = 12


@dataclass(frozen=True)
class ForDevices:
    """Answer of `solve_for_devices`.

    Attributes:
        status: "OPTIMAL", or "BOUNDED" where a limit on work stopped a solve: then neither the slack nor the utility
            at that slack need be the best, and the best utility of all is at most `best_utility + gap`.
        choice, utility, costs: as in a `Solution`.
        slack: cost -> share of its budget that is left, for the costs asked for.
        best_utility: the highest utility within the budgets, whatever the slack.
        gap: how far `best_utility` can be from the truth; 0 when OPTIMAL.
    """

    status: Literal["OPTIMAL", "BOUNDED"]
    choice: tuple[int, ...]
    utility: float
    costs: dict[str, float]
    slack: dict[str, float]
    best_utility: float
    gap: float


def solve_for_devices(
    utilities: Sequence[ArrayLike],
    costs: Mapping[str, Sequence[ArrayLike]],
    budgets: Mapping[str, Any],
    spread: Sequence[str],
    *,
    give_up: float = 0.0,
    max_seconds: float | None = None,
    **options: Any,
) -> ForDevices:
    """Of the choices at most `give_up` below the best utility, the one whose smallest slack is largest.

    Of several with that slack the one of the highest utility is taken; further ties go as in `solve`.

    Args:
        utilities, costs, budgets: as in `solve`.
        spread: costs whose smallest slack counts, such as the latencies on several devices. Each must be a sum of
            whole numbers, so that "more slack" has a smallest step, with a budget above 0 and no lower end.
        give_up: how much utility may be given up for slack, at least 0.
        max_seconds: how long it may take in all; None for as long as it takes.
        options: `fixed`, `aggregate`, `quantum` of other costs, `max_labels`.

    Raises:
        BudgetInfeasible, UsageError: as `solve` does.
    """
    _check(costs, budgets, spread, give_up, options)
    clock = TimeLimit(max_seconds)
    first = solve(utilities, costs, budgets, max_seconds=clock.left, **options)
    floor = first.utility - give_up - 1e-12 * (1.0 + abs(first.utility))
    limits = {name: Fraction(exact(budgets[name])) for name in spread}
    best, low, high, sure, rounds = first, _least_slack(first, limits), Fraction(1), first.status == "OPTIMAL", 0
    while True:
        closing, rounds = rounds >= _ROUNDS, rounds + 1
        share = low if closing else (low + high) / 2
        found = None
        if clock.over:
            closing, sure = True, False
        else:
            shrunk = {**budgets, **_shrunk(limits, share, closing)}
            found, proven = _try(utilities, costs, shrunk, {**options, "max_seconds": clock.left})
            sure &= proven
        if found is not None and found.utility >= floor:
            best, low = found, _least_slack(found, limits)
        elif closing:
            slack = {name: float(1 - Fraction(exact(best.costs[name])) / limit) for name, limit in limits.items()}
            status: Literal["OPTIMAL", "BOUNDED"] = "OPTIMAL" if sure else "BOUNDED"
            return ForDevices(status, best.choice, best.utility, best.costs, slack, first.utility, first.gap)
        else:
            high = share


def _try(
    utilities: Sequence[ArrayLike], costs: Mapping[str, Sequence[ArrayLike]], budgets: Mapping[str, Any],
    options: Mapping[str, Any],
) -> tuple[Solution | None, bool]:
    """An answer, None if there is or was found none; and whether that is proven."""
    try:
        found = solve(utilities, costs, budgets, **options)
    except BudgetInfeasible:
        return None, True
    except WorkLimitReached:
        return None, False
    return found, found.status == "OPTIMAL"


def _shrunk(limits: Mapping[str, Fraction], share: Fraction, strictly: bool) -> dict[str, int]:
    """Budgets that leave at least `share` of every limit; more than that, if `strictly`."""
    rooms = {name: limit * (1 - share) for name, limit in limits.items()}
    return {name: math.ceil(room) - 1 if strictly else math.floor(room) for name, room in rooms.items()}


def _least_slack(answer: Solution, limits: Mapping[str, Fraction]) -> Fraction:
    return min(1 - Fraction(exact(answer.costs[name])) / limit for name, limit in limits.items())


def _check(
    costs: Mapping[str, Sequence[ArrayLike]], budgets: Mapping[str, Any], spread: Sequence[str], give_up: float,
    options: Mapping[str, Any],
) -> None:
    if not spread:
        raise UsageError("spread must name at least one cost whose slack counts")
    if not give_up >= 0:
        raise UsageError(f"give_up must be at least 0, not {give_up!r}")
    if options.get("top", 1) != 1:
        raise UsageError("top must be 1: there is one network for all devices")
    for name in spread:
        if name not in costs:
            raise UnknownName("cost", name, list(costs), "It was given in spread.")
        budget = budgets.get(name)
        if isinstance(budget, tuple | list) or not isinstance(budget, int | float) or not 0 < budget < math.inf:
            raise UsageError(f"the budget for {name!r} must be one finite number above 0, not {budget!r}")
        whole = all(np.all(np.mod(row, 1) == 0) for row in costs[name])
        is_sum = (options.get("aggregate") or {}).get(name, "sum") == "sum"
        if not whole or not is_sum or name in (options.get("quantum") or {}):
            raise UsageError(f"the cost {name!r} must be a sum of whole numbers (such as nanoseconds), without quantum")
