"""What scores say beyond additive effects: a Gaussian process whose prior has effects of one, two and three choices.

The prior of a score is a sum of independent effects of all single ops, pairs and triples, and of a rest that is equal
where nearly all ops are; so its covariance depends only on in how many choices two architectures agree. How much each
order is worth is learnt from the scores (maximum marginal likelihood). Scores enter by their ranks, as quantiles of
the normal distribution: a few failures (10 % accuracy in a space whose best has 94) would else be all there is to see.

    symbol   meaning                                                                   shape
    N        evaluated architectures                                                   scalar
    C        candidates                                                                scalar
    d        choices with at least two ops                                             scalar
    m        in how many of them two architectures agree                               (N, N) or (N, C)
    y        scores as normal quantiles of their ranks; equal scores share a rank      (N,)
    w        variance of the orders 1, 2, 3 and of the rest, relative to that of a constant   (4,)
    k(m)     1 + w1 m/d + w2 C(m,2)/C(d,2) + w3 C(m,3)/C(d,3) + w4 exp(-4 (d - m)/d)   (d + 1,)
    noise    variance of y that no architecture explains, relative to the same         scalar
    s2       scale of all of it: y' (K + noise I)^-1 y / N                             scalar

Sources: analysis-of-variance kernels, D. Duvenaud, H. Nickisch, C. Rasmussen, Additive Gaussian processes (NIPS 2011);
expected improvement, J. Mockus (1975); rank transform as in D. Salinas et al., A quantile-based approach (ICML 2020).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from hwnas.search.distribution import FloatArray

IntArray = npt.NDArray[np.int64]

ORDERS = 4
_FACTORS, _NOISES = (0.1, 0.3, 3.0, 10.0), (1e-4, 1e-3, 1e-2, 0.05, 0.2)
_LEAST, _MOST, _ROUNDS = 1e-3, 100.0, 2
_NORMAL = NormalDist()


@dataclass(frozen=True)
class Prior:
    """w and noise; `fitted` is the N they were fitted at."""

    orders: tuple[float, ...] = (1.0,) * ORDERS
    noise: float = 1e-2
    fitted: int = 0

    def to_json(self) -> list[float]:
        """Plain values."""
        return [*self.orders, self.noise, self.fitted]

    @classmethod
    def from_json(cls, value: Sequence[float]) -> Prior:
        """Read what `to_json` wrote; ValueError or TypeError if it is not that."""
        *orders, noise, fitted = value
        made = cls(tuple(map(float, orders)), float(noise), int(fitted))
        if len(made.orders) != ORDERS or not min(*made.orders, made.noise) > 0 or made.fitted < 0:
            raise ValueError("a prior has four variances and a noise above 0")
        return made

    def kernel(self, d: int) -> FloatArray:
        """k(m) for m = 0..d."""
        m = np.arange(d + 1)
        terms = [_agreeing(m, d, order) for order in (1, 2, 3)]
        rest = np.exp(-4 * (d - m) / d) if d else np.ones(1)
        table: FloatArray = 1.0 + np.array(self.orders) @ np.stack([*terms, rest])
        return table

    def fit(self, m: IntArray, y: FloatArray, d: int) -> Prior:
        """The prior of the highest marginal likelihood of y near this one, one parameter after the other."""
        found, best = self, self._misfit(m, y, d)
        for _ in range(_ROUNDS):
            for i in range(ORDERS):
                for factor in _FACTORS:
                    w = list(found.orders)
                    w[i] = min(max(w[i] * factor, _LEAST), _MOST)
                    found, best = _better(found, best, Prior(tuple(w), found.noise), m, y, d)
            for noise in _NOISES:
                found, best = _better(found, best, Prior(found.orders, noise), m, y, d)
        return Prior(found.orders, found.noise, len(y))

    def _misfit(self, m: IntArray, y: FloatArray, d: int) -> float:
        """Negative logarithm of the marginal likelihood, the scale maximised out, up to a constant."""
        lower = np.linalg.cholesky(self.kernel(d)[m] + self.noise * np.eye(len(y)))
        z = np.linalg.solve(lower, y)
        return len(y) / 2 * math.log(float(z @ z) / len(y) + 1e-300) + float(np.log(np.diag(lower)).sum())


def _better(
    found: Prior, best: float, other: Prior, m: IntArray, y: FloatArray, d: int
) -> tuple[Prior, float]:
    misfit = other._misfit(m, y, d)
    return (other, misfit) if misfit < best else (found, best)


def _agreeing(m: IntArray, d: int, order: int) -> FloatArray:
    """C(m, order) / C(d, order); the next lower order where d has no such group."""
    if d < order:
        return _agreeing(m, d, order - 1) if order > 1 else np.zeros(len(m))
    return np.array([math.comb(int(k), order) for k in m]) / math.comb(d, order)


def quantiles(scores: Sequence[float]) -> FloatArray:
    """y: the normal quantile of each score's rank, equal scores sharing the mean of theirs; shape (N,)."""
    values = np.asarray(scores, dtype=np.float64)
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts + 1) / 2
    shares = (ranks + 0.5) / len(values)
    return np.array([_NORMAL.inv_cdf(float(p)) for p in shares])[inverse]


def agreements(a: IntArray, b: IntArray) -> IntArray:
    """m between two lists of architectures, (len(a), len(b))."""
    found = np.zeros((len(a), len(b)), dtype=np.int64)
    for one, other in zip(a.T, b.T, strict=True):
        found += one[:, None] == other[None, :]
    return found


class Posterior:
    """What a prior and scores say about further architectures.

    Args:
        seen: (N, d) op indices of the evaluated architectures.
        y: (N,).
    """

    def __init__(self, prior: Prior, seen: IntArray, y: FloatArray) -> None:
        self._seen, self._best = seen, float(y.max())
        self._kernel = prior.kernel(seen.shape[1])
        covariance = self._kernel[agreements(seen, seen)] + prior.noise * np.eye(len(y))
        self._inverse = np.linalg.inv(covariance)
        self._weights = self._inverse @ y
        self._scale = float(y @ self._weights) / len(y)

    def moments(self, candidates: IntArray) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of y without its noise, (C,) each, for candidates (C, d)."""
        cross = self._kernel[agreements(self._seen, candidates)]
        explained = np.einsum("nc,nc->c", cross, self._inverse @ cross)
        variance = self._scale * np.maximum(self._kernel[-1] - explained, 1e-12)
        return self._weights @ cross, np.sqrt(np.maximum(variance, 1e-300))

    def improvement(self, candidates: IntArray) -> FloatArray:
        """How much a candidate's y is expected to exceed the best of y, (C,)."""
        gain: FloatArray = expected_gain(*self.moments(candidates), np.array([self._best]))[0]
        return gain


def expected_gain(mean: FloatArray, deviation: FloatArray, best: FloatArray) -> FloatArray:
    """E max(0, Y - best) of normal Y, (len(best), C) for mean and deviation (C,)."""
    z = (mean[None, :] - best[:, None]) / deviation
    density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    gain: FloatArray = np.maximum(deviation * (z * below(z) + density), np.zeros(1))
    return gain


def below(z: FloatArray) -> FloatArray:
    """The share of the normal distribution below z, in the shape of z."""
    share: FloatArray = np.array(list(map(math.erfc, (z.ravel() / -math.sqrt(2)).tolist()))) / 2
    return np.reshape(share, z.shape)
