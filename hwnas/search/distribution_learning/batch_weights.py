"""From the scores of a batch to the weights of its samples.

    symbol   meaning                                                     shape
    f        scores, larger is better                                    (n,)
    w        weights of the samples                                      (n,)
    mu       samples that are rewarded                                   scalar
    ll       log-likelihoods, or scores measured in nats                 (n,)

A batch whose scores all tie says nothing: rank weights are then exactly 0 and scores in nats are all 0.
"""

from __future__ import annotations

import numpy as np

from hwnas.search.distribution import FloatArray
from hwnas.search.rank_weights import TIE, tied


def piecewise_weights(scores: FloatArray) -> FloatArray:
    """Weights of SNG and ASNG: +1/mu for the mu best, -1/mu for the mu worst, mu = ceil(n/4); they sum to 0.

    Samples that tie share the mean of their weights. Source: Akimoto et al., ASNG-NAS (ICML 2019).
    """
    n = len(scores)
    mu = -(-n // 4)
    rank = np.arange(n)
    return _by_rank(scores, ((rank < mu) * 1.0 - (rank >= n - mu)) / mu)


def truncation_weights(scores: FloatArray, mu: int) -> FloatArray:
    """Weights of PBIL: 1/mu for the mu best, 0 for the others; samples that tie share the mean of their weights."""
    return _by_rank(scores, (np.arange(len(scores)) < mu) / mu)


def all_tied(scores: FloatArray) -> bool:
    """True if the scores differ by rounding only."""
    return bool(scores.max() - scores.min() <= TIE * np.abs(scores).max())


def spread(scores: FloatArray) -> float:
    """The scale of the better scores: mean distance of the upper half from the median, in score units.

    A few broken networks far below the others do not stretch it. Where more than half tie at the top it is the
    standard deviation; 0 only if all scores tie.
    """
    if all_tied(scores):
        return 0.0
    upper = 2 * float(np.maximum(scores - np.median(scores), 0.0).mean())
    return upper if upper > TIE * np.abs(scores).max() else float(scores.std())


def in_nats(scores: FloatArray, scale: float) -> FloatArray:
    """(f - max f) / scale: the scores with `scale` score units to the nat; all 0 if the scale is 0."""
    return (scores - scores.max()) / scale if scale > 0 else np.zeros(len(scores))


def importance_weights(ll: FloatArray) -> FloatArray:
    """softmax(ll): what each sample is worth as evidence, (n,), sums to 1. Source: PARSEC (arXiv 1902.05116)."""
    return softmax(ll)


def softmax(values: FloatArray) -> FloatArray:
    """exp(v) / sum exp(v), of the same shape; 0 where v is -inf."""
    powers = np.exp(values - values.max())
    result: FloatArray = powers / powers.sum()
    return result


def _by_rank(scores: FloatArray, table: FloatArray) -> FloatArray:
    if all_tied(scores):
        return np.zeros(len(scores))
    order = np.argsort(-scores, kind="stable")
    weights = np.empty(len(scores))
    for group in tied(scores, order):
        weights[order[group]] = table[group].mean()
    return weights
