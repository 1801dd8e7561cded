"""Upper bounds on what a partial choice can still reach, from Lagrange multipliers.

For any multipliers y >= 0, a label with ticks c and utility u after layer l cannot end above
    u + y.(b - c) + sum over the layers after l of max_k (u_k - y.c_k),
the linear-programming bound of the multiple-choice knapsack when y is optimal (Sinha & Zoltners,
Operations Research 27(3), 1979). Forcing an operation that is not the best at y costs its loss, so
an operation whose loss exceeds bound - known utility is in no better choice and leaves (the core).

Glossary
    y       multipliers, utility per tick, (R, M): R vectors, the least bound of them counts
    b, c    ticks, see hwnas.generate.problem
    gains   u_k - y.c_k per layer, (K_l, R)
    tail    y.b + sum over the layers from l on of max_k(u_k - y.c_k), (L + 1, R)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwnas.generate.dual import Dual
from hwnas.generate.problem import Floats, Ints, Problem
from hwnas.generate.time_limit import TimeLimit

_FAMILY = 20
_SPREAD = 0.35
_BLOCK = 1 << 12


class Bounds:
    """Upper bounds for the labels of one problem, every layer of it."""

    def __init__(self, problem: Problem, clock: TimeLimit | None = None) -> None:
        self.multipliers = _family(Dual.of(problem), clock or TimeLimit())
        self._room = self.multipliers @ problem.limits
        layers = zip(problem.utilities, problem.ticks, strict=True)
        self._gains = [u[:, None] - c @ self.multipliers.T for u, c in layers]
        self.tail = _tail(self._gains, self._room)

    def upper(self, layer: int, ticks: Ints, utilities: Floats, floor: float = -np.inf) -> Floats:
        """Bound on the final utility of labels, (n,), that have chosen for the first `layer` layers.

        Labels that the best multipliers alone bring below `floor` get no better bound than that.
        """
        amounts, tail = ticks.astype(np.float64).T, self.tail[layer]
        bound: Floats = utilities + (tail[0] - self.multipliers[0] @ amounts)
        alive = np.flatnonzero(bound >= floor)
        if len(tail) > 1 and len(alive):
            for part in np.array_split(alive, len(alive) // _BLOCK + 1):
                others = (tail[1:, None] - self.multipliers[1:] @ amounts[:, part]).min(axis=0) + utilities[part]
                bound[part] = np.minimum(bound[part], others)
        return bound

    @property
    def root(self) -> float:
        """Bound on the utility of any choice within the budgets."""
        return float(self.tail[0].min())

    def core(self, problem: Problem, floor: float) -> tuple[Problem, Bounds] | None:
        """The operations that a choice of utility `floor` can hold, with their tighter bounds; None: no choice can."""
        keep, gains, tail = [np.ones(len(u), dtype=bool) for u in problem.utilities], self._gains, self.tail
        while True:
            losses = [rows - rows.max(axis=0) for rows in gains]
            fits = [(tail[0] + loss).min(axis=1) >= floor for loss in losses]
            if not all(some.any() for some in fits):
                return None
            if all(some.all() for some in fits):
                return problem.only(keep), self._with(gains, tail)
            for mask, some in zip(keep, fits, strict=True):
                mask[mask] = some
            gains = [rows[some] for rows, some in zip(gains, fits, strict=True)]
            tail = _tail(gains, self._room)

    def _with(self, gains: Sequence[Floats], tail: Floats) -> Bounds:
        other = object.__new__(Bounds)
        other.multipliers, other._room, other._gains, other.tail = self.multipliers, self._room, list(gains), tail
        return other


def _tail(gains: Sequence[Floats], room: Floats) -> Floats:
    best = [np.zeros_like(room), *(rows.max(axis=0) for rows in reversed(gains))]
    tail: Floats = np.cumsum(best, axis=0)[::-1] + room
    return tail


def _family(dual: Dual, clock: TimeLimit) -> Floats:
    """The optimal multipliers first, 0, and ones around: a label's own best differs from the whole problem's."""
    y = dual.prices(clock)
    if len(y) == 1:
        around = y * np.geomspace(0.25, 4.0, _FAMILY)[:, None]
    else:
        spread = np.random.default_rng(0).normal(scale=_SPREAD, size=(_FAMILY, len(y)))
        around = (y + 0.03 * dual.unit * (y > 0)) * np.exp(spread)
    return np.vstack([y, np.zeros_like(y), around])
