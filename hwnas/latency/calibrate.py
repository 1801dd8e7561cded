"""Calibration: from the sum of a network's block times to the time of the network.

Glossary
    s   sum of the table's block times, ms, shape (n,)
    w   weights of the network in MB, shape (n,)
    y   measured latency, ms, shape (n,)
    a, b, c   latency = a*s + b + c*w;  a has no unit, b ms, c ms per MB
    r   log(y / prediction), shape (n,)
    X   columns 1, m/s, (w/mw)*(m/s) with m, mw the medians of y and w: relative errors are what counts
    d   (a - 1, b/m, c*mw/m), the coefficients as departures from the plain sum

a takes up what blocks cost more or less inside a network than in their small context, b what is paid once per
call, c the weights that stay in the cache while a block is timed alone and come from memory in a network.
s and w are nearly collinear (correlation 0.87 to 0.95), and ten networks cannot tell them apart; so d is pulled to 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import TableError
from hwnas.latency.residuals import UNKNOWN_SPREAD, Spread, spread

Floats = NDArray[np.float64]

A_RANGE = (0.5, 2.0)  # outside it the table and the networks were not measured on the same machine state
_PRIOR_SD, _NOISE_SD = 0.05, 0.02  # of d, and of one network's relative residual
FORMS = {"sum": 0, "scale": 1, "affine": 2, "affine+weights": 3}  # and how many of a, b, c are fitted
_PER_COEFFICIENT = 3  # networks; a alone is fitted to fewer


@dataclass(frozen=True)
class Calibration:
    """latency_ms = a * sum + b_ms + c_ms_per_mb * weights_mb, with its evidence.

    Args:
        form: which of `FORMS` was fitted.
        a, b_ms, c_ms_per_mb: coefficients.
        log_spread: half width of the 90 % interval of log(measured / predicted).
        log_sd, freedom: scale of these logarithms and what it is worth in degrees of freedom; 0 where only the
            interval is known.
        networks: how many networks it was fitted on.
        loo_mape: leave-one-out error on them, percent; None where nothing was fitted.
        held_out: errors on other networks, as in `hwnas.latency.metrics.Errors`.
        kernel_ms: time of the reference kernel at the speed that the table is given at; 0 where it is not known.
    """

    form: str = "sum"
    a: float = 1.0
    b_ms: float = 0.0
    c_ms_per_mb: float = 0.0
    log_spread: float = UNKNOWN_SPREAD
    log_sd: float = 0.0
    freedom: float = 0.0
    networks: int = 0
    loo_mape: float | None = None
    held_out: Mapping[str, float] = field(default_factory=dict)
    kernel_ms: float = 0.0

    def apply(self, sum_ms: Floats, weights_mb: Floats) -> Floats:
        """Calibrated latencies, ms."""
        return self.a * sum_ms + self.b_ms + self.c_ms_per_mb * weights_mb

    @property
    def spread(self) -> Spread:
        """How far networks measure from their predictions; from the 90 % interval alone where no more is known."""
        return Spread(self.log_sd, self.freedom) if self.log_sd > 0 else Spread.of_half_width(self.log_spread)

    def to_json(self) -> dict[str, Any]:
        """The fields."""
        return {**asdict(self), "held_out": dict(self.held_out)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Calibration:
        """Read `to_json` back; fields of a later version are left out.

        Raises:
            TableError: a coefficient is missing or no number.
        """
        names = set(cls.__dataclass_fields__)
        try:
            made = cls(**{k: v for k, v in data.items() if k in names})
            numbers = (made.a, made.b_ms, made.c_ms_per_mb, made.log_spread, made.log_sd, made.freedom, made.kernel_ms)
            if not all(math.isfinite(v) for v in numbers):
                raise TypeError("coefficients must be finite")
        except (TypeError, AttributeError) as err:
            raise TableError(f"not a calibration: {err}; measure it again with `hwnas profile`") from err
        return made


def fit(sum_ms: Floats, weights_mb: Floats, measured_ms: Floats) -> Calibration:
    """Ridge regression of relative errors, pulled towards the plain sum; any number of networks, also none.

    d minimises |y/s - 1 - X d|^2 / noise^2 + |d|^2 / prior^2 (Hoerl and Kennard, Technometrics 1970). If c comes out
    negative it is left out: weights never make a network faster. If a leaves 0.5..2, blocks and networks
    were not measured in one state of the machine, and the plain sum stays. On five sets of ten networks this
    was better than least squares with the number of coefficients chosen by leave-one-out, on average and at worst
    (benchmarks/latency_model.md).

    Args:
        sum_ms, weights_mb, measured_ms: s, w, y; shape (n,).

    Returns:
        The calibration; its interval comes from leave-one-out residuals.
    """
    n = len(sum_ms)
    if not n:
        return Calibration()
    form, (a, b, c) = _solve(sum_ms, weights_mb, measured_ms)
    predicted = _leave_one_out(sum_ms, weights_mb, measured_ms)
    loo_mape = 100 * float(np.abs(predicted / measured_ms - 1).mean())
    found = spread(np.log(measured_ms / predicted))
    return Calibration(form, a, b, c, found.half_width(), found.log_sd, found.freedom, n, loo_mape)


def _solve(s: Floats, w: Floats, y: Floats) -> tuple[str, tuple[float, float, float]]:
    """The form and (a, b, c): the most coefficients that the networks allow and that are plausible."""
    allowed = max(1, len(s) // _PER_COEFFICIENT)
    for form, count in sorted(FORMS.items(), key=lambda item: -item[1]):
        if count > allowed:
            continue
        a, b, c = _ridge(s, w, y, count)
        if A_RANGE[0] <= a <= A_RANGE[1] and c >= 0:
            return form, (a, b, c)
    return "sum", (1.0, 0.0, 0.0)


def _ridge(s: Floats, w: Floats, y: Floats, count: int) -> tuple[float, float, float]:
    """(a, b, c) with the first `count` of them fitted."""
    m, mw = float(np.median(y)), float(np.median(w))
    scale = m / mw if mw > 0 else 0.0
    base = _base(s, y)
    design = (np.stack([s, np.full_like(s, m), w * scale], axis=1) / base[:, None])[:, :count]
    penalty = np.eye(count) * (_NOISE_SD / _PRIOR_SD) ** 2
    d = np.zeros(3)
    d[:count] = np.linalg.solve(design.T @ design + penalty, design.T @ ((y - s) / base))
    return 1 + float(d[0]), float(d[1]) * m, float(d[2]) * scale


def _leave_one_out(s: Floats, w: Floats, y: Floats) -> Floats:
    """Every network predicted by a fit to the others; never below a tenth of what it is relative to."""
    if len(y) < 2:
        return _base(s, y)
    predicted = np.empty_like(y)
    for i in range(len(y)):
        rest = np.arange(len(y)) != i
        a, b, c = _solve(s[rest], w[rest], y[rest])[1]
        predicted[i] = a * s[i] + b + c * w[i]
    return np.maximum(predicted, 0.1 * _base(s, y))


def _base(s: Floats, y: Floats) -> Floats:
    """What errors are relative to: the plain sum, unless it is absurdly small."""
    return np.maximum(s, 0.1 * y)
