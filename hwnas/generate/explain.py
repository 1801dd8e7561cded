"""`explain`: what budgets do to an answer, or why they have none.

Feasible: how far each budget is used, whether it binds, what a little more of it buys and a little less costs, and at
which layers. Infeasible: the least each cost can be, alone and beside the other budgets, the layers that hold it, and
the cheapest ways out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hwnas.errors import BudgetInfeasible, UsageError
from hwnas.generate import infeasibility, shadow_prices
from hwnas.generate.budgets import Budget
from hwnas.generate.infeasibility import Holder, Relaxation
from hwnas.generate.knapsack import Solution
from hwnas.generate.query import Query
from hwnas.generate.shadow_prices import Step


@dataclass(frozen=True)
class Limit:
    """One budget.

    Attributes:
        name: of its cost.
        budget: in the unit of the cost.
        least: least total that any choice has.
        within: least total of the choices that keep the other budgets; None if there is none, or if an answer exists.
        reached: total of the answer; None without one.
        binds: whether the answer would be better without this budget; None without an answer.
        holders: without an answer, the (layer, amount) pairs that hold the cost up, see `infeasibility.holders`.
    """

    name: str
    budget: float
    least: float
    within: float | None = None
    reached: float | None = None
    binds: bool | None = None
    holders: tuple[Holder, ...] = ()

    @property
    def slack(self) -> float | None:
        """What the answer leaves of the budget."""
        return None if self.reached is None else self.budget - self.reached


@dataclass(frozen=True)
class Words:
    """How an explanation speaks of a problem.

    Attributes:
        show: (cost name, amount) to text, with its unit.
        layer: layer number to its name.
        worth: a difference of utility to text, with its sign.
    """

    show: Callable[[str, float], str] = lambda name, amount: f"{amount:.6g}"
    layer: Callable[[int], str] = lambda layer: f"layer {layer}"
    worth: Callable[[float], str] = lambda gain: f"{gain:+.4g}"


@dataclass(frozen=True)
class Explanation:
    """What `explain` found.

    Attributes:
        status: "OPTIMAL", "BOUNDED" (the solver's own limit was met: prices and bounds are of what was found) or
            "INFEASIBLE".
        choice, utility: the answer; None where infeasible.
        limits: one per budget.
        steps: what other budgets would change, see `shadow_prices.steps`; of binding budgets only.
        relaxations: ways to meet the budgets where infeasible, the smallest raise first.
    """

    status: str
    choice: tuple[int, ...] | None
    utility: float | None
    limits: tuple[Limit, ...]
    steps: tuple[Step, ...] = ()
    relaxations: tuple[Relaxation, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Everything, ready for `json.dumps`; an infinite number is None."""
        whole = asdict(self)
        for limit, row in zip(self.limits, whole["limits"], strict=True):
            row["slack"] = limit.slack
        found = _plain(whole)
        assert isinstance(found, dict)
        return found

    def text(self, words: Words | None = None) -> str:
        """Sentences for people, one a line."""
        words = words or Words()
        if self.choice is None:
            lines = ["no choice meets the budgets"]
            lines += [_why(limit, words) for limit in self.limits]
            lines += [_way_out(i, one, words) for i, one in enumerate(self.relaxations)]
        else:
            lines = [_use(limit, words) for limit in self.limits]
            lines += [_bargain(step, words) for name in self.prices for step in _told(self.steps, name)]
        return "\n".join(lines)

    @property
    def prices(self) -> dict[str, float]:
        """Cost name -> most utility that a unit more of its budget buys in any step; 0 where it does not bind."""
        return {limit.name: max((step.price for step in self.steps if step.cost == limit.name and step.by > 0),
                                default=0.0) for limit in self.limits}


def explain(
    utilities: Sequence[ArrayLike],
    costs: Mapping[str, Sequence[ArrayLike]],
    budgets: Mapping[str, Budget],
    *,
    fixed: Mapping[str, float] | None = None,
    quantum: Mapping[str, float] | None = None,
    aggregate: Mapping[str, str] | None = None,
    max_labels: int = 2_000_000,
    max_seconds: float | None = None,
) -> Explanation:
    """Solve a problem and say what its budgets do; the arguments are those of `hwnas.generate.solve`.

    The problem is solved again some ten times per budget. Of a range, the upper end is what is explained; the lower end
    stays as it is. Where `max_seconds` ended it, the status says BOUNDED and steps may be missing.

    Raises:
        UsageError: no budget, or shapes, names or numbers that do not fit together.
    """
    if not budgets:
        raise UsageError("there is no budget to explain: give at least one")
    query = Query.of(utilities, costs, budgets, fixed or {}, quantum or {}, aggregate or {}, max_labels, max_seconds)
    try:
        answer = query.answer()
    except BudgetInfeasible:
        return _infeasible(query)
    return _feasible(query, answer)


def _feasible(query: Query, answer: Solution) -> Explanation:
    least = infeasibility.least_alone(query)
    limits, steps = [], []
    for name, budget in query.budgets.items():
        free = query.try_answer({name: np.inf})
        binds = free is not None and free.utility > answer.utility
        limits.append(Limit(name, budget, least[name], reached=answer.costs[name], binds=binds))
        steps += shadow_prices.steps(query, answer, name) if binds and not query.clock.over else []
    status = "BOUNDED" if query.clock.over else answer.status
    return Explanation(status, answer.choice, answer.utility, tuple(limits), tuple(steps))


def _infeasible(query: Query) -> Explanation:
    least = infeasibility.least_alone(query)
    beside = {name: infeasibility.least_with_others(query, name) for name in query.budgets}
    limits = []
    for name, budget in query.budgets.items():
        found = beside[name]
        forced = found[1] if found is not None and least[name] <= budget else None
        held = infeasibility.holders(query, name, forced) if least[name] > budget or forced is not None else ()
        limits.append(Limit(name, budget, least[name], None if found is None else found[0], holders=held))
    return Explanation("INFEASIBLE", None, None, tuple(limits), (), tuple(infeasibility.relaxations(query, beside)))


def _use(limit: Limit, words: Words) -> str:
    assert limit.reached is not None
    used = f"{limit.name}: {words.show(limit.name, limit.reached)} of {words.show(limit.name, limit.budget)}"
    if limit.binds:
        return f"{used}: this budget binds"
    return f"{used}: does not bind, down to {words.show(limit.name, limit.reached)} nothing changes"


def _bargain(step: Step, words: Words) -> str:
    amount, layers = words.show(step.cost, abs(step.by)), ", ".join(map(words.layer, step.layers))
    return f"{step.cost}: {amount} {'more buys' if step.by > 0 else 'less costs'} {words.worth(step.gain)}, at {layers}"


def _told(steps: Sequence[Step], name: str) -> list[Step]:
    """Of the steps of a cost: the smallest cut, the best bargain and the largest raise."""
    cuts = [step for step in steps if step.cost == name and step.by < 0]
    raises = [step for step in steps if step.cost == name and step.by > 0]
    told = [*cuts[-1:], *([max(raises, key=lambda step: step.price)] if raises else []), *raises[-1:]]
    return list(dict.fromkeys(told))


def _why(limit: Limit, words: Words) -> str:
    def show(amount: float) -> str:
        return words.show(limit.name, amount)

    asked = f"{limit.name}: {show(limit.budget)} asked"
    held = ", ".join(f"{words.layer(layer)} ({show(amount)})" for layer, amount in limit.holders)
    if limit.least > limit.budget:
        why = f"the least is {show(limit.least)}, {show(limit.least - limit.budget)} too much"
        return f"{asked}, {why}; the most of it at {held}" if held else f"{asked}, {why}"
    if limit.within is None:
        return f"{asked}, {show(limit.least)} possible alone; the other budgets conflict without it"
    if limit.within <= limit.budget:
        return f"{asked}, {show(limit.within)} possible beside the other budgets"
    tail = f"; they force the most on {held}" if held else ""
    return f"{asked}, {show(limit.least)} possible alone, {show(limit.within)} beside the other budgets{tail}"


def _way_out(place: int, one: Relaxation, words: Words) -> str:
    raised = " and ".join(f"{name} to {words.show(name, value)}" for name, value in one.budgets.items())
    percent = f" (+{100 * one.raised:.1f} %{' at most' if len(one.budgets) > 1 else ''})"
    most = percent if np.isfinite(one.raised) else ""
    return f"{'cheapest way out' if place == 0 else 'or'}: raise {raised}{most}"


def _plain(value: object) -> object:
    """JSON has no infinity."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
