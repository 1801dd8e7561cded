"""ASNG: SNG that lengthens its steps while they agree and shortens them while they contradict each other.

    symbol   meaning                                                      shape
    N        free parameters, sum of K_i - 1                              scalar
    s        path: decayed sum of whitened unit steps                     (N,)
    gamma    what ||s||^2 would be if the steps were unrelated            scalar
    ratio    the paper's Delta: steps are delta0 / ratio long             scalar
    beta     memory of the path, delta0 / (ratio sqrt(N))                 scalar
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hwnas.search.distribution import FloatArray, Rows
from hwnas.search.distribution_learning.learner import unpack_rows
from hwnas.search.distribution_learning.sng import Sng
from hwnas.search.settings import positive


class Asng(Sng):
    """SNG with adaptive step length.

    Source: Akimoto et al. (ICML 2019, arXiv 1905.08537) and its released code. Ours: `ratio` has a least value of
    delta0 / sqrt(N), where beta is 1. Below it the released rule takes the root of a negative number; it gets there
    when the steps agree for long and then beta grows in one step.

    Args:
        alpha: how strongly steps must agree to become longer; 1.5 in the paper.
        delta0: length of the first step; no step is longer than sqrt(N).
        lam: samples in a batch, at least 2.
    """

    name = "asng"

    def __init__(self, choices: Sequence[int], evaluations: int, seed: int = 0, *, ridge: float = 10.0,
                 alpha: float = 1.5, delta0: float = 1.0, lam: int = 2) -> None:
        super().__init__(choices, evaluations, seed, ridge=ridge, delta=positive("delta0", delta0), lam=lam)
        self._alpha, self._delta0 = positive("alpha", alpha), self._delta
        self._path, self._gamma = np.zeros(sum(self.choices) - len(self.choices)), 0.0
        self._ratio = max(1.0, self._least_ratio())
        self._delta = self._delta0 / self._ratio

    def _least_ratio(self) -> float:
        return self._delta0 / math.sqrt(max(1, len(self._path)))

    def _options(self) -> dict[str, Any]:
        return {"alpha": self._alpha, "delta0": self._delta0, "lam": self.lam}

    def _step(self, direction: Rows) -> None:
        whitened = whiten(direction, self.theta)
        super()._step(direction)
        beta = min(1.0, self._delta / math.sqrt(len(whitened)))  # above 1 by rounding only
        kept, gained = 1 - beta, beta * (2 - beta)
        self._path = kept * self._path + math.sqrt(gained) * whitened
        self._gamma = kept**2 * self._gamma + gained
        grown = self._ratio * math.exp(beta * (self._gamma - float(self._path @ self._path) / self._alpha))
        self._ratio = max(grown, self._least_ratio())
        self._delta = self._delta0 / self._ratio

    def _state(self) -> dict[str, Any]:
        return super()._state() | {"path": self._path.tolist(), "gamma": self._gamma, "ratio": self._ratio}

    def _restore(self, state: Mapping[str, Any]) -> None:
        (path,) = unpack_rows([state["path"]], [len(self._path)])
        gamma, ratio = float(state["gamma"]), float(state["ratio"])
        if not (0 <= gamma <= 2 and self._least_ratio() <= ratio < math.inf):
            raise ValueError(f"gamma {gamma} or ratio {ratio} out of range")
        super()._restore(state)
        self._path, self._gamma, self._ratio = path, gamma, ratio
        self._delta = self._delta0 / ratio


def whiten(step: Rows, theta: Rows) -> FloatArray:
    """A tangent in coordinates where the Fisher metric is the identity, (N,): F^(1/2) of the first K_i - 1 entries.

    s_k = g_k / sqrt(theta_k) + sqrt(theta_k) S / (theta_K + sqrt(theta_K)), S the sum of g_k over k < K. The sum of
    its squares is the squared Fisher length; which root of F is taken matters, because steps are added up.
    """
    rows = []
    for g, t in zip(step, theta, strict=True):
        head, root, last = g[:-1], np.sqrt(t[:-1]), t[-1]
        rows.append(head / root + root * head.sum() / (last + np.sqrt(last)))
    return np.concatenate(rows)
