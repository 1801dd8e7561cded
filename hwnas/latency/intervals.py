"""How far networks measure from their predictions: a scale, what it is worth, and intervals from it.

Residuals of predictions are close to normal (excess kurtosis -0.3 to 0.5 on four of five sets of 50 to 120 networks,
2.4 on one) and depend little on the size of the network (rank correlation -0.15 to 0.28), so one scale and Student's t
say more than an order statistic of a handful of them: with 20 residuals the split-conformal quantile is the largest but
one, and its intervals hold anything from 80 to 99 % of further networks. From 50 residuals the intervals hold 85 to
95 % for nine tables in ten; from 10, for every second one.

Glossary
    r    log(measured / predicted) of networks that the prediction had not seen, shape (n,)
    s    their scale: s^2 = (v0 s0^2 + sum r^2) / (v0 + n) + l^2, around 0, since a bias is an error too
    l    what loading the same network anew changes: another process, other addresses, another minute
    v    degrees of freedom of s: v0 + n
    s0   what is believed before anything was measured, and v0 what that belief is worth
    z    quantile of the normal distribution, t of Student's with v degrees of freedom
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import UsageError

UNKNOWN_SPREAD = math.log(1.25)  # plain sums were seen to be off by up to a quarter
COVERAGE = 0.9  # of the intervals that are kept
PRIOR_SD, _PRIOR_FREEDOM = 0.015, 1.0
LOAD_SD = 0.008  # between processes, beyond what is seen within one: 0.4 to 1.3 % (benchmarks/latency.md)


@dataclass(frozen=True)
class Spread:
    """A scale of log(measured / predicted).

    Args:
        log_sd: s.
        freedom: v; `math.inf` for a scale that is known.
    """

    log_sd: float
    freedom: float

    @classmethod
    def of_half_width(cls, half_width: float) -> Spread:
        """The normal spread whose 90 % interval has this half width."""
        return cls(half_width / NormalDist().inv_cdf(0.5 + COVERAGE / 2), math.inf)

    def half_width(self, coverage: float = COVERAGE) -> float:
        """h so that |r| <= h for this share of further networks."""
        return self.quantile(0.5 + coverage / 2)

    def quantile(self, confidence: float) -> float:
        """h so that r <= h with this probability.

        Raises:
            UsageError: the probability is not in [0.5, 1).
        """
        if not 0.5 <= confidence < 1:
            raise UsageError(f"a confidence must be at least 0.5 and less than 1; got {confidence}")
        return self.log_sd * student_t(confidence, self.freedom)


def spread(residuals: NDArray[np.float64]) -> Spread:
    """The scale of residuals of networks that a prediction had not seen, pulled towards 1.5 % by what one is worth.

    They were timed in one process with the table, what is predicted runs in another: l is added. With none of them it
    is what plain sums were seen to be off by.

    Args:
        residuals: r.
    """
    n = len(residuals)
    if not n:
        return Spread.of_half_width(UNKNOWN_SPREAD)
    freedom = _PRIOR_FREEDOM + n
    square = (_PRIOR_FREEDOM * PRIOR_SD**2 + float((residuals**2).sum())) / freedom
    return Spread(math.sqrt(square + LOAD_SD**2), freedom)


def interval(residuals: NDArray[np.float64]) -> float:
    """Half width h so that |r| <= h for 90 % of further networks; see `spread`."""
    return spread(residuals).half_width()


def student_t(probability: float, freedom: float) -> float:
    """Quantile of Student's distribution, at least 0.5; within 1 % from 3 degrees of freedom and 0.95 on.

    The expansion of Abramowitz and Stegun, 26.7.5, in powers of 1/v.
    """
    z = NormalDist().inv_cdf(probability)
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return sum(term / freedom**k for k, term in enumerate(terms))
