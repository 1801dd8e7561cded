"""PBIL: the law moves a share of the way to the mean of the best samples of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hwnas.errors import UsageError
from hwnas.search.distribution import FloatArray
from hwnas.search.distribution_learning.batch_weights import truncation_weights
from hwnas.search.distribution_learning.learner import ThetaLearner, score_gradient
from hwnas.search.settings import positive, whole
from hwnas.search.strategy import Choice


class Pbil(ThetaLearner):
    """theta <- (1 - eta) theta + eta mean(mu best of lam), the IGO flow with truncation weights.

    Source: Baluja, Population-based incremental learning (CMU-CS-94-163); Ollivier et al., Information-geometric
    optimization (JMLR 18, 2017). Ours: ops may be more than two, samples that tie share their weight, a batch of
    equal scores does not move the law; the defaults, chosen on random additive objectives for some hundred
    evaluations, where Baluja's suit thousands.

    Args:
        lam: samples in a batch, at least 2.
        mu: of these, the best that are followed; below lam.
        eta: length of a step, above 0 and at most 1; at 1 an op that no followed sample holds never comes back.
    """

    name = "pbil"

    def __init__(self, choices: Sequence[int], evaluations: int, seed: int = 0, *, ridge: float = 10.0,
                 lam: int = 16, mu: int = 4, eta: float = 0.5) -> None:
        super().__init__(choices, evaluations, seed, ridge=ridge)
        self.lam, self._mu, self._eta = whole("lam", lam, 2), whole("mu", mu, 1), positive("eta", eta)
        if self._mu >= self.lam:
            raise UsageError(f"mu must be below lam ({lam}), not {mu}: following every sample learns nothing")
        if self._eta > 1:
            raise UsageError(f"eta must be at most 1, not {eta}")

    def _options(self) -> dict[str, Any]:
        return {"lam": self.lam, "mu": self._mu, "eta": self._eta}

    def _batch(self) -> int:
        return self.lam

    def _move(self, samples: list[Choice], scores: FloatArray) -> None:
        step = score_gradient(samples, truncation_weights(scores, self._mu), self.theta)
        moved = [t + self._eta * g for t, g in zip(self.theta, step, strict=True)]
        # At eta = 1 rounding may leave an op that was not followed just below 0.
        self.theta = [t.clip(0.0) / t.clip(0.0).sum() for t in moved]
