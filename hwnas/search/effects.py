"""Additive effects of ops on the score: ridge regression on every sample of a search.

    symbol   meaning                                                          shape
    N, P     samples; all ops of all choices                                  scalar
    A        one-hot design, centred within each cycle                        (N, P)
    y        scores, centred within each cycle                                (N,)
    lam      ridge: prior precision in samples                                scalar
    b        effects (A'A + lam I)^-1 A'y                                     (P,)
    S        (A'A + lam I)^-1, posterior covariance is sigma^2 S              (P, P)
    sigma^2  y'(y - A b) / (N - cycles)                                       scalar

Centring both sides within a cycle removes what all samples of the cycle share: a supernet that keeps training lifts
every score, whichever op was drawn. The posterior is that of y ~ N(A b, sigma^2 I) with prior b ~ N(0, sigma^2/lam I);
sigma^2 maximises the marginal likelihood, corrected for the cycle means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwnas.search.distribution import BoolArray, FloatArray, Rows

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class EffectFit:
    """Ridge posterior of all effects: mean `b` (P,), `shape` S (P, P), `variance` sigma^2; `choices` splits P."""

    choices: tuple[int, ...]
    b: FloatArray
    shape: FloatArray
    variance: float

    def rows(self) -> Rows:
        """Effects per choice, as the regression gives them."""
        return np.split(self.b, np.cumsum(self.choices)[:-1])

    def centred(self, live: Sequence[BoolArray]) -> tuple[Rows, Rows]:
        """Effects minus the mean over the live ops of their choice, and the standard error of that difference.

        With C = I - 1 m'/n (m the live mask, n its sum) and S_i the block of choice i: effects C b_i,
        stderr_k = sqrt(sigma^2 (C S_i C')_kk).
        """
        effects, stderr, start = [], [], 0
        for row, mask in zip(self.rows(), live, strict=True):
            block = self.shape[start : start + len(row), start : start + len(row)]
            contrast = np.eye(len(row)) - mask / mask.sum()
            effects.append(contrast @ row)
            spread = np.einsum("kj,jl,kl->k", contrast, block, contrast)
            stderr.append(np.sqrt(self.variance * np.maximum(spread, 0.0)))
            start += len(row)
        return effects, stderr


def fit_effects(
    samples: Sequence[Sequence[int]],
    scores: Sequence[float],
    cycles: Sequence[int],
    choices: tuple[int, ...],
    ridge: float,
) -> EffectFit:
    """Fit the effects of all ops, seen or not, live or not.

    Args:
        samples: op index per choice, N rows of d.
        scores: N finite scores.
        cycles: N labels; samples with one label share a mean.
        choices: K_i.
        ridge: lam > 0, in samples; independent of the scale of the scores.

    Returns:
        The posterior. Without samples, or with one per cycle, effects and variance are 0.

    Complexity: O(min(N, P)^2 max(N, P)): the smaller of the sample-size dual and the primal is solved.
    """
    total = sum(choices)
    if not samples:
        return EffectFit(choices, np.zeros(total), np.eye(total) / ridge, 0.0)
    labels = np.asarray(cycles, dtype=np.int64)
    a = _centre(_one_hot(np.asarray(samples, dtype=np.int64), choices), labels)
    y = _centre(np.asarray(scores, dtype=np.float64)[:, None], labels)[:, 0]
    shape = _posterior_shape(a, ridge)
    b = shape @ (a.T @ y)
    freedom = len(y) - len(np.unique(labels))
    variance = max(float(y @ (y - a @ b)), 0.0) / freedom if freedom else 0.0
    return EffectFit(choices, b, shape, variance)


def _posterior_shape(a: FloatArray, ridge: float) -> FloatArray:
    n, p = a.shape
    if n >= p:
        return np.linalg.inv(a.T @ a + ridge * np.eye(p)).astype(np.float64, copy=False)
    dual = np.linalg.solve(a @ a.T + ridge * np.eye(n), a)
    inverse: FloatArray = (np.eye(p) - a.T @ dual) / ridge
    return inverse


def _one_hot(samples: IntArray, choices: tuple[int, ...]) -> FloatArray:
    design = np.zeros((len(samples), sum(choices)))
    columns = samples + np.concatenate(([0], np.cumsum(choices)[:-1]))
    np.put_along_axis(design, columns, 1.0, axis=1)
    return design


def _centre(values: FloatArray, labels: IntArray) -> FloatArray:
    centred = np.zeros_like(values)
    for label in np.unique(labels):
        block = values[labels == label]
        # A column that is constant in the cycle must leave exactly 0, not the rounding of its mean.
        centred[labels == label] = np.where(np.ptp(block, axis=0) == 0, 0.0, block - block.mean(axis=0))
    return centred
