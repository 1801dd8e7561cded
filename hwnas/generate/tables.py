"""Tables of Pareto labels: for every state of a few variables, the partial choices that no other beats.

Two tables join into one over the variables of both, every label with every label whose states agree; then labels that
another of the same state beats in all costs and utility go. Pareto sets form a semiring under these two, so that
eliminating variables in any order is exact (E. Rollon and J. Larrosa, "Bucket elimination for multiobjective
optimization problems", Journal of Heuristics 12, 2006).

Glossary
    n         number of labels
    scope     the variables of the table, by number, rising; W of them
    states    option of each variable of the scope, int16 (n, W)
    ticks     int64 (n, M); utility float64 (n,)
    picks     options of the variables eliminated so far, 0 elsewhere: the choices, int16 (n, V)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hwnas.generate.dominance import merged, undominated
from hwnas.generate.elimination import Scope
from hwnas.generate.problem import Floats, Ints
from hwnas.generate.time_limit import GRACE, TimeLimit

Small = NDArray[np.int16]
_FEW = 12  # states that are looked at one by one


@dataclass(frozen=True)
class Picks:
    """Choices of labels, put together when they are needed: most labels go before.

    Attributes:
        parts: per table joined, its choices (N, V) and which of them each label has, (n,).
        moved: variables and their options, (n,), that are in no part yet.
    """

    parts: tuple[tuple[Small, Ints], ...]
    moved: tuple[tuple[int, Small], ...] = ()

    @classmethod
    def of(cls, choices: Small) -> Picks:
        """Choices as they stand."""
        return cls(((choices, np.arange(len(choices))),))

    def take(self, index: Ints | NDArray[np.bool_]) -> Picks:
        """Those of some labels."""
        parts = tuple((choices, which[index]) for choices, which in self.parts)
        return Picks(parts, tuple((v, column[index]) for v, column in self.moved))

    def made(self) -> Small:
        """The choices, (n, V)."""
        choices = self.parts[0][0][self.parts[0][1]]
        for part, which in self.parts[1:]:
            choices = choices + part[which]
        for variable, column in self.moved:
            choices[:, variable] = column
        return choices


@dataclass(frozen=True)
class Table:
    """Labels of a few variables; see the glossary of this file."""

    scope: Scope
    states: Small
    ticks: Ints
    utility: Floats
    picks: Picks

    def take(self, index: Ints | NDArray[np.bool_]) -> Table:
        """Some of the labels."""
        return Table(
            self.scope, self.states[index], self.ticks[index], self.utility[index], self.picks.take(index)
        )

    def keys(self, variables: Scope, sizes: Sequence[int]) -> Ints:
        """The states of some variables of the scope as one number, (n,)."""
        key = np.zeros(len(self.utility), dtype=np.int64)
        for v in variables:
            key = key * sizes[v] + self.states[:, self.scope.index(v)]
        return key

    def without(self, variable: int) -> Table:
        """The same labels with one variable moved from the states to the choices."""
        place = self.scope.index(variable)
        picks = Picks(self.picks.parts, (*self.picks.moved, (variable, self.states[:, place])))
        scope = self.scope[:place] + self.scope[place + 1 :]
        return Table(scope, np.delete(self.states, place, axis=1), self.ticks, self.utility, picks)


def pairs(n: int, m: int) -> tuple[Ints, Ints]:
    """Places in two lists of n and m such that every pair comes once."""
    return np.repeat(np.arange(n), m), np.tile(np.arange(m), n)


def join(a: Table, b: Table, sizes: Sequence[int], limits: Ints, clock: TimeLimit | None = None) -> Table:
    """Every label of `a` with every label of `b` that agrees with it, within the limits.

    Raises:
        TimeIsUp: the time does not suffice.
    """
    shared = tuple(v for v in a.scope if v in b.scope)
    left, right = a.keys(shared, sizes), b.keys(shared, sizes)
    order = np.argsort(right, kind="stable")
    first, last = np.searchsorted(right[order], left), np.searchsorted(right[order], left, side="right")
    count = last - first
    if clock is not None:
        clock.check(int(count.sum()) * (len(limits) + 2), GRACE)
    ia = np.repeat(np.arange(len(left)), count)
    ib = order[np.arange(len(ia)) - np.repeat(np.cumsum(count) - count, count) + np.repeat(first, count)]
    ticks = a.ticks[ia] + b.ticks[ib]
    fits = np.flatnonzero((ticks <= limits).all(axis=1))
    ia, ib = ia[fits], ib[fits]
    picks = Picks(tuple((choices, which[i]) for table, i in ((a, ia), (b, ib)) for choices, which in table.picks.parts))
    scope = tuple(sorted({*a.scope, *b.scope}))
    columns = [a.states[ia, a.scope.index(v)] if v in a.scope else b.states[ib, b.scope.index(v)] for v in scope]
    states = np.column_stack(columns) if columns else np.zeros((len(ia), 0), np.int16)
    return Table(scope, states, ticks[fits], a.utility[ia] + b.utility[ib], picks)


def pareto(table: Table, sizes: Sequence[int], clock: TimeLimit | None = None) -> Table:
    """The labels that no other of the same state beats, sorted by state and cost; of equal ones the smaller choice.

    Raises:
        TimeIsUp: the time does not suffice.
    """
    if clock is not None:
        clock.check(4 * len(table.utility), GRACE)
    key = table.keys(table.scope, sizes)
    order = _order(table, key)
    key, ticks, utility = key[order], table.ticks[order], table.utility[order]
    begins = np.flatnonzero(np.diff(key, prepend=-1))
    if ticks.shape[1] <= 1 and len(begins) > _FEW:
        keep = _records(utility, key)
    else:
        ends = np.append(begins[1:], len(key))
        groups = [slice(first, last) for first, last in zip(begins.tolist(), ends.tolist(), strict=False)]
        masks = [undominated(ticks[some], utility[some], clock=clock) for some in groups]
        keep = np.concatenate([np.zeros(0, bool), *masks])
    best = table.take(order[keep])
    return replace(best, picks=Picks.of(best.picks.made()))


def _order(table: Table, key: Ints) -> Ints:
    """Labels by state, costs, utility falling and choice."""
    ranks, top = key, int(key.max(initial=0))
    for column in table.ticks.T:
        span = int(column.max(initial=0)) + 1
        if (top + 1) * span >= 1 << 62:
            ranks, top = np.unique(ranks, return_inverse=True)[1].reshape(len(key)), len(key)
        if (top + 1) * span >= 1 << 62:
            column, span = np.unique(column, return_inverse=True)[1].reshape(len(key)), len(key) + 1
        ranks, top = ranks * span + column, (top + 1) * span
    order = np.argsort(ranks)
    ranks = ranks[order]
    same = np.zeros(len(ranks) + 1, dtype=bool)
    same[1:-1] = ranks[1:] == ranks[:-1]
    tied = np.flatnonzero(same[1:] | same[:-1])
    if len(tied):
        run, labels = np.cumsum(~same[:-1])[tied], order[tied]
        choices = table.picks.take(labels).made().T[::-1]
        order[tied] = labels[np.lexsort((*choices, -table.utility[labels], run))]
    return order


def _records(utility: Floats, key: Ints) -> NDArray[np.bool_]:
    """Labels above all earlier ones of their state."""
    rank = np.unique(utility, return_inverse=True)[1].reshape(len(utility)) + 1
    place = np.cumsum(np.diff(key, prepend=-1) > 0) * (len(utility) + 1) + rank
    best = np.maximum.accumulate(place)
    keep = np.ones(len(place), dtype=bool)
    keep[1:] = place[1:] > best[:-1]
    return keep


def thinned(table: Table, sizes: Sequence[int], room: int) -> tuple[Table, float]:
    """About `room` labels of a table of one cost, as `pareto` gives it, and the most utility that a label lost."""
    if len(table.utility) <= room:
        return table, 0.0
    key = table.keys(table.scope, sizes)
    begins = np.flatnonzero(np.diff(key, prepend=-1))
    share, kept, lost = max(room // len(begins), 1), [], 0.0
    for first, last in zip(begins.tolist(), [*begins[1:].tolist(), len(key)], strict=True):
        some: Ints = np.arange(last - first)
        if last - first > share:
            some, step = merged(table.utility[first:last], 1, share)
            lost = max(lost, step)
        kept.append(first + some)
    return table.take(np.concatenate(kept)), lost
