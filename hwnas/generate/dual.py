"""The Lagrangian dual of a multiple-choice knapsack: which price per tick of every cost gives the least upper bound.

For prices y >= 0 the dual is d(y) = y.b + sum over layers of max_k (u_k - y.c_k), convex and piecewise linear; its
least value is the bound of the linear relaxation. The maxima are smoothed to t log sum exp(. / t) and y >= 0 is kept
by a barrier of the same t; Newton steps follow the minimum while t falls (Nesterov, "Smooth minimization of
non-smooth functions", Mathematical Programming 103(1), 2005). Every y on the way is a valid price vector.

Glossary
    L, K, M  layers, most operations of a layer, costs
    y        prices, utility per tick, (M,), in the units of this file: per layer's span of utility and of ticks
    V        utilities below the layer's best, in spans, (L, K), -inf where a layer has no such operation
    A        ticks in spans, (L, K, M)
    b        limits in spans, (M,)
    t        temperature

Complexity: about 40 evaluations of O(L K M^2), whatever the numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwnas.generate.problem import Floats, Problem
from hwnas.generate.time_limit import TimeLimit

_TEMPERATURES = np.geomspace(1.0, 2e-5, 8)
_NEWTON_STEPS = 4
_DEAREST = 1e4  # dearer prices would make bounds inexact, and mean that the limits can hardly be met together


@dataclass(frozen=True)
class Dual:
    """The dual of one problem, scaled; see the glossary of this file."""

    values: Floats
    amounts: Floats
    limits: Floats
    unit: Floats

    @classmethod
    def of(cls, problem: Problem) -> Dual:
        """Scale a problem so that useful prices are of order 1."""
        depth, width, m = len(problem.utilities), max(map(len, problem.utilities)), len(problem.limits)
        values, amounts = np.full((depth, width), -np.inf), np.zeros((depth, width, m))
        for layer, (u, c) in enumerate(zip(problem.utilities, problem.ticks, strict=True)):
            values[layer, : len(u)], amounts[layer, : len(u)] = u - u.max(), c
        gain = -float(np.where(np.isinf(values), 0.0, values).min(axis=1).mean()) or 1.0
        span = amounts.max(axis=1).mean(axis=0)
        span[span == 0] = 1.0
        return cls(values / gain, amounts / span, problem.limits / span, gain / span)

    def prices(self, clock: TimeLimit) -> Floats:
        """The best prices found in time, in utility per tick, (M,)."""
        path = [np.zeros_like(self.limits), *self._path(clock)]
        return path[int(np.argmin([self._at(y) for y in path]))] * self.unit

    def _at(self, y: Floats) -> float:
        return float((self.values - self.amounts @ y).max(axis=1).sum() + y @ self.limits)

    def _path(self, clock: TimeLimit) -> list[Floats]:
        y, path = np.ones_like(self.limits), list[Floats]()
        if len(y) == 0:
            return path
        for t in _TEMPERATURES:
            y = self._settle(y, float(t))
            path.append(np.minimum(y, _DEAREST))
            if y.max() > _DEAREST or clock.over:
                break
        return path

    def _settle(self, y: Floats, t: float) -> Floats:
        """Newton steps towards the minimum of the smoothed dual at one temperature."""
        value, share = self._smooth(y, t)
        for _ in range(_NEWTON_STEPS):
            slope, step = self._newton(y, t, share)
            descent = -float(slope @ step)
            if not descent > 1e-3 * t:
                break
            length = min(1.0, 0.9 / max(float((-step / y).max()), 1e-12))
            for _ in range(5):
                after, its_share = self._smooth(y + length * step, t)
                if after <= value - 1e-4 * length * descent:
                    break
                length /= 4
            else:
                break
            y, value, share = y + length * step, after, its_share
        return y

    def _smooth(self, y: Floats, t: float) -> tuple[float, Floats]:
        """The smoothed dual with its barrier, and the share of every operation in its layer, (L, K)."""
        z = (self.values - self.amounts @ y) / t
        top = z.max(axis=1, keepdims=True)
        weight = np.exp(z - top)
        total = weight.sum(axis=1, keepdims=True)
        value = t * float((top + np.log(total)).sum() - np.log(y).sum()) + float(y @ self.limits)
        return value, weight / total

    def _newton(self, y: Floats, t: float, share: Floats) -> tuple[Floats, Floats]:
        """Slope of the smoothed dual, and the Newton step."""
        m = len(y)
        weighted = self.amounts * share[:, :, None]
        mean = weighted.sum(axis=1)
        slope = self.limits - mean.sum(axis=0) - t / y
        curve = weighted.reshape(-1, m).T @ self.amounts.reshape(-1, m) - mean.T @ mean
        curve = curve / t + np.diag(t / y**2)
        curve[np.diag_indices(m)] *= 1 + 1e-10
        return slope, -np.linalg.solve(curve, slope)
