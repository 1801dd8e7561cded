"""What networks that were timed say of the predictions for others: a factor, and an interval that is theirs.

A table times every network among dozens, whose weights come from the memory; what ships runs beside one other, from the
caches. Beside a load that streams through the memory twenty networks measured 13 to 29 % below their predictions
(benchmarks/moving_clock.md), and yet those of one run lay within 2 to 4 % of each other: what one table gets wrong of
them it gets wrong alike. So the candidates of a run, which are timed anyway, correct the prediction of one another.

Glossary
    r    log(measured / predicted) of networks of one run, shape (n,)
    c    mean of r
    s    scale of r around c, pulled towards what `hwnas.latency.intervals` believes before anything was measured
    d    by how much the same network differs from one minute to another, in logarithms: believed before, and seen once
    m    log(reference among the candidates / reference as the run fixed it): how far the machine has moved between
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwnas.latency.intervals import PRIOR_SD, Spread
from hwnas.latency.model import Prediction

FEWEST = 4  # networks: fewer say less than the table does
DRIFT_SD, DRIFT_FREEDOM = 0.015, 2.0  # d before m is known, and how many m that belief is worth


@dataclass(frozen=True)
class Correction:
    """A factor on predictions, and how well it holds for one more network.

    Args:
        factor: e^c.
        log_sd: of log(measured / (factor * predicted)) of one more network.
        networks: n.
    """

    factor: float
    log_sd: float
    networks: int

    @classmethod
    def of(cls, ratios: Sequence[float], moved: float = 0.0) -> Correction | None:
        """From measured over predicted times of other networks; None where they are too few, or one is not above 0.

        Args:
            moved: m.
        """
        n = len(ratios)
        if n < FEWEST or min(ratios) <= 0:
            return None
        logs = np.log(ratios)
        square = (PRIOR_SD**2 + float(((logs - logs.mean()) ** 2).sum())) / n
        drift = (DRIFT_FREEDOM * DRIFT_SD**2 + moved**2) / (DRIFT_FREEDOM + 1)
        return cls(math.exp(float(logs.mean())), math.sqrt(square * (1 + 1 / n) + drift), n)

    def applied(self, predicted: Prediction) -> Prediction:
        """The prediction of a network that is like these; 90 % of such networks measure within the interval."""
        middle = self.factor * predicted.latency_ms
        apart = math.exp(Spread(self.log_sd, float(self.networks)).half_width())
        return Prediction(middle, middle / apart, middle * apart, predicted.measured_share)
