"""How much must be added to a predicted latency so that a network stays below the sum with a given probability.

What a network measures differs from its prediction for two reasons: what all networks of a space share (calibration,
what does not add up, the state of the machine), and what each op's entry is off by. The first is relative to the
latency, the second independent from op to op:

    upper = p + sqrt(k^2 p^2 + z^2 V)

`hwnas.generate.solve_uncertain` keeps that within a budget as it stands. Whatever wants a sum over ops (a front, the
next best) gets one of two sums that are never less, both tight where one of the two terms is small, which it is for
every table that has settled:

    k p + z^2 V / (2 k p0)                          since sqrt(x^2 + y) <= x + y / 2x, and k p >= k p0
    k p + z sqrt(V1) / 2 + z V / (2 sqrt(V1))       since sqrt(x^2 + y) <= x + sqrt(y), and sqrt is concave

The one that is smaller for the mean network of the space is taken. At worst an upper bound exceeds `upper` by the last
one's excess over the first term, z sqrt(V1) for the mean network.

Glossary
    p     predicted latency of a network, ms, and V the variance that its entries add, ms^2: sums over its ops
    p0    the least p of the space; p1, V1 the mean over all its networks
    s     scale of log(measured / predicted), see `hwnas.latency.intervals`; its square is common + mean(V / p^2)
    z     quantile of the confidence, k = exp(z * common scale) - 1
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import TableError
from hwnas.latency.intervals import Spread

MOST_COST_MS = 1e9  # in whole nanoseconds, thousands of them add up within 64 bits
_MOST_MARGIN = 50.0  # a factor of 1e21, which no cost survives
_LEAST_COMMON = 0.5  # of s: the standard errors of entries are themselves estimates


@dataclass(frozen=True)
class UncertainCosts:
    """Of every op of every choice: its latency in ns and the variance that its entry adds, ns^2.

    Args:
        fixed: the same of what every network has.
        relative: k.
        z: quantile of the confidence.
    """

    means: list[NDArray[np.float64]]
    variances: list[NDArray[np.float64]]
    fixed: tuple[float, float]
    relative: float
    z: float


@dataclass(frozen=True)
class Margin:
    """The parts of the margin for one space.

    Args:
        common: s without what the entries' errors explain of it.
        least_ms: p0.
        variance: V1, ms^2.
        by_least: which of the two bounds is taken.
    """

    common: Spread
    least_ms: float
    variance: float
    by_least: bool

    @classmethod
    def of(cls, spread: Spread, least_ms: float, mean_ms: float, mean_variance: float) -> Margin:
        """Split a spread into its common part and the entries', which are p1 and V1 for a network."""
        own = mean_variance / mean_ms**2 if mean_ms > 0 else 0.0
        scale = math.sqrt(max(spread.log_sd**2 - own, (_LEAST_COMMON * spread.log_sd) ** 2))
        least = max(least_ms, 1e-6)
        by_least = mean_variance / (2 * scale * least) <= math.sqrt(mean_variance) if scale > 0 else False
        return cls(replace(spread, log_sd=scale), least, mean_variance, by_least)

    def upper_ms(self, latency_ms: float, variance: float, confidence: float) -> float:
        """p + sqrt(k^2 p^2 + z^2 V)."""
        k, z = self._factors(confidence)
        return latency_ms + math.hypot(k * latency_ms, z * math.sqrt(variance))

    def uncertain_costs(
        self, fixed: tuple[float, float], rows: Sequence[Sequence[tuple[float, float]]], confidence: float
    ) -> UncertainCosts:
        """Means and variances, with what counts of them; arguments as of `costs_ns`."""
        k, z = self._factors(confidence)
        pairs = [np.array(row, dtype=np.float64).reshape(-1, 2) * (1e6, 1e12) for row in rows]
        return UncertainCosts([row[:, 0] for row in pairs], [row[:, 1] for row in pairs],
                              (fixed[0] * 1e6, fixed[1] * 1e12), k, z)

    def costs_ns(
        self, fixed: tuple[float, float], rows: Sequence[Sequence[tuple[float, float]]], confidence: float
    ) -> tuple[int, list[NDArray[np.int64]]]:
        """Whole nanoseconds, rounded up, of which every sum is at least `upper_ms` of the sums.

        Args:
            fixed: (ms, variance in ms^2) of what every network has.
            rows: the same of every op of every choice.
        """
        k, z = self._factors(confidence)
        per_variance, once = self._bound(k, z)
        costs = [
            np.array([whole_ns((1 + k) * cost + per_variance * variance) for cost, variance in row], dtype=np.int64)
            for row in rows
        ]
        return whole_ns((1 + k) * fixed[0] + per_variance * fixed[1] + once), costs

    def _bound(self, k: float, z: float) -> tuple[float, float]:
        """(ms per ms^2 of variance, ms once) of the bound that is taken."""
        if not z or not self.variance:
            return 0.0, 0.0
        if self.by_least:
            return z**2 / (2 * k * self.least_ms), 0.0
        root = math.sqrt(self.variance)
        return z / (2 * root), z * root / 2

    def _factors(self, confidence: float) -> tuple[float, float]:
        """(k, z); z is the quantile of the spread's own distribution."""
        margin = min(self.common.quantile(confidence), _MOST_MARGIN)
        return math.expm1(margin), margin / self.common.log_sd if self.common.log_sd > 0 else 0.0


def whole_ns(cost_ms: float) -> int:
    """Milliseconds in whole nanoseconds, rounded up.

    Raises:
        TableError: more than anything costs.
    """
    # the subtraction forgives the last bit of a float: 0.3 ms is 300000 ns, not 300001
    if not abs(cost_ms) <= MOST_COST_MS:
        raise TableError(f"an op or a network would cost {cost_ms:.3g} ms, beyond {MOST_COST_MS:g}: the table or its "
                         "calibration is wrong, or the confidence too close to 1; measure again or lower it")
    return math.ceil(cost_ms * 1e6 - 1e-6)
