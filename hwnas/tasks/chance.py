"""What a validation set can tell: intervals and tests, small enough to need no library.

Glossary
    n, k       images, and those that were right
    b, c       images that only the one of two classifiers gets right, and only the other
    C          confusion: images of class i that were called j; n_i in row i, A_j in column j    (K, K)
    r_i, q_i   recall C_ii / n_i, and A_i / n: the recall of answers that know nothing of the images
    p          probability of at least such a difference where there is none

Sources: E. B. Wilson, Probable inference, JASA 1927 (interval); Q. McNemar, Psychometrika 1947 (paired answers).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

Z95 = 1.959964  # of a two-sided interval of 95 %
LEVEL = 0.05  # a p below it is beyond chance
SHUFFLES = 1999
SHUFFLED = 2000  # images up to which answers are shuffled; above, the normal law is as good


def wilson(right: int, images: int) -> tuple[float, float]:
    """95 % interval of an accuracy, percent, from k right of n >= 1 images."""
    share, z2 = right / images, Z95**2 / images
    middle = (share + z2 / 2) / (1 + z2)
    half = Z95 * math.sqrt(share * (1 - share) / images + z2 / images / 4) / (1 + z2)
    return 100 * max(0.0, middle - half), 100 * min(1.0, middle + half)


def differs(gained: int, lost: int) -> float:
    """Two-sided p of b against c: the exact sign test on the images that only one of the two gets right."""
    return min(1.0, 2 * exceeds(max(gained, lost), min(gained, lost)))


def exceeds(gained: int, lost: int) -> float:
    """One-sided p: that b of b + c fair coins, or more, come up heads."""
    n = gained + lost
    whole = math.lgamma(n + 1) - n * math.log(2)
    tail = (math.exp(whole - math.lgamma(i + 1) - math.lgamma(n - i + 1)) for i in range(gained, n + 1))
    return min(1.0, math.fsum(tail))


def mean_recall(confusion: Matrix) -> float:
    """Mean of r_i over the classes that have images, percent."""
    sizes = confusion.sum(axis=1)
    here = sizes > 0
    return float(100 * (np.diag(confusion)[here] / sizes[here]).mean())


def informed(confusion: Matrix) -> float:
    """One-sided p that answers which know nothing of the images, as often of each class, have this mean recall.

    It tells a classifier that finds a rare class at the price of others from one that always answers the same, which
    the accuracy does not. Answers are shuffled with a fixed seed: the same matrix gives the same p.
    """
    if int(confusion.sum()) > SHUFFLED:
        return _normal(confusion)
    truth, answers = (np.repeat(ids.ravel(), confusion.ravel()) for ids in np.indices(confusion.shape))
    sizes = np.maximum(confusion.sum(axis=1), 1)
    rng, worth = np.random.default_rng(0), 1 / sizes[truth]
    reached, least = 0, float(((truth == answers) * worth).sum()) - 1e-9
    for _ in range(SHUFFLES):
        reached += float(((truth == rng.permutation(answers)) * worth).sum()) >= least
    return (1 + reached) / (1 + SHUFFLES)


def _normal(confusion: Matrix) -> float:
    """The same by the normal law, with the exact variance of a table with these margins."""
    sizes, n = confusion.sum(axis=1), int(confusion.sum())
    here = sizes > 0
    sizes, q, recall = sizes[here], confusion.sum(axis=0)[here] / n, np.diag(confusion)[here] / sizes[here]
    variance = (q * (1 - q) * (n - sizes) / sizes).sum() + q.sum() ** 2 - (q**2).sum()
    gain, error = float((recall - q).sum()), math.sqrt(max(0.0, float(variance)) / (n - 1))
    return 1.0 if error == 0 else 0.5 * math.erfc(gain / error / math.sqrt(2))


def spread_of_miou(one: Matrix, other: Matrix, resamples: int = 500) -> tuple[float, float]:
    """95 % interval of the mIoU of one network less that of another, points: images are drawn again and again.

    Args:
        one, other: confusions of every image, (N, K, K), of the same images.
    """
    rng, images, classes = np.random.default_rng(0), len(one), one.shape[1]
    draws = rng.multinomial(images, np.full(images, 1 / images), size=resamples).astype(np.float64)
    a, b = (_mious((draws @ matrices.reshape(images, -1)).reshape(-1, classes, classes)) for matrices in (one, other))
    low, high = np.quantile(a - b, [0.025, 0.975])
    return float(low), float(high)


def _mious(matrices: Floats) -> Floats:
    """mIoU of each of (R, K, K), percent; a class that is neither there nor answered does not count."""
    right = np.diagonal(matrices, axis1=1, axis2=2)
    union = matrices.sum(axis=1) + matrices.sum(axis=2) - right
    present = np.maximum((union > 0).sum(axis=1), 1)
    found: Floats = 100 * np.divide(right, union, out=np.zeros_like(right), where=union > 0).sum(axis=1) / present
    return found
