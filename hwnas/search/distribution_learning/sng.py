"""SNG: stochastic natural gradient with a trust region of constant length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hwnas.search.distribution import FloatArray, Rows
from hwnas.search.distribution_learning.batch_weights import piecewise_weights
from hwnas.search.distribution_learning.learner import ThetaLearner, floored, score_gradient
from hwnas.search.settings import positive, whole
from hwnas.search.simplex import NOISE, fisher_length
from hwnas.search.strategy import Choice


class Sng(ThetaLearner):
    """theta <- floor(theta + delta g / ||g||), g = sum_j w_j (e_{x_j} - theta), in the Fisher norm at theta.

    Source: Akimoto et al., Adaptive stochastic natural gradient for one-shot NAS (ICML 2019, arXiv 1905.08537), with
    constant step. w: +1 for the best quarter, -1 for the worst, over their number. Ours: samples that tie share
    their weight and a gradient of 0 makes no step; a choice of one op has no floor; for one choice, or two of two
    ops, the paper's floor is not feasible and 1/(2 K_i) replaces it.

    Args:
        delta: Fisher length of a step, over all choices together.
        lam: samples in a batch, at least 2.
    """

    name = "sng"

    def __init__(self, choices: Sequence[int], evaluations: int, seed: int = 0, *, ridge: float = 10.0,
                 delta: float = 1.0, lam: int = 2) -> None:
        super().__init__(choices, evaluations, seed, ridge=ridge)
        self._delta, self.lam = positive("delta", delta), whole("lam", lam, 2)

    def _options(self) -> dict[str, Any]:
        return {"delta": self._delta, "lam": self.lam}

    def _batch(self) -> int:
        return self.lam

    def _move(self, samples: list[Choice], scores: FloatArray) -> None:
        weights = piecewise_weights(scores)
        gradient = score_gradient(samples, weights, self.theta)
        length = fisher_length(gradient, self.theta)
        # What is left of weights that cancel is rounding; at full length it would be a random step.
        if length > NOISE * np.abs(weights).max():
            self._step([g / length for g in gradient])

    def _step(self, direction: Rows) -> None:
        """Move along a tangent of Fisher length 1."""
        self.theta = floored([t + self._delta * g for t, g in zip(self.theta, direction, strict=True)])
