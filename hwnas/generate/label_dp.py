"""The dynamic program: Pareto labels, layer by layer, with back-pointers.

A label is a partial choice: its ticks, its utility and where it comes from. Per layer every label
is extended by every operation, what is over a budget or cannot reach a known solution is dropped,
then what k others dominate. What is left after the last layer holds the k best choices within any
budgets up to the limits, in the order: utility falling, ranked costs rising, choice lexicographic.

A side condition (a cost behind the ranked ones) only has to stay within its limit: once the layers
to come cannot break it any more, all labels count as equal in it.

Glossary
    n         labels alive
    ticks     int64 (n, M)
    utility   float64 (n,), summed layer by layer in order
    rank      int64 (n,), place of the label's choice in lexicographic order
    parent    int32 (n,), index into the previous layer's labels; op int16 (n,), the operation taken
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas.generate.bounds import Bounds
from hwnas.generate.dominance import merged, undominated
from hwnas.generate.problem import Floats, Ints, Problem
from hwnas.generate.time_limit import GRACE, TimeLimit

_MANY = 3000  # labels from which on dominance is looked for where bounds have dropped most already
_SAMPLE = 48  # labels that are compared with all others first, to see whether it pays
_HOPELESS = 4  # times the room: more labels than that are cut before dominance is looked for
_WORTH = 0.5  # share of them that must be dominated


@dataclass(frozen=True)
class Labels:
    """Labels after one layer; see the glossary."""

    ticks: Ints
    utility: Floats
    rank: Ints

    def take(self, index: Ints | NDArray[np.bool_]) -> Labels:
        return Labels(self.ticks[index], self.utility[index], self.rank[index])

    def order(self, ranked: int) -> Ints:
        """Indices sorted by (ranked costs, utility falling, choice)."""
        return np.lexsort((self.rank, -self.utility, *self.ticks.T[:ranked][::-1]))

    def best(self, count: int, ranked: int) -> Ints:
        """Indices of the `count` best: utility falling, then ranked costs, then choice."""
        return np.lexsort((self.rank, *self.ticks.T[:ranked][::-1], -self.utility))[:count]


@dataclass(frozen=True)
class Outcome:
    """What a run left.

    Attributes:
        labels: after the last layer.
        ranked: how many costs break ties.
        trail: per layer (parent, operation).
        dropped: highest upper bound among labels cut for want of room or time; -inf if none was.
        loss: how much utility the merging of labels may have cost; 0 if nothing was merged.
    """

    labels: Labels
    ranked: int
    trail: tuple[tuple[NDArray[np.int32], NDArray[np.int16]], ...]
    dropped: float = -np.inf
    loss: float = 0.0

    @classmethod
    def nothing(cls, problem: Problem) -> Outcome:
        """What a run leaves when no choice is good enough."""
        labels = Labels(np.zeros((0, len(problem.limits)), np.int64), np.zeros(0), np.zeros(0, np.int64))
        step = np.zeros(0, np.int32), np.zeros(0, np.int16)
        return cls(labels, problem.ranked, (step,) * len(problem.utilities))

    def choices(self, index: Ints) -> NDArray[np.int16]:
        """The choices behind the labels `index`, (len(index), L)."""
        out = np.empty((len(index), len(self.trail)), dtype=np.int16)
        for layer in range(len(self.trail) - 1, -1, -1):
            parent, op = self.trail[layer]
            out[:, layer] = op[index]
            index = parent[index].astype(np.int64)
        return out

    def best(self, count: int) -> list[tuple[float, tuple[int, ...]]]:
        """The `count` best choices with their utilities, best first."""
        index = self.labels.best(count, self.ranked)
        choices = map(tuple, self.choices(index).tolist())
        return list(zip(self.labels.utility[index].tolist(), choices, strict=True))


def run(
    problem: Problem, k: int, max_labels: int, bounds: Bounds | None = None, floor: float = -np.inf,
    clock: TimeLimit | None = None,
) -> Outcome:
    """Run the dynamic program for the `k` best.

    Args:
        max_labels: most labels kept after a layer. Beyond it, with `bounds` the labels of the
            lowest bound are cut (see `Outcome.dropped`); without, labels of nearly equal utility
            are merged into the cheapest (see `Outcome.loss`).
        floor: with `bounds`, labels that cannot reach this utility are dropped.
        clock: keeps fewer labels where the time would not suffice.

    Raises:
        TimeIsUp: the time is over all the same.
    """
    clock = clock or TimeLimit()
    labels = Labels(np.zeros((1, len(problem.limits)), np.int64), np.zeros(1), np.zeros(1, np.int64))
    certain, trail, dropped, loss = _certain(problem), [], -np.inf, 0.0
    for layer in range(len(problem.utilities)):
        clock.check(labels.ticks.size * len(problem.ids[layer]), GRACE)
        labels, index, width = _extend(problem, layer, labels, certain[layer + 1])
        clock.made(len(index))
        kept, upper = np.arange(len(index)), None
        if bounds is not None:
            upper = bounds.upper(layer + 1, labels.ticks, labels.utility, floor)
            kept = np.flatnonzero(upper >= floor)
        room = clock.affordable(max_labels, len(problem.utilities) - layer - 1, width)
        if upper is not None and len(kept) > _HOPELESS * room:
            kept, cut = _cut(kept, upper, _HOPELESS * room)
            dropped = max(dropped, cut)
        if upper is None or _pays(labels, kept, k, problem.ranked):
            kept = _undominated(labels, kept, k, problem.ranked, clock)
        if len(kept) > room and upper is not None:
            kept, cut = _cut(kept, upper, room)
            dropped = max(dropped, cut)
        elif len(kept) > room:
            some, step = merged(labels.utility[kept], k, room)
            kept, loss = kept[some], loss + step
        labels, index = labels.take(kept), index[kept]
        labels = Labels(labels.ticks, labels.utility, _ranks(labels.rank))
        op = problem.ids[layer][index % width]
        trail.append(((index // width).astype(np.int32), op.astype(np.int16)))
    return Outcome(labels, problem.ranked, tuple(trail), dropped, loss)


def reduced(problem: Problem, k: int, clock: TimeLimit) -> Problem:
    """The problem without the operations that `k` others of their layer dominate; all stay where the time is over."""
    keep = []
    for u, c in zip(problem.utilities, problem.ticks, strict=True):
        if clock.over:
            return problem
        labels = Labels(c, u, np.arange(len(u)))
        keep.append(np.sort(_undominated(labels, np.arange(len(u)), k, problem.ranked)))
    return problem.only(keep)


def _undominated(labels: Labels, kept: Ints, k: int, ranked: int, clock: TimeLimit | None = None) -> Ints:
    """Those of `kept` that fewer than `k` others dominate, sorted by cost."""
    kept = kept[labels.take(kept).order(ranked)]
    return kept[undominated(labels.ticks[kept], labels.utility[kept], k, ranked, clock)]


def _pays(labels: Labels, kept: Ints, k: int, ranked: int) -> bool:
    """Whether looking for dominance would drop a fair share of `kept`, by a sample; few are left to the bounds."""
    if len(kept) < _MANY:
        return False
    some = kept[np.arange(_SAMPLE) * len(kept) // _SAMPLE]
    return float((_dominators(labels, kept, some, ranked).sum(axis=0) >= k).mean()) >= _WORTH


def _dominators(labels: Labels, a: Ints, b: Ints, ranked: int) -> NDArray[np.bool_]:
    """Which of the labels `a` dominate which of the labels `b`, (len(a), len(b))."""
    above, below = labels.utility[a, None], labels.utility[b]
    beats, better = above >= below, above > below
    for m, column in enumerate(labels.ticks.T):
        beats &= column[a, None] <= column[b]
        if m < ranked:
            better |= column[a, None] < column[b]
    return beats & (better | (labels.rank[a, None] < labels.rank[b]))


def _certain(problem: Problem) -> Ints:
    """Ticks up to which a side condition holds whatever the layers to come choose; 0 for the ranked costs."""
    most = [np.zeros_like(problem.limits), *(c.max(axis=0) for c in reversed(problem.ticks))]
    certain: Ints = np.maximum(problem.limits - np.cumsum(most, axis=0)[::-1], 0)
    certain[:, : problem.ranked] = 0
    return certain


def _extend(problem: Problem, layer: int, labels: Labels, certain: Ints) -> tuple[Labels, Ints, int]:
    """All extensions within the limits, the index parent * width + operation of each, and the width."""
    c, u = problem.ticks[layer], problem.utilities[layer]
    width = len(u)
    ticks = (labels.ticks[:, None, :] + c[None]).reshape(len(labels.rank) * width, c.shape[1])
    index = np.flatnonzero((ticks <= problem.limits).all(axis=1))
    utility = (labels.utility[:, None] + u).reshape(-1)[index]
    rank = (labels.rank[:, None] * width + np.arange(width)).reshape(-1)[index]
    ticks = ticks[index] if problem.ranked == len(certain) else np.maximum(ticks[index], certain)
    return Labels(ticks, utility, rank), index, width


def _ranks(keys: Ints) -> Ints:
    ranks = np.empty(len(keys), dtype=np.int64)
    ranks[np.argsort(keys)] = np.arange(len(keys))
    return ranks


def _cut(kept: Ints, upper: Floats, count: int) -> tuple[Ints, float]:
    """Keep the `count` labels of the highest bound, in order; and the best bound among the others."""
    split = np.argpartition(-upper[kept], count)
    return kept[np.sort(split[:count])], float(upper[kept[split[count:]]].max())
