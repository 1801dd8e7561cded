"""Upper bounds on what a partial choice can still reach, from Lagrange multipliers.

For any multipliers y >= 0, a label with ticks c and utility u after layer l cannot end above
    u + y.(b - c) + sum over the layers after l of max_k (u_k - y.c_k),
the linear-programming bound of the multiple-choice knapsack when y is optimal (Sinha & Zoltners,
Operations Research 27(3), 1979). The bound is only ever used to drop labels that cannot reach a
known solution; no operation is removed for being dominated in the linear relaxation.

Glossary
    y       multipliers, utility per tick, (R, M): R vectors, the least bound of them counts
    b, c    ticks, see hwnas.generate.problem
    tail    y.b + sum over the layers from l on of max_k(u_k - y.c_k), (L + 1, R)
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from hwnas.generate.problem import Floats, Ints, Problem

Oracle = Callable[[Floats], tuple[float, Floats]]


class Bounds:
    """Upper bounds for the labels of one problem, every layer of it."""

    def __init__(self, problem: Problem) -> None:
        self.multipliers = _family(_optimal(problem))
        gains = [
            (u[:, None] - c @ self.multipliers.T).max(axis=0)
            for u, c in zip(problem.utilities, problem.ticks, strict=True)
        ]
        after = np.cumsum(np.vstack([np.zeros(len(self.multipliers)), *gains[::-1]]), axis=0)[::-1]
        self.tail = after + self.multipliers @ problem.limits

    def upper(self, layer: int, ticks: Ints, utilities: Floats) -> Floats:
        """Bound on the final utility of labels, (n,), that have chosen for the first `layer` layers."""
        best = np.full(len(utilities), np.inf)
        amounts = ticks.astype(np.float64)
        for y, tail in zip(self.multipliers, self.tail[layer], strict=True):
            np.minimum(best, tail - amounts @ y, out=best)
        return best + utilities

    @property
    def root(self) -> float:
        """Bound on the utility of any choice within the budgets."""
        return float(self.tail[0].min())


def _family(y: Floats) -> Floats:
    """The optimal multipliers, 0, and scaled ones: a label's own best differs from the whole problem's."""
    factors = np.geomspace(0.25, 4.0, 17) if len(y) == 1 else np.array([0.6, 0.85, 1.0, 1.2, 1.7])
    grid = [np.array(scale) for scale in itertools.product(factors, repeat=min(len(y), 2))]
    rows = [np.zeros_like(y), y]
    for scale in grid:
        rows.extend(_scaled(y, scale))
    return np.unique(np.array(rows), axis=0)


def _scaled(y: Floats, scale: Floats) -> list[Floats]:
    if len(y) <= 2:
        return [y * scale]
    rows = []
    for m in range(len(y)):
        row = y * scale[0]
        row[m] = y[m] * scale[1]
        rows.append(row)
    return rows


def _optimal(problem: Problem) -> Floats:
    """Multipliers close to the best bound at the root, (M,), by the ellipsoid method."""
    m = len(problem.limits)
    gain = sum(float(np.ptp(u)) for u in problem.utilities)
    span = np.array([sum(int(np.ptp(c[:, j])) for c in problem.ticks) for j in range(m)], dtype=np.float64)
    if m == 0 or gain == 0.0:
        return np.zeros(m)
    span[span == 0] = 1.0
    return _ellipsoid(_dual(problem, gain, span), m) * gain / span


def _dual(problem: Problem, gain: float, span: Floats) -> Oracle:
    """The Lagrangian dual and a subgradient, scaled so that useful multipliers are of order 1."""
    width = max(len(u) for u in problem.utilities)
    depth = len(problem.utilities)
    values = np.full((depth, width), -np.inf)
    amounts = np.zeros((depth, width, len(span)))
    for layer, (u, c) in enumerate(zip(problem.utilities, problem.ticks, strict=True)):
        values[layer, : len(u)] = u / gain
        amounts[layer, : len(u)] = c / span
    limits, rows = problem.limits / span, np.arange(depth)

    def dual(y: Floats) -> tuple[float, Floats]:
        reduced = values - amounts @ y
        pick = reduced.argmax(axis=1)
        return float(reduced[rows, pick].sum() + y @ limits), limits - amounts[rows, pick].sum(axis=0)

    return dual


def _ellipsoid(dual: Oracle, m: int, reach: float = 200.0) -> Floats:
    """Minimise a convex function over y >= 0 by central cuts; bisection where m is 1."""
    centre, best = np.full(m, reach / 2), np.zeros(m)
    shape = np.eye(m) * m * (reach / 2) ** 2
    least = dual(best)[0]
    for _ in range(24 * m * (m + 1)):
        value, slope = (0.0, np.minimum(np.sign(centre), 0.0)) if centre.min() < 0 else dual(centre)
        if centre.min() >= 0 and value < least:
            least, best = value, centre.copy()
        length = float(np.sqrt(max(slope @ shape @ slope, 0.0)))
        if length < 1e-12:
            break
        step = shape @ slope / length
        centre = centre - step / (m + 1)
        shape = shape / 4 if m == 1 else m * m / (m * m - 1) * (shape - 2 / (m + 1) * np.outer(step, step))
    return best
