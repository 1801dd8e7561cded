"""The regressors of an adapted estimate: the parts of an estimated latency, whose factors `adapt` learns.

    launch                          all kernels' fixed costs                                expected factor 1
    running, per kind of work       all kernels' arithmetic or memory time                  1
    constant                        what every call costs                                   0
    launch, per kind                how a kind's fixed cost departs from the others'        0
    identity                        an addition that stands alone                           0
    fused                           what a convolution pays for adding up in its kernel     0
    third                           what a third term of a sum costs more than a second     0
    line                            FLOPs                                                   0

All but two are in ms of the roofline, so that a factor of 1 is the estimate itself. The constant and the line are in
measured ms: what they amount to does not depend on how far off the roofline is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas.latency.estimate.roofline import Roofline
from hwnas.latency.estimate.rules import Run
from hwnas.latency.estimate.work import KINDS, Work, addition, works, zeroing
from hwnas.space import Op

Floats = NDArray[np.float64]
_N = len(KINDS)
_RUNNING, _CONSTANT, _KIND, _IDENTITY = 1, 1 + _N, 2 + _N, 2 + 2 * _N
_FUSED, _THIRD, _LINE, COUNT = _IDENTITY + 1, _IDENTITY + 2, _IDENTITY + 3, _IDENTITY + 4
# of the median measured network, one standard deviation of what a call costs, and of what the line in FLOPs is
_CONSTANT_SHARE, _LINE_SHARE = 0.2, 0.5


@dataclass(frozen=True)
class Regressors:
    """Splits ops and runs into parts, shape (COUNT,), ms.

    Args:
        roofline: what the parts are made of.
        constant_ms: a typical measured latency.
        flops: of a typical network.
    """

    roofline: Roofline
    constant_ms: float
    flops: float = math.inf

    @classmethod
    def typical(cls, roofline: Roofline, runs: Sequence[Run], latencies_ms: Floats) -> Regressors:
        """Of some networks and their latencies, shape (n,)."""
        flops = float(np.median([sum(op.flops for op, _ in run) for run in runs]))
        return cls(roofline, float(np.median(latencies_ms)), flops or math.inf)

    @property
    def measured(self) -> NDArray[np.bool_]:
        """Which parts are in measured ms, so that a factor of 1 is one standard deviation."""
        return np.isin(np.arange(COUNT), (_CONSTANT, _LINE))

    @property
    def expected(self) -> Floats:
        """What the factors are before anything was measured."""
        return np.array([1.0] * (1 + _N) + [0.0] * (COUNT - 1 - _N))

    def of_op(self, op: Op) -> Floats:
        """Parts of an op as the first term of its node; an identity is an addition, a `none` a multiplication."""
        parts = sum((self._split(work) for work in ((zeroing(op),) if op.cuts else works(op))), np.zeros(COUNT))
        parts[_LINE] = _LINE_SHARE * self.constant_ms * op.flops / self.flops
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
        found: Floats = self.of_runs((run,))[0]
        return found

    def of_runs(self, runs: Sequence[Run]) -> Floats:
        """Parts of several networks, shape (n, COUNT)."""
        items = {item: i for i, item in enumerate(dict.fromkeys(item for run in runs for item in run))}
        parts = np.array([self.of_op(op) + self.of_term(op, term) for op, term in items]).reshape(-1, COUNT)
        counts = np.zeros((len(runs), len(items)))
        for row, run in zip(counts, runs, strict=True):
            for item in run:
                row[items[item]] += 1
        found: Floats = counts @ parts
        found[:, _CONSTANT] = _CONSTANT_SHARE * self.constant_ms
        return found

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
