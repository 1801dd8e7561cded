"""From scores to zero-sum weights: the rank transform that makes a search indifferent to the scale of its scores.

    symbol   meaning                                            shape
    f        scores, larger is better                           (n,)
    r        rank, 1 = best                                     (n,)
    w        weight of each sample, sums to 0                   (n,)
    h        half-scale of the logarithm                        scalar
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from hwnas.search.distribution import FloatArray

# Two scores closer than this, relative to the larger, differ by rounding only.
TIE = 1e-14


def log_weights(scores: FloatArray, h: float) -> FloatArray:
    """MIGO's weights: w_r = clip(h ln((1+x)/(1-x)), -1, 1) with x = 1.5 ((n+1)/2 - r) / n.

    Samples that tie get the mean of the weights they share. Source: MIGO-NAS (TPAMI 43(9), 2021) and its released
    search script, which never merges ties when maximising (a sign error); this does.
    """
    n = len(scores)
    x = 1.5 * ((n + 1) / 2 - np.arange(1, n + 1)) / n
    by_rank = np.clip(h * np.log((1 + x) / (1 - x)), -1.0, 1.0)
    order = np.argsort(-scores, kind="stable")
    weights = np.empty(n)
    for group in tied(scores, order):
        # The mean over everything is 0 by symmetry; rounding must not turn it into a direction.
        weights[order[group]] = 0.0 if group.stop - group.start == n else by_rank[group].mean()
    return weights


def distance_log_weights(scores: FloatArray, h: float) -> FloatArray:
    """Weights by distance instead of rank: w = -h ln((1+x)/(1-x)), x = (f_max - f)/(f_max - f_min) - 0.5, centred.

    All zero if all scores are equal. The released script reverses the array where it means to negate it, which
    rewards three of four samples; this follows the intent: larger scores, larger weights, sum 0.
    """
    spread = scores.max() - scores.min()
    if spread <= TIE * np.abs(scores).max():
        return np.zeros(len(scores))
    x = (scores.max() - scores) / spread - 0.5
    weights: FloatArray = -h * np.log((1 + x) / (1 - x))
    weights -= weights.mean()
    return weights


WEIGHTS: dict[str, Callable[[FloatArray, float], FloatArray]] = {
    "log": log_weights,
    "distance_log": distance_log_weights,
}


def tied(scores: FloatArray, order: np.typing.NDArray[np.intp]) -> list[slice]:
    ranked = scores[order]
    size = np.maximum(np.abs(ranked[:-1]), np.abs(ranked[1:]))
    cuts = np.flatnonzero(ranked[:-1] - ranked[1:] > TIE * size) + 1
    edges = [0, *cuts.tolist(), len(scores)]
    return [slice(a, b) for a, b in itertools.pairwise(edges)]
