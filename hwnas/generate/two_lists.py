"""The best choice among the items of a core: the layers in two halves, each as Pareto labels, joined at the end.

Labels of half of the layers are about the square root of those of all (E. Horowitz and S. Sahni, "Computing partitions
with applications to the knapsack problem", J. ACM 21(2), 1974). Every label carries a loss against the relaxation, and
losses add up, so that in a half only labels are made that lose no more than a whole choice may (M. Dyer, W. Riha and
J. Walker, J. of Computational and Applied Mathematics 58, 1995).

Glossary
    item      an operation that is left in its layer
    label     a partial choice of one half: its cost and its utility; none beats another
    loss      sum over its layers of max_k (u_k - y c_k), less (u - y c) of the label, >= 0
    slack     most loss that is of interest
Labels are kept in the lexicographic order of their choices: of equal ones the first is the one to keep.

Complexity: O(labels x items) sorts per layer of a half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hwnas.generate.dominance import merged
from hwnas.generate.problem import Floats, Ints
from hwnas.generate.time_limit import TimeLimit

_BLOCK = 1 << 20  # extensions made at once
_SMALL = 1 << 31  # below it, where a label comes from takes half the memory
Columns: TypeAlias = tuple[Ints, Floats, Ints]


class TooMany(Exception):
    """A half has more labels than allowed."""


@dataclass(frozen=True)
class Items:
    """The items of one layer: the layer, their places in it, costs, utilities, max_k (u_k - y c_k), the least cost."""

    layer: int
    places: Ints
    cost: Ints
    utility: Floats
    top: float = 0.0
    least: int = 0

    @classmethod
    def undominated(cls, layer: int, cost: Ints, utility: Floats) -> Items:
        """The operations of a layer that no other beats."""
        places = frontier(cost, utility)
        return cls(layer, places, cost[places], utility[places], least=int(cost.min()))


@dataclass(frozen=True)
class Partials:
    """Labels of some layers, and per layer the items, and parent * items + item of every label there."""

    cost: Ints
    utility: Floats
    trail: tuple[tuple[Items, NDArray[np.integer[Any]]], ...] = ()

    @classmethod
    def root(cls) -> Partials:
        """The label that has chosen nothing."""
        return cls(np.zeros(1, np.int64), np.zeros(1))

    def extended(
        self, items: Items, limit: int, line: tuple[float, float] = (0.0, -np.inf), clock: TimeLimit | None = None
    ) -> Partials:
        """Labels times items within the limit and on or above the line u - line[0] * c = line[1], that none beats.

        Raises:
            TimeIsUp: the time does not suffice.
        """
        width = len(items.cost)
        step = max(_BLOCK // width, 1)
        kept: Columns = np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64)
        for first in range(0, len(self.cost), step):
            if clock is not None:
                clock.check(min(step, len(self.cost) - first) * width + len(kept[0]))
            c = (self.cost[first : first + step, None] + items.cost).reshape(-1)
            u = (self.utility[first : first + step, None] + items.utility).reshape(-1)
            some = np.flatnonzero((u - line[0] * c >= line[1]) & (c <= limit))
            found: Columns = c.take(some), u.take(some), some + first * width
            if first:
                found = _both(kept, found)
            best = frontier(found[0], found[1])
            kept = found[0].take(best), found[1].take(best), found[2].take(best)
        origin = kept[2].astype(np.int32) if len(self.cost) * width < _SMALL else kept[2]
        return Partials(kept[0], kept[1], (*self.trail, (items, origin)))

    def merged(self, room: int) -> tuple[Partials, float]:
        """About `room` of the labels, of those nearly equal in utility the cheapest; and what that may lose."""
        order = np.argsort(self.cost)
        some, loss = merged(self.utility[order], 1, room)
        kept = np.sort(order[some])
        *before, (items, origin) = self.trail
        return Partials(self.cost[kept], self.utility[kept], (*before, (items, origin[kept]))), loss

    def write(self, labels: Ints, choices: NDArray[Any]) -> None:
        """Write the places chosen by some labels into choices, (n, L)."""
        for items, origin in reversed(self.trail):
            labels, item = np.divmod(origin[labels], len(items.places))
            choices[:, items.layer] = items.places[item]


def partials(
    layers: Sequence[Items], price: float, slack: float, limit: int, max_labels: int, clock: TimeLimit
) -> Partials:
    """All labels of some layers, in the order of the layers, that lose at most `slack` and cost at most `limit`.

    Raises:
        TooMany: more labels than `max_labels` after some layer.
        TimeIsUp: the time does not suffice.
    """
    labels, top = Partials.root(), 0.0
    rest = sum(items.least for items in layers)
    for items in layers:
        top, rest = top + items.top, rest - items.least
        labels = labels.extended(items, limit - rest, (price, top - slack), clock)
        if len(labels.cost) > max_labels:
            raise TooMany
    return labels


def _both(a: Columns, b: Columns) -> Columns:
    return np.concatenate([a[0], b[0]]), np.concatenate([a[1], b[1]]), np.concatenate([a[2], b[2]])


def frontier(cost: Ints, utility: Floats) -> Ints:
    """Places, rising, of the labels that no other beats in cost and utility; of equal ones the first."""
    n = len(cost)
    if n < 2:
        return np.arange(n)
    bits = n.bit_length()
    if int(cost.max()) < 1 << (62 - bits):
        key = (cost << bits) | np.arange(n)
        key.sort()
        order, sorted_cost = key & ((1 << bits) - 1), key >> bits
    else:
        order = np.argsort(cost, kind="stable")
        sorted_cost = cost.take(order)
    ranked = utility.take(order)
    best = np.maximum.accumulate(ranked)
    rises = np.empty(n, dtype=bool)
    rises[0] = True
    np.greater(ranked[1:], best[:-1], out=rises[1:])
    kept, its_cost = order[rises], sorted_cost[rises]
    last = np.empty(len(kept), dtype=bool)
    last[-1] = True
    np.not_equal(its_cost[1:], its_cost[:-1], out=last[:-1])
    kept = kept[last]
    kept.sort()
    return kept


def pairs(a: Partials, b: Partials, room: int, rounding: float) -> tuple[Ints, Ints]:
    """Pairs of labels within `room` whose utility is the best there is, but for `rounding`; places in `a` and `b`."""
    order = np.argsort(a.cost)
    at = np.searchsorted(a.cost[order], room - b.cost, side="right") - 1
    utility = np.where(at >= 0, a.utility[order][np.maximum(at, 0)] + b.utility, -np.inf)
    best = float(utility.max(initial=-np.inf))
    some = np.flatnonzero(utility >= best - rounding) if best > -np.inf else np.zeros(0, np.int64)
    return order[at[some]], some
