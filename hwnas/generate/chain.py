"""DPNG on a chain with one summed cost: every budget at once, or one budget fast.

All budgets: the Pareto labels of every layer, merged from sorted lists (`kernels.merge_layers`).

One budget: the linear relaxation gives a multiplier and an upper bound. Every operation that is not the best at that
multiplier loses some slack, and the losses of a choice add up. A choice that loses more than bound - optimum cannot
be optimal; so only labels within a guess gamma of that gap are made. If what they hold is within gamma of the bound
it is proven optimal, else gamma grows. This is the core idea for knapsacks (D. Pisinger, "A minimal algorithm for the
multiple-choice knapsack problem", European J. of Operational Research 83(2), 1995) with the label pruning by
relaxations of M. Dyer, W. Riha and J. Walker (J. of Computational and Applied Mathematics 58, 1995).

Glossary: see `hwnas.generate.kernels`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.generate import kernels
from hwnas.generate.compiled import kernels_for
from hwnas.generate.kernels import COMPLETE, EMPTY
from hwnas.generate.problem import Floats, Ints, Problem, offsets
from hwnas.generate.time_limit import TimeLimit

_FACTORS = np.array([1.0, 0.0, 0.8, 1.25, 0.93, 1.07, 0.5, 2.0])  # of the multiplier: a label's own best differs
_FIRST_GUESS, _GROWTH = 1 / 32, 4.0
_INTERPRETED, _COMPILED = 2e5, 2e7  # extensions of labels per second, at least
_NONE = np.zeros(0)


@dataclass(frozen=True)
class Chain:
    """A problem of one cost, its items flat and undominated."""

    cost: Ints
    util: Floats
    ids: Ints
    off: Ints
    kernels: Any

    @classmethod
    def of(cls, problem: Problem) -> Chain:
        """The chain of a problem with one summed cost."""
        off = offsets([len(u) for u in problem.utilities])
        cost = np.concatenate(problem.ticks)[:, 0].copy()
        util, ids = np.concatenate(problem.utilities), np.concatenate(problem.ids)
        kernels = kernels_for(len(off) - 1, len(cost))
        kept, begin = kernels.undominated_items(cost, util, off)
        return cls(cost[kept], util[kept], ids[kept], begin, kernels)

    def merge(
        self, limit: int, max_labels: int, lam: Floats = _NONE, gains: Floats | None = None,
        gamma: float = 0.0, floor: float = 0.0, tolerance: float = 0.0,
    ) -> Merged:
        """Labels of every layer; see `kernels.merge_layers`."""
        chain = self if gains is None else self._within(gamma + tolerance, lam[0], gains)
        gains = np.zeros((len(self.off), 0)) if gains is None else gains
        found = self.kernels.merge_layers(
            chain.cost, chain.util, chain.ids, chain.off, limit, max_labels, lam, gains, gamma, floor, tolerance
        )
        return Merged(chain, *found)

    def _within(self, slack: float, multiplier: float, gains: Floats) -> Chain:
        """The items that lose at most `slack`."""
        best = np.repeat(np.diff(gains[:, 0]), np.diff(self.off))
        keep = best - (self.util - multiplier * self.cost) <= slack
        off = np.concatenate([[0], np.cumsum(keep)])[self.off].astype(np.int64)
        return Chain(self.cost[keep], self.util[keep], self.ids[keep], off, self.kernels)


@dataclass(frozen=True)
class Merged:
    """What `kernels.merge_layers` gave for a chain."""

    chain: Chain
    status: int
    costs: Ints
    utilities: Floats
    parents: NDArray[np.int32]
    items: NDArray[np.int32]
    starts: Ints

    @property
    def last(self) -> slice:
        """The labels of the last layer."""
        return slice(int(self.starts[-2]), int(self.starts[-1]))

    def choices(self, labels: Ints) -> NDArray[np.int16]:
        """Operation per layer behind some labels of the last layer, (len(labels), L)."""
        layers = len(self.chain.off) - 1
        if self.chain.kernels is not kernels:
            found: NDArray[np.int16] = self.chain.kernels.walk_back(
                self.parents, self.items, self.chain.ids, labels, layers
            )
            return found
        places = np.empty((layers, len(labels)), dtype=np.int32)
        at: NDArray[np.integer[Any]] = labels
        for layer in range(len(places) - 1, -1, -1):
            self.items.take(at, out=places[layer])
            at = self.parents.take(at)
        return self.chain.ids.astype(np.int16)[places.T]


def affordable(problem: Problem, max_labels: int, clock: TimeLimit) -> int:
    """Labels per layer that the kernels can make in the time left, `max_labels` or fewer; 0 for none."""
    left = clock.left
    if left is None:
        return max_labels
    rate = _INTERPRETED if kernels_for(len(problem.ids), sum(map(len, problem.ids))) is kernels else _COMPILED
    return min(max_labels, int(left * rate / sum(map(len, problem.ids))))


def all_points(problem: Problem, max_labels: int) -> tuple[Ints, Floats, NDArray[np.int16]] | None:
    """The front of a problem with one cost; None if a layer has more labels than allowed.

    Returns:
        Ticks (n,), utilities (n,) and choices (n, L), cheapest first.
    """
    merged = Chain.of(problem).merge(int(problem.limits[0]), max_labels)
    if merged.status != COMPLETE:
        return None
    last = merged.last
    return merged.costs[last], merged.utilities[last], merged.choices(np.arange(last.start, last.stop))


def best(problem: Problem, max_labels: int) -> tuple[float, tuple[int, ...]] | None:
    """The best choice within the limit of a problem with one cost; None if a layer has more labels than allowed.

    Ties go to the lower cost, then to the lexicographically smaller choice.
    """
    chain, limit, tolerance = Chain.of(problem), int(problem.limits[0]), problem.tolerance
    hull, begin = chain.kernels.hull_items(chain.cost, chain.util, chain.off)
    multiplier, bound, floor = chain.kernels.relaxation(chain.cost, chain.util, hull, begin, limit)
    lam = multiplier * (_FACTORS if multiplier > 0 else _FACTORS[:1])
    gains = chain.kernels.gains_at(chain.cost, chain.util, chain.off, lam)
    gamma = (bound - floor) * _FIRST_GUESS
    while True:
        merged = chain.merge(limit, max_labels, lam, gains, gamma, max(floor, bound - gamma), tolerance)
        if merged.status == COMPLETE:
            top = merged.last.stop - 1
            if bound - merged.utilities[top] <= gamma + tolerance or gamma >= bound - floor:
                return float(merged.utilities[top]), tuple(merged.choices(np.array([top]))[0].tolist())
            floor = max(floor, float(merged.utilities[top]))
        elif merged.status != EMPTY:
            return None
        gamma = min(_GROWTH * gamma, bound - floor)
