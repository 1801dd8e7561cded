"""Calibration: from the sum of a network's block times to the time of the network.

Glossary
    s   sum of the table's block times, ms, shape (n,)
    w   weights of the network in MB, shape (n,)
    y   measured latency, ms, shape (n,)
    a, b, c   latency = a*s + b + c*w;  a has no unit, b ms, c ms per MB
    r   log(y / prediction), shape (n,)

a takes up what blocks cost more or less inside a network than in their small context, b what is paid once per
call, c the weights that stay in the cache while a block is timed alone and come from memory in a network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import TableError

Floats = NDArray[np.float64]

A_RANGE = (0.5, 2.0)  # outside it the table and the networks were not measured on the same machine state
FORMS: dict[str, tuple[int, ...]] = {"sum": (), "scale": (0,), "affine": (0, 1), "affine+weights": (0, 1, 2)}
_PER_COEFFICIENT = 3  # a form needs this many networks per coefficient
_UNKNOWN_SPREAD = math.log(1.25)  # plain sums were seen to be off by up to a quarter


@dataclass(frozen=True)
class Calibration:
    """latency_ms = a * sum + b_ms + c_ms_per_mb * weights_mb, with its evidence.

    Args:
        form: which of `FORMS` was fitted.
        a, b_ms, c_ms_per_mb: coefficients.
        log_spread: half width of the 90 % interval of log(measured / predicted).
        networks: how many networks it was fitted on.
        loo_mape: leave-one-out error on them, percent; None where nothing was fitted.
        held_out: errors on other networks, as in `hwnas.latency.metrics.Errors`.
    """

    form: str = "sum"
    a: float = 1.0
    b_ms: float = 0.0
    c_ms_per_mb: float = 0.0
    log_spread: float = _UNKNOWN_SPREAD
    networks: int = 0
    loo_mape: float | None = None
    held_out: Mapping[str, float] = field(default_factory=dict)

    def apply(self, sum_ms: Floats, weights_mb: Floats) -> Floats:
        """Calibrated latencies, ms."""
        return self.a * sum_ms + self.b_ms + self.c_ms_per_mb * weights_mb

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
            if not all(math.isfinite(v) for v in (made.a, made.b_ms, made.c_ms_per_mb, made.log_spread)):
                raise TypeError("coefficients must be finite")
        except (TypeError, AttributeError) as err:
            raise TableError(f"not a calibration: {err}; measure it again with `hwnas profile`") from err
        return made


def fit(sum_ms: Floats, weights_mb: Floats, measured_ms: Floats) -> Calibration:
    """Least squares on relative errors; the form is the one with the least leave-one-out error.

    A form is considered if there are three networks per coefficient, a stays within 0.5..2 and c >= 0. A form
    with more coefficients must be better by 5 % of the error, or the simpler one stays.

    Args:
        sum_ms, weights_mb, measured_ms: s, w, y; shape (n,).

    Returns:
        The calibration; `log_spread` comes from its own leave-one-out residuals (see `with_held_out`).
    """
    best, best_error = "sum", _loo_error("sum", sum_ms, weights_mb, measured_ms)
    for form, columns in list(FORMS.items())[1:]:
        enough = len(sum_ms) >= _PER_COEFFICIENT * len(columns)
        if not enough or not _plausible(_solve(form, sum_ms, weights_mb, measured_ms)):
            continue
        error = _loo_error(form, sum_ms, weights_mb, measured_ms)
        if error < 0.95 * best_error:
            best, best_error = form, error
    a, b, c = _solve(best, sum_ms, weights_mb, measured_ms)
    residuals = np.log(measured_ms / _loo(best, sum_ms, weights_mb, measured_ms))
    return Calibration(
        best, a, b, c, interval(residuals), len(sum_ms), 100 * best_error if len(sum_ms) else None
    )


def interval(residuals: Floats) -> float:
    """Half width h so that |r| <= h for 90 % of new networks: the split-conformal quantile.

    J. Lei et al., "Distribution-free predictive inference for regression", JASA 2018, section 2.2. With fewer than
    nine residuals the quantile does not exist; then 1.5 times the largest, and a quarter with none.
    """
    n = len(residuals)
    if n == 0:
        return _UNKNOWN_SPREAD
    ordered = np.sort(np.abs(residuals))
    rank = math.ceil(0.9 * (n + 1))
    return float(ordered[rank - 1]) if rank <= n else float(1.5 * ordered[-1])


def _plausible(coefficients: tuple[float, float, float]) -> bool:
    a, _, c = coefficients
    return A_RANGE[0] <= a <= A_RANGE[1] and c >= 0


def _solve(form: str, s: Floats, w: Floats, y: Floats) -> tuple[float, float, float]:
    """(a, b, c) that minimise sum(((a*s + b + c*w) / y - 1)^2) over the form's coefficients."""
    columns = FORMS[form]
    found = [1.0, 0.0, 0.0]
    if columns:
        design = np.stack([s, np.ones_like(s), w], axis=1)[:, columns] / y[:, None]
        solution = np.linalg.lstsq(design, np.ones_like(y), rcond=None)[0]
        for column, value in zip(columns, solution, strict=True):
            found[column] = float(value)
    return found[0], found[1], found[2]


def _loo(form: str, s: Floats, w: Floats, y: Floats) -> Floats:
    """Every network predicted by a fit to the others; never below a tenth of its plain sum."""
    predicted = np.empty_like(y)
    for i in range(len(y)):
        rest = np.arange(len(y)) != i
        a, b, c = _solve(form, s[rest], w[rest], y[rest])
        predicted[i] = a * s[i] + b + c * w[i]
    return np.maximum(predicted, 0.1 * s)


def _loo_error(form: str, s: Floats, w: Floats, y: Floats) -> float:
    return float(np.abs(_loo(form, s, w, y) / y - 1).mean()) if len(y) else 0.0
