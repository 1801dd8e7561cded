"""A Gaussian process on architectures: kernel, posterior, marginal likelihood on a grid, expected improvement.

    symbol   meaning                                                                    shape
    n, m     evaluated architectures; queries                                           scalar
    D        squared distances: share of choices that differ, or of encoded features    (n, n), (m, n)
    l        length scale                                                               scalar
    w        share of the kernel that is of encoded features                            scalar
    R        (1 - w) exp(-D_ops/l) + w exp(-sqrt(D_enc)/l), 1 on the diagonal           (n, n)
    q        noise variance over signal variance                                        scalar
    L        lower Cholesky factor of R + q I                                           (n, n)
    z        L^-1 y                                                                     (n,)
    s^2      signal variance at its maximum of the likelihood, z'z/n                    scalar

Source: Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), algorithm 2.1, with s^2 profiled out;
the kernel on ops is the discrete exponential one, a product over the choices. y must have mean 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from hwnas.search.distribution import FloatArray

LENGTHS = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
SHARES = (0.0, 0.25, 0.5)
NOISES = (0.001, 0.01, 0.03, 0.1, 0.3)
# Least signal variance: equal scores leave none, and no logarithm.
TINY = 1e-300


@dataclass(frozen=True)
class Setting:
    """Hyper-parameters l, w, q."""

    length: float
    share: float
    noise: float


@dataclass(frozen=True)
class Distances:
    """D between two sets of architectures, ops and encoded features; `encoded` is None without an encoding."""

    ops: FloatArray
    encoded: FloatArray | None

    def first(self, n: int) -> Distances:
        """Those among the first n of a square table."""
        return Distances(self.ops[:n, :n], None if self.encoded is None else self.encoded[:n, :n])

    def kernel(self, length: float, share: float) -> FloatArray:
        """R, of the shape of the distances."""
        r: FloatArray = np.exp(-self.ops / length)
        if self.encoded is not None and share:
            r = (1 - share) * r + share * np.exp(-np.sqrt(self.encoded) / length)
        return r


@dataclass(frozen=True)
class Posterior:
    """The process given y at n architectures."""

    setting: Setting
    factor: FloatArray
    whitened: FloatArray
    variance: float

    def predict(self, cross: Distances) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of the noise-free score at m queries, both (m,); `cross` is (m, n)."""
        spread = lower_solve(self.factor, cross.kernel(self.setting.length, self.setting.share).T)
        left = np.maximum(1 - (spread**2).sum(axis=0), 0.0)
        return spread.T @ self.whitened, np.sqrt(self.variance * left)

    def log_likelihood(self) -> float:
        """ln p(y) at the best signal variance, without the constant -n/2 (1 + ln 2 pi)."""
        n = len(self.whitened)
        return -0.5 * n * math.log(self.variance) - float(np.log(np.diag(self.factor)).sum())


def condition(within: Distances, y: FloatArray, setting: Setting) -> Posterior:
    """The posterior at one setting, O(n^3); `within` is (n, n)."""
    return _condition(within.kernel(setting.length, setting.share), y, setting)


def fit(within: Distances, y: FloatArray, lengths: Sequence[float] = LENGTHS) -> Setting:
    """The setting of `lengths`, SHARES (0 without an encoding) and NOISES with the greatest marginal likelihood, the
    first of equals."""
    shares = SHARES if within.encoded is not None else SHARES[:1]
    best, most = Setting(lengths[0], 0.0, NOISES[0]), -math.inf
    for length, share in product(lengths, shares):
        kernel = within.kernel(length, share)
        for noise in NOISES:
            setting = Setting(length, share, noise)
            likelihood = _condition(kernel, y, setting).log_likelihood()
            if likelihood > most:
                best, most = setting, likelihood
    return best


def _condition(kernel: FloatArray, y: FloatArray, setting: Setting) -> Posterior:
    factor = np.linalg.cholesky(kernel + setting.noise * np.eye(len(y))).astype(np.float64, copy=False)
    whitened = lower_solve(factor, y[:, None])[:, 0]
    return Posterior(setting, factor, whitened, max(float(whitened @ whitened) / len(y), TINY))


def lower_solve(factor: FloatArray, right: FloatArray, block: int = 48) -> FloatArray:
    """L^-1 B for a lower triangular L (n, n) and B (n, m), by forward substitution in blocks: O(n^2 m)."""
    solved = np.empty_like(right)
    for start in range(0, len(factor), block):
        rows = slice(start, start + block)
        rest = right[rows] - factor[rows, :start] @ solved[:start]
        solved[rows] = np.linalg.solve(factor[rows, rows], rest)
    return solved


def squared_distances(a: FloatArray, b: FloatArray) -> FloatArray:
    """|a_i - b_j|^2, (len(a), len(b)); never below 0."""
    gaps: FloatArray = np.maximum((a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T, 0.0)
    return gaps
