"""How good predicted latencies are.

Glossary
    p   predicted latency, ms, shape (n,)
    y   measured latency, ms, shape (n,)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike

from hwnas.errors import UsageError


@dataclass(frozen=True)
class Errors:
    """Errors of predictions on networks that were not used to make them.

    Args:
        networks: how many were compared.
        mape: mean absolute error relative to the measured latency, percent.
        bias: mean signed error relative to the measured latency, percent.
        within_5, within_10: share of networks whose error is at most 5 and 10 percent, percent.
        kendall_tau: rank correlation tau-b; 1 is the same order.
    """

    networks: int
    mape: float
    bias: float
    within_5: float
    within_10: float
    kendall_tau: float

    def to_json(self) -> dict[str, float]:
        """The fields, rounded to three decimals."""
        return {k: round(v, 3) for k, v in asdict(self).items()}


def errors(predicted_ms: ArrayLike, measured_ms: ArrayLike) -> Errors:
    """Compare predictions with measurements.

    Raises:
        UsageError: lengths differ, or fewer than two networks.
    """
    p, y = np.asarray(predicted_ms, dtype=float), np.asarray(measured_ms, dtype=float)
    if p.shape != y.shape or p.ndim != 1 or len(p) < 2:
        raise UsageError(f"need as many predictions as measurements, at least two; got {p.shape} and {y.shape}")
    ratio = p / y - 1
    return Errors(
        networks=len(p),
        mape=float(100 * np.abs(ratio).mean()),
        bias=float(100 * ratio.mean()),
        within_5=float(100 * (np.abs(ratio) <= 0.05).mean()),
        within_10=float(100 * (np.abs(ratio) <= 0.10).mean()),
        kendall_tau=kendall_tau(p, y),
    )


def kendall_tau(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> float:
    """Kendall's tau-b, corrected for ties (Kendall 1945), O(n^2).

    Returns:
        In -1..1; 0 where one of the two is constant.
    """
    a, b = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    upper = np.triu_indices(len(a), 1)
    da, db = (np.sign(v[:, None] - v[None, :])[upper] for v in (a, b))
    scale = float(np.count_nonzero(da)) * float(np.count_nonzero(db))
    return float((da * db).sum() / scale**0.5) if scale else 0.0
