"""The regressors of an adapted estimate: the parts of an estimated latency, whose factors `adapt` learns.

    launch                          all kernels' fixed costs                                expected factor 1
    running, per kind of work       all kernels' arithmetic or memory time                  1
    constant                        what every call costs                                   0
    launch, per kind                how a kind's fixed cost departs from the others'        0
    identity                        an addition that stands alone                           0
    fused                           what a convolution pays for adding up in its kernel     0
    third                           what a third term of a sum costs more than a second     0

All are in ms of the roofline, so that a factor of 1 is the estimate itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas.latency.estimate.model import Run
from hwnas.latency.estimate.roofline import Roofline
from hwnas.latency.estimate.work import KINDS, Work, addition, works
from hwnas.space import Op

Floats = NDArray[np.float64]
_N = len(KINDS)
_RUNNING, _CONSTANT, _KIND, _IDENTITY = 1, 1 + _N, 2 + _N, 2 + 2 * _N
_FUSED, _THIRD, COUNT = _IDENTITY + 1, _IDENTITY + 2, _IDENTITY + 3
_CONSTANT_SHARE = 0.2  # of the median measured network: one standard deviation of what a call costs


@dataclass(frozen=True)
class Regressors:
    """Splits ops and runs into parts, shape (COUNT,), ms.

    Args:
        roofline: what the parts are made of.
        constant_ms: a typical measured latency.
    """

    roofline: Roofline
    constant_ms: float

    @property
    def expected(self) -> Floats:
        """What the factors are before anything was measured."""
        return np.array([1.0] * (1 + _N) + [0.0] * (COUNT - 1 - _N))

    def of_op(self, op: Op) -> Floats:
        """Parts of an op as the first term of its node; an identity is an addition."""
        parts = sum((self._split(work) for work in works(op)), np.zeros(COUNT))
        if op.passes:
            parts[_IDENTITY] = self._cost(addition(op))
        return parts

    def of_term(self, op: Op, term: int) -> Floats:
        """Parts of what an op costs more than as the first term."""
        parts = np.zeros(COUNT)
        if not term:
            return parts
        added = addition(op)
        if op.sums_apart:
            parts += self._split(added)
        if op.sums_apart or op.passes:
            parts[_THIRD] = self._cost(added) * (term > 1)
        else:
            parts[_FUSED] = self._cost(added)
        return parts

    def of_run(self, run: Run) -> Floats:
        """Parts of a network."""
        total = np.zeros(COUNT)
        total[_CONSTANT] = _CONSTANT_SHARE * self.constant_ms
        for op, term in run:
            total += self.of_op(op) + self.of_term(op, term)
        return total

    def constant(self, factors: Floats) -> float:
        """What every call costs, ms."""
        return float(factors[_CONSTANT]) * _CONSTANT_SHARE * self.constant_ms

    def terms(self, op: Op, factors: Floats) -> tuple[float, float]:
        """What an op costs more as the second and as a later term, ms; never negative."""
        second, later = (max(0.0, float(self.of_term(op, term) @ factors)) for term in (1, 2))
        return second, max(second, later)

    def _split(self, work: Work) -> Floats:
        parts, kind = np.zeros(COUNT), KINDS.index(work.kind)
        parts[0] = parts[_KIND + kind] = self.roofline.launch_ms
        parts[_RUNNING + kind] = self.roofline.running_ms(work)
        return parts

    def _cost(self, work: Work) -> float:
        return self.roofline.launch_ms + self.roofline.running_ms(work)
