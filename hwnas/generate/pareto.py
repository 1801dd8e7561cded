"""`front`: the best choice for every budget on one cost, in a single pass."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from hwnas.errors import BudgetInfeasible, InputError, UsageError
from hwnas.generate.integer_costs import Exact, exact
from hwnas.generate.problem import Floats, Ints, Problem, alive_ids, assemble, read_cost, read_utilities
from hwnas.generate.time_limit import TimeLimit
from hwnas.generate.two_lists import Items, Partials
from hwnas.validation import MOST_OPS, Schema, checked

FORMAT = 1


Amount = Annotated[float, Field(ge=-(2.0**62), le=2.0**62)]


class PointSchema(Schema):
    """A point of a front's JSON."""

    cost: Amount
    utility: Amount
    choice: Annotated[list[Annotated[int, Field(ge=0, le=2**15 - 1)]], Field(max_length=MOST_OPS)]


class FrontSchema(Schema):
    """The keys of a front's JSON."""

    gap: Annotated[float, Field(ge=0, le=2.0**62)]
    points: Annotated[list[PointSchema], Field(min_length=1)]


@dataclass(frozen=True)
class Point:
    """One point of a front: total cost, utility, operation per layer."""

    cost: float
    utility: float
    choice: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Front:
    """The choices that no other beats in both utility and cost, cheapest first.

    Attributes:
        costs: (n,) strictly rising totals, the fixed part included, in the unit given. With a
            quantum they are the rounded-up totals, at most L quanta above the real ones (L layers).
        utilities: (n,) float64, strictly rising.
        choices: (n, L) int16.
        gap: 0 where the front is exact; else how far below the best utility for a budget a point
            can be at most, because `max_labels` was reached.
    """

    costs: NDArray[Any]
    utilities: Floats
    choices: NDArray[np.int16]
    gap: float = 0.0

    def __post_init__(self) -> None:
        for array in (self.costs, self.utilities, self.choices):
            array.setflags(write=False)

    def __len__(self) -> int:
        return len(self.costs)

    def __iter__(self) -> Iterator[Point]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, i: int) -> Point:
        return Point(float(self.costs[i]), float(self.utilities[i]), self.choice(i))

    @property
    def status(self) -> Literal["OPTIMAL", "BOUNDED"]:
        """Like a solution's: "OPTIMAL", or "BOUNDED" where `gap` is not 0."""
        return "OPTIMAL" if self.gap == 0.0 else "BOUNDED"

    def choice(self, i: int) -> tuple[int, ...]:
        """Operation per layer of point `i`."""
        return tuple(self.choices[i].tolist())

    def query(self, budget: float) -> Point:
        """The best point within `budget`.

        Raises:
            BudgetInfeasible: the budget is below the cheapest point.
            UsageError: the budget is not a number.
        """
        return self[int(self.queries([budget])[0])]

    def queries(self, budgets: ArrayLike) -> Ints:
        """Index of the best point within each of many budgets, (n,), in one call: O(n log points).

        Raises:
            BudgetInfeasible: a budget is below the cheapest point.
            UsageError: not a flat list of numbers.
        """
        index: Ints = np.searchsorted(self.costs, comparable(budgets, self.costs.dtype), side="right") - 1
        if len(index) and index.min() < 0:
            raise below(float(self.costs[0]), float(np.min(budgets)))
        return index

    def to_json(self) -> dict[str, Any]:
        """Every point, ready for `json.dumps`; `from_json` gives the same front back."""
        points = zip(self.costs.tolist(), self.utilities.tolist(), self.choices.tolist(), strict=True)
        return {
            "hwnas_front": FORMAT,
            "gap": self.gap,
            "points": [{"cost": cost, "utility": utility, "choice": choice} for cost, utility, choice in points],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Front:
        """The front that `to_json` wrote.

        Raises:
            InputError: not a front, of another version, or its points are not a rising front.
        """
        if not isinstance(data, Mapping) or data.get("hwnas_front") != FORMAT:
            raise InputError(f'not a front that this version reads: it needs "hwnas_front": {FORMAT}')
        found = checked(FrontSchema, data, "the front's points cannot be read", way_out="write it anew")
        if len({len(point.choice) for point in found.points}) > 1:
            raise InputError("the points of the front have choices of different lengths: write it anew")
        costs = np.array([point["cost"] for point in data["points"]])  # whole numbers stay whole
        utilities = np.array([point.utility for point in found.points], dtype=np.float64)
        choices = np.array([point.choice for point in found.points], dtype=np.int16)
        if not _is_front(costs, utilities, choices, found.gap):
            raise InputError("the points are not a front: costs and utilities must rise strictly; write it anew")
        return cls(costs, utilities, choices, found.gap)


def front(
    utilities: Sequence[ArrayLike],
    costs: Sequence[ArrayLike],
    *,
    fixed: float = 0,
    quantum: float | None = None,
    max_cost: float | None = None,
    max_labels: int = 2_000_000,
    max_seconds: float | None = None,
) -> Front:
    """The whole Pareto front of the sum of utilities against the sum of one cost.

    Exact, whatever the size of the costs: the work grows with the number of points, not with the
    budget. Among equal (cost, utility) the lexicographically smallest choice is kept.

    Args:
        utilities: per layer, float64 (K_l,); -inf masks an operation.
        costs: per layer (K_l,), in any unit.
        fixed: what every network pays on top.
        quantum: size of a tick in the unit of the cost, as in `solve`; not needed for whole numbers.
        max_cost: leave out what costs more.
        max_labels: most labels kept per layer. Beyond it, labels of nearly equal utility are merged
            into the cheapest of them and `Front.gap` bounds what that may have lost.
        max_seconds: how long it may take, kept to within 0.2 s; where that is too short, as with `max_labels`.

    Raises:
        BudgetInfeasible: the cheapest choice costs more than `max_cost`.
        UsageError: shapes or numbers that do not fit together.
    """
    problem, ticks_to_totals = one_cost(utilities, costs, fixed, quantum, max_cost, max_labels)
    ticks, worth, choices, loss = chain_points(problem, max_labels, TimeLimit(max_seconds))
    return Front(ticks_to_totals(ticks), worth, choices, loss)


def chain_points(problem: Problem, max_labels: int, clock: TimeLimit) -> tuple[Ints, Floats, NDArray[np.int16], float]:
    """The front of a chain of one cost: ticks, utilities, choices, cheapest first; and what merging may have lost.

    Labels layer by layer; those beyond what is allowed, or what the time suffices for, are merged.
    """
    labels, loss, limit = Partials.root(), 0.0, int(problem.limits[0])
    layers = [Items.undominated(layer, c[:, 0], u) for layer, (u, c) in
              enumerate(zip(problem.utilities, problem.ticks, strict=True))]
    for number, items in enumerate(layers, 1):
        clock.made(len(labels.cost) * len(items.cost))
        labels = labels.extended(items, limit)
        wider = len(layers[number].cost) if number < len(layers) else 1
        room = clock.affordable(max_labels, len(layers) - number, wider, fewest=4)
        if len(labels.cost) > room:
            labels, lost = labels.merged(room)
            loss += lost
    order = np.argsort(labels.cost)
    places = np.zeros((len(order), len(layers)), np.int16)
    labels.write(order, places)
    return labels.cost[order], labels.utility[order], _operations(problem, places), loss


def _operations(problem: Problem, places: NDArray[np.int16]) -> NDArray[np.int16]:
    """The operations at some places of every layer, (n, L)."""
    columns = [ids.astype(np.int16)[column] for ids, column in zip(problem.ids, places.T, strict=True)]
    return np.ascontiguousarray(np.array(columns, dtype=np.int16).T)


def one_cost(
    utilities: Sequence[ArrayLike], costs: Sequence[ArrayLike], fixed: float, quantum: float | None,
    max_cost: float | None, max_labels: int,
) -> tuple[Problem, Callable[[Ints], NDArray[Any]]]:
    """The problem of a front, checked, and what turns its ticks into totals in the unit given; as in `front`."""
    if max_labels < 1:
        raise UsageError(f"max_labels must be at least 1, not {max_labels}")
    budget = math.inf if max_cost is None else max_cost
    if math.isnan(budget):
        raise UsageError("max_cost is not a number")
    values = read_utilities(utilities)
    cost = read_cost("cost", costs, values, fixed=fixed, quantum=quantum, aggregate="sum")
    problem = assemble(values, alive_ids(values), [cost], [budget])
    start = exact(fixed) + problem.base[0] * cost.quantum
    if problem.limits[0] < 0:
        raise below(float(start), budget)
    return problem, partial(in_unit, start=start, quantum=cost.quantum)


def in_unit(ticks: Ints, *, start: Exact, quantum: Exact) -> NDArray[Any]:
    """Ticks in the unit given: integers where all are whole, else floats rounded once."""
    if isinstance(start, int) and quantum == 1:
        return ticks + start
    totals = np.array([start + tick * quantum for tick in ticks.tolist()])
    return totals.astype(np.float64) if totals.dtype == object else totals


def comparable(budgets: ArrayLike, kind: np.dtype[Any]) -> NDArray[Any]:
    """Budgets as the costs are, so that large whole numbers compare exactly."""
    given = np.asarray(budgets)
    if given.ndim != 1 or given.dtype.kind not in "iufO":
        raise UsageError("budgets must be a flat list of numbers")
    if given.dtype.kind == "i":
        return given
    floats = given.astype(np.float64)
    if np.isnan(floats).any():
        raise UsageError("a budget is not a number")
    if kind.kind == "f":
        return floats
    return np.clip(np.floor(floats), -2.0**62, 2.0**62).astype(np.int64)


def below(least: float, budget: float) -> BudgetInfeasible:
    """The refusal of a budget below the cheapest choice."""
    return BudgetInfeasible(
        f"no choice meets the budget (least achievable {least:.10g}, budget {budget:.10g}, short by "
        f"{least - budget:.10g}): raise the budget or offer cheaper operations",
        {"cost": least},
        {"cost": budget},
    )


def _is_front(costs: NDArray[Any], utilities: Floats, choices: NDArray[np.int16], gap: float) -> bool:
    numbers = costs.dtype.kind in "if" and costs.ndim == 1 and len(costs) > 0 and choices.ndim == 2
    if not numbers or not math.isfinite(gap) or gap < 0:
        return False
    finite = np.isfinite(costs).all() and np.isfinite(utilities).all()
    return bool(finite and (np.diff(costs) > 0).all() and (np.diff(utilities) > 0).all() and (choices >= 0).all())
