"""Average precision of rankings: how well the scores of a class put the images that show it first.

Glossary
    N, K    images, classes
    m       images that show a class
    P_i, R_i   of the i highest scores: share that are right; share of m that are among them

AP is the sum of (R_i - R_{i-1}) P_i over the distinct scores, without interpolation, as scikit-learn has it; images of
equal score count together. Of a random order of N images the mean of AP is

    ((m - 1) / (N - 1)) (1 - H_N / N) + H_N / N     H_N: the Nth harmonic number

(Y. Bestgen, Exact expected average precision of the random baseline, 2015.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def average_precision(scores: npt.NDArray[Any], truth: npt.NDArray[Any], weights: Floats | None = None) -> Floats:
    """AP of one class in 0..1, for each of R weightings of the images, (R,); NaN where no image shows it.

    Args:
        scores: (N,).
        truth: (N,), 1 where an image shows it.
        weights: how often every image counts, (R, N); None for once, and R is 1.
    """
    order = np.argsort(-scores, kind="stable")
    counts = np.ones((1, len(order))) if weights is None else weights[:, order]
    right = np.cumsum(counts * (truth[order] != 0), axis=1)
    if not len(order):
        return np.full(len(counts), np.nan)
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)  # of every distinct score
    found, seen = right[:, last], np.cumsum(counts, axis=1)[:, last]
    gained = np.diff(found, axis=1, prepend=0.0)
    each = gained * np.divide(found, seen, out=np.zeros_like(found), where=seen > 0)
    total = found[:, -1]
    whole: Floats = np.divide(each.sum(axis=1), total, out=np.full(len(total), np.nan), where=total > 0)
    return whole


def by_class(scores: npt.NDArray[Any], truth: npt.NDArray[Any]) -> Floats:
    """AP of every class, (K,), of scores and truth (N, K)."""
    return np.array([average_precision(scores[:, k], truth[:, k])[0] for k in range(truth.shape[1])])


def resampled_means(scores: npt.NDArray[Any], truth: npt.NDArray[Any], draws: Floats) -> Floats:
    """`mean_ap` for each of some draws of the images, (R,); draws say how often each is drawn, (R, N)."""
    each = np.stack([average_precision(scores[:, k], truth[:, k], draws) for k in range(truth.shape[1])], axis=1)
    there = ~np.isnan(each)
    means: Floats = 100 * np.where(there, each, 0).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    return means


def mean_ap(each: Floats) -> float:
    """Mean over the classes that some image shows, percent; 0 where there is none."""
    there = each[~np.isnan(each)]
    return float(100 * there.mean()) if there.size else 0.0


def of_chance(images: int, shown: npt.NDArray[Any]) -> Floats:
    """Mean AP of a random order for every class, (K,), from m of each; NaN where it is 0."""
    harmonic = float((1 / np.arange(1, images + 1)).sum()) / images
    share = (shown - 1) / max(images - 1, 1)
    return np.where(shown > 0, share * (1 - harmonic) + harmonic, np.nan)
