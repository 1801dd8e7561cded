"""The dynamic program: Pareto labels, layer by layer, with back-pointers.

A label is a partial choice: its ticks, its utility and where it comes from. Per layer every label
is extended by every operation, what is over a budget or cannot reach a known solution is dropped,
then what k others dominate. What is left after the last layer holds the k best choices within any
budgets up to the limits, in the order: utility falling, costs rising, choice lexicographic.

Glossary
    n         labels alive
    ticks     int64 (n, M)
    utility   float64 (n,), summed layer by layer in order
    rank      int64 (n,), place of the label's choice in lexicographic order
    parent    int32 (n,), index into the previous layer's labels; op int16 (n,), the operation taken
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from hwnas.generate.bounds import Bounds
from hwnas.generate.dominance import undominated
from hwnas.generate.problem import Floats, Ints, Problem

SCOUTS = 64
Ranked: TypeAlias = list[tuple[float, tuple[int, ...]]]


@dataclass(frozen=True)
class Labels:
    """Labels after one layer; see the glossary."""

    ticks: Ints
    utility: Floats
    rank: Ints

    def take(self, index: Ints | NDArray[np.bool_]) -> Labels:
        return Labels(self.ticks[index], self.utility[index], self.rank[index])

    def order(self) -> Ints:
        """Indices sorted by (costs, utility falling, choice)."""
        return np.lexsort((self.rank, -self.utility, *self.ticks.T[::-1]))

    def best(self, count: int) -> Ints:
        """Indices of the `count` best: utility falling, then costs, then choice."""
        return np.lexsort((self.rank, *self.ticks.T[::-1], -self.utility))[:count]


@dataclass(frozen=True)
class Outcome:
    """What a run left.

    Attributes:
        labels: after the last layer, sorted by costs.
        trail: per layer (parent, operation).
        dropped: highest upper bound among labels cut for `max_labels`; -inf if none was.
        loss: how much utility the merging of labels may have cost; 0 if nothing was merged.
    """

    labels: Labels
    trail: tuple[tuple[NDArray[np.int32], NDArray[np.int16]], ...]
    dropped: float = -np.inf
    loss: float = 0.0

    def choices(self, index: Ints) -> NDArray[np.int16]:
        """The choices behind the labels `index`, (len(index), L)."""
        out = np.empty((len(index), len(self.trail)), dtype=np.int16)
        for layer in range(len(self.trail) - 1, -1, -1):
            parent, op = self.trail[layer]
            out[:, layer] = op[index]
            index = parent[index].astype(np.int64)
        return out


def run(problem: Problem, k: int, max_labels: int, bounds: Bounds | None = None, floor: float = -np.inf) -> Outcome:
    """Run the dynamic program for the `k` best.

    Args:
        max_labels: most labels kept after a layer. Beyond it, with `bounds` the labels of the
            lowest bound are cut (see `Outcome.dropped`); without, labels of nearly equal utility
            are merged into the cheapest (see `Outcome.loss`).
        floor: with `bounds`, labels that cannot reach this utility are dropped.
    """
    problem = _reduced(problem, k)
    labels = Labels(np.zeros((1, len(problem.limits)), np.int64), np.zeros(1), np.zeros(1, np.int64))
    trail, dropped, loss = [], -np.inf, 0.0
    for layer in range(len(problem.utilities)):
        labels, index, width = _extend(problem, layer, labels)
        upper = None if bounds is None else bounds.upper(layer + 1, labels.ticks, labels.utility)
        kept = np.arange(len(index)) if upper is None else np.flatnonzero(upper >= floor)
        kept = kept[labels.take(kept).order()]
        kept = kept[undominated(labels.ticks[kept], labels.utility[kept], k)]
        if len(kept) > max_labels and upper is not None:
            kept, cut = _cut(kept, upper, max_labels)
            dropped = max(dropped, cut)
        elif len(kept) > max_labels:
            merged, step = _merge(labels.utility[kept], k, max_labels)
            kept, loss = kept[merged], loss + step
        labels, index = labels.take(kept), index[kept]
        labels = Labels(labels.ticks, labels.utility, _ranks(labels.rank))
        op = problem.ids[layer][index % width]
        trail.append(((index // width).astype(np.int32), op.astype(np.int16)))
    return Outcome(labels, tuple(trail), dropped, loss)


def _reduced(problem: Problem, k: int) -> Problem:
    """The problem without the operations that `k` others of their layer dominate."""
    keep = []
    for u, c in zip(problem.utilities, problem.ticks, strict=True):
        order = Labels(c, u, np.arange(len(u))).order()
        keep.append(np.sort(order[undominated(c[order], u[order], k)]))
    return replace(
        problem,
        ids=tuple(ids[index] for ids, index in zip(problem.ids, keep, strict=True)),
        utilities=tuple(u[index] for u, index in zip(problem.utilities, keep, strict=True)),
        ticks=tuple(c[index] for c, index in zip(problem.ticks, keep, strict=True)),
    )


def _extend(problem: Problem, layer: int, labels: Labels) -> tuple[Labels, Ints, int]:
    """All extensions within the limits, the index parent * width + operation of each, and the width."""
    c, u = problem.ticks[layer], problem.utilities[layer]
    width = len(u)
    ticks = (labels.ticks[:, None, :] + c[None]).reshape(len(labels.rank) * width, c.shape[1])
    index = np.flatnonzero((ticks <= problem.limits).all(axis=1))
    utility = (labels.utility[:, None] + u).reshape(-1)[index]
    rank = (labels.rank[:, None] * width + np.arange(width)).reshape(-1)[index]
    return Labels(ticks[index], utility, rank), index, width


def _ranks(keys: Ints) -> Ints:
    ranks = np.empty(len(keys), dtype=np.int64)
    ranks[np.argsort(keys)] = np.arange(len(keys))
    return ranks


def _cut(kept: Ints, upper: Floats, count: int) -> tuple[Ints, float]:
    """Keep the `count` labels of the highest bound, in order; and the best bound among the others."""
    split = np.argpartition(-upper[kept], count)
    return kept[np.sort(split[:count])], float(upper[kept[split[count:]]].max())


def _merge(utility: Floats, k: int, count: int) -> tuple[Ints, float]:
    """Keep the `k` cheapest labels of each bucket of utility; and the width of a bucket.

    Labels come sorted by cost, so the first of a bucket is its cheapest; a dropped label loses at
    most one bucket's width against it (Ibarra & Kim's scheme, J. ACM 22(4), 1975).
    """
    buckets = max(count // k, 1)
    width = float(np.ptp(utility)) / buckets * (1 + 1e-9)
    if width == 0.0:
        return np.arange(min(k, len(utility))), 0.0
    bucket = np.minimum((utility - utility.min()) // width, buckets - 1).astype(np.int64)
    order = np.argsort(bucket, kind="stable")
    starts = np.searchsorted(bucket[order], np.arange(buckets))
    place = np.arange(len(order)) - starts[bucket[order]]
    return np.sort(order[place < k]), width


def search(problem: Problem, k: int, max_labels: int) -> tuple[Ranked, float]:
    """The `k` best choices, and how far the best utility can be from the true one (0: all exact).

    Runs that keep few labels find good choices first; a label that cannot reach the worst of the
    `k` known ones is dropped from then on. The first run that had nothing to cut is exact. The gap
    is infinite when `max_labels` left no choice at all, and so nothing is known.
    """
    bounds, tolerance = Bounds(problem), problem.tolerance
    known: Ranked = []
    width = min(max(SCOUTS, 2 * k), max_labels)
    while True:
        floor = known[-1][0] - tolerance if len(known) == k else -np.inf
        outcome = run(problem, k, width, bounds, floor)
        found = _ranked(outcome, k)
        if np.isneginf(outcome.dropped) or (len(found) == k and outcome.dropped < found[-1][0] - tolerance):
            return found, 0.0
        best = {choice: utility for utility, choice in [*found, *known]}
        known = sorted(((utility, choice) for choice, utility in best.items()), key=lambda pair: -pair[0])[:k]
        if width == max_labels:
            gap = max(min(outcome.dropped, bounds.root) - known[0][0], 0.0) + tolerance if known else np.inf
            return known, gap
        width = min(8 * width, max_labels)


def _ranked(outcome: Outcome, k: int) -> Ranked:
    index = outcome.labels.best(k)
    choices = map(tuple, outcome.choices(index).tolist())
    return list(zip(outcome.labels.utility[index].tolist(), choices, strict=True))
