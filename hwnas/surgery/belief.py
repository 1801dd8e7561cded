"""A Gaussian belief about the terms of a sum, and what observed sums make of it: times and losses learn alike.

symbol  meaning                                  shape
m, V    mean and variance of the belief          (p,), (p, p)
F       how often each term is in each sum       (n, p)
y, R    sums that were observed, their variance  (n,), (n,)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def updated(m: Floats, v: Floats, f: Floats, y: Floats, noise: Floats) -> tuple[Floats, Floats]:
    """Mean and variance once the sums y were observed with variances `noise`; exact."""
    gain = v @ f.T @ np.linalg.inv(f @ v @ f.T + np.diag(noise))
    kept = np.eye(len(m)) - gain @ f
    variance = kept @ v @ kept.T + gain @ np.diag(noise) @ gain.T  # Joseph's form: stays symmetric
    return m + gain @ (y - f @ m), variance
