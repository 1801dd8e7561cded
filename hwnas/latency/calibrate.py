"""Calibration: from the sum of a network's block times to the time of the network.

Glossary
    s   sum of the table's block times, ms, shape (n,)
    w   weights of the network in MB, shape (n,)
    y   measured latency, ms, shape (n,)
    n   ops of the network that take time, shape (n,)
    a, b, c   latency = a*s + b + c*w;  a has no unit, b ms, c ms per MB
    o   + o*n: what an op costs more or less than in its small context whatever it computes, ms
    k_i, h    in a space of cells, + sum k_i*s_i - h*g: s_i the part of s that ops of one kind have, ms; g the maps
              that several ops read and activate, each but the first of them once, MB
    r   log(y / prediction), shape (n,)
    X   columns 1, m/s, (w/mw)*(m/s), (n/mn)*(m/s), s_i/s, -(g/mg)*(m/s) with m, mw, mn, mg the medians of y, w, n, g:
        relative errors are what counts
    d   (a - 1, b/m, c*mw/m, o*mn/m, k_i, h*mg/m), the coefficients as departures from the plain sum

a takes up what blocks cost more or less inside a network than in their small context, b what is paid once per
call, c the weights that stay in the cache while a block is timed alone and come from memory in a network.
s and w are nearly collinear (correlation 0.87 to 0.95), and ten networks cannot tell them apart; so d is pulled to 0.
Between two ops of a network stands less than between a block and its context, or more: 1 us an op for chains of mobile
blocks, -0.4 us for cells, and the mean error fell from 1.24 to 1.10 % and from 2.44 to 2.01 % (ONNX Runtime, fp32).
The edges of a cell are fused with what they are added to, or not: that depends on the kind of both. What several ops
activate is activated once, though each has it in its entry, so h is above 0 in floats; in eight bits a map that several
read is worth less than nothing, since what is fused for one reader is not for two: with h below 0 the mean error of
cells fell from 4.3 to 3.2 % (ONNX Runtime).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from hwnas.errors import TableError
from hwnas.latency.intervals import UNKNOWN_SPREAD, Spread, spread
from hwnas.validation import MOST_MS, Milliseconds, Name, Schema, checked

Floats = NDArray[np.float64]

A_RANGE = (0.5, 2.0)  # outside it the table and the networks were not measured on the same machine state
MOST_ERROR = 50.0  # percent on held-out networks, above which blocks and networks contradict each other
_PRIOR_SD, _NOISE_SD = 0.05, 0.02  # of d, and of one network's relative residual
_MEMBERS = 10  # networks, at least, that have a part before it gets a coefficient
FORMS = {"sum": 0, "scale": 1, "affine": 2, "affine+weights": 3}  # and how many of a, b, c are fitted
_PER_COEFFICIENT = 3  # networks; a alone is fitted to fewer


class CalibrationSchema(Schema):
    """The keys of a calibration; b and h may be negative, what an op costs never is."""

    form: Annotated[str, Field(max_length=100)] = "sum"
    a: Annotated[float, Field(ge=1e-3, le=1e3)] = 1.0
    b_ms: Annotated[float, Field(ge=-MOST_MS, le=MOST_MS)] = 0.0
    c_ms_per_mb: Milliseconds = 0.0
    log_spread: Annotated[float, Field(ge=0, le=5)] = UNKNOWN_SPREAD
    log_sd: Annotated[float, Field(ge=0, le=5)] = 0.0
    freedom: Annotated[float, Field(ge=0, le=MOST_MS)] = 0.0
    networks: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    loo_mape: Milliseconds | None = None
    held_out: Annotated[dict[Name, float | None], Field(max_length=100)] = Field(default_factory=dict)
    kernel_ms: Milliseconds = 0.0
    op_ms: Annotated[float, Field(ge=-MOST_MS, le=MOST_MS)] = 0.0
    kinds: Annotated[dict[Name, Annotated[float, Field(ge=-1e3, le=1e3)]], Field(max_length=100)] = (
        Field(default_factory=dict))
    shared_ms_per_mb: Annotated[float, Field(ge=-MOST_MS, le=MOST_MS)] = 0.0

    @model_validator(mode="after")
    def _positive(self) -> Self:
        if wrong := [kind for kind, k in self.kinds.items() if self.a + k <= 0]:
            raise ValueError(f"the factor a + kinds.{wrong[0][:40]} of an op's time must be above 0")
        if self.log_sd > 0 and self.freedom < 1:
            raise ValueError("a log_sd needs a freedom of 1 or more")
        return self


@dataclass(frozen=True)
class Parts:
    """What the sums of networks of cells are made of.

    Args:
        kinds_ms: kind of op -> s_i, shape (n,).
        shared_mb: g, shape (n,).
    """

    kinds_ms: Mapping[str, Floats]
    shared_mb: Floats

    def take(self, index: Any) -> Parts:
        """Those of some of the networks."""
        return Parts({k: v[index] for k, v in self.kinds_ms.items()}, self.shared_mb[index])


@dataclass(frozen=True)
class Calibration:
    """latency_ms = a * sum + b_ms + c_ms_per_mb * weights_mb, and what the parts of cells add, with its evidence.

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
        op_ms: o; an op costs nothing rather than less than that.
        kinds: kind of op -> k_i; none in a chain.
        shared_ms_per_mb: h.
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
    op_ms: float = 0.0
    kinds: Mapping[str, float] = field(default_factory=dict)
    shared_ms_per_mb: float = 0.0

    def apply(self, sum_ms: Floats, weights_mb: Floats, parts: Parts | None = None, ops: Floats | None = None
              ) -> Floats:
        """Calibrated latencies, ms; `parts` and the number of `ops` where the calibration was fitted to them."""
        latency = self.a * sum_ms + self.b_ms + self.c_ms_per_mb * weights_mb
        if ops is not None:
            latency = latency + self.op_ms * ops
        if parts is None:
            return latency
        for kind, k in self.kinds.items():
            latency = latency + k * parts.kinds_ms[kind]
        return latency - self.shared_ms_per_mb * parts.shared_mb

    def at_speed(self, factor: float) -> Calibration:
        """The same for a device that takes `factor` times as long for everything."""
        return replace(self, a=self.a * factor, b_ms=self.b_ms * factor, c_ms_per_mb=self.c_ms_per_mb * factor,
                       op_ms=self.op_ms * factor, kinds={kind: k * factor for kind, k in self.kinds.items()},
                       shared_ms_per_mb=self.shared_ms_per_mb * factor)

    def contradiction(self) -> str | None:
        """What shows that blocks and networks were not measured in one state of one machine; None if nothing does."""
        held_out = self.held_out.get("mape")
        if held_out is not None and held_out > MOST_ERROR:
            return f"its predictions are off by {held_out:.0f} % on networks that it has not seen"
        if held_out is None and self.loo_mape is not None and self.loo_mape > MOST_ERROR:
            return f"its predictions are off by {self.loo_mape:.0f} % on the networks that it was fitted to"
        return None

    @property
    def spread(self) -> Spread:
        """How far networks measure from their predictions; from the 90 % interval alone where no more is known."""
        return Spread(self.log_sd, self.freedom) if self.log_sd > 0 else Spread.of_half_width(self.log_spread)

    def to_json(self) -> dict[str, Any]:
        """The fields."""
        return {**asdict(self), "held_out": dict(self.held_out), "kinds": dict(self.kinds)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Calibration:
        """Read `to_json` back; fields of a later version are left out.

        Raises:
            TableError: a coefficient is no number or out of range.
        """
        return cls(**dict(checked(CalibrationSchema, data, "the calibration", TableError,
                                  "measure it again with `hwnas profile`")))


def fit(sum_ms: Floats, weights_mb: Floats, measured_ms: Floats, parts: Parts | None = None,
        ops: Floats | None = None) -> Calibration:
    """Ridge regression of relative errors, pulled towards the plain sum; any number of networks, also none.

    d minimises |y/s - 1 - X d|^2 / noise^2 + |d|^2 / prior^2 (Hoerl and Kennard, Technometrics 1970). If c comes out
    negative it is left out: weights never make a network faster. If the factor of a kind leaves 0.5..2, blocks and
    networks were not measured in one state of the machine, and the plain sum stays. On five sets of ten networks this
    was better than least squares with the number of coefficients chosen by leave-one-out, on average and at worst
    (benchmarks/latency_model.md).

    Args:
        sum_ms, weights_mb, measured_ms: s, w, y; shape (n,).
        parts: s_i and g for networks of cells; without it a, b and c alone are fitted.
        ops: n; without it, and where all networks have as many, o is 0.

    Returns:
        The calibration; its interval comes from leave-one-out residuals.
    """
    n = len(sum_ms)
    if not n:
        return Calibration()
    given = _Networks(sum_ms, weights_mb, measured_ms, parts, ops)
    found, predicted = _solve(given), _leave_one_out(given)
    loo_mape = 100 * float(np.abs(predicted / measured_ms - 1).mean())
    scale = spread(np.log(measured_ms / predicted))
    return replace(
        found, log_spread=scale.half_width(), log_sd=scale.log_sd, freedom=scale.freedom, networks=n, loo_mape=loo_mape
    )


@dataclass(frozen=True)
class _Networks:
    """s, w, y and the parts."""

    s: Floats
    w: Floats
    y: Floats
    parts: Parts | None
    n: Floats | None

    def take(self, index: Any) -> _Networks:
        parts = self.parts.take(index) if self.parts is not None else None
        return _Networks(self.s[index], self.w[index], self.y[index], parts, None if self.n is None else self.n[index])

    @property
    def counts(self) -> bool:
        """Whether the number of ops tells networks apart."""
        return self.n is not None and len(self.n) >= _MEMBERS and bool(np.ptp(self.n) > 0)

    @property
    def base(self) -> Floats:
        """What errors are relative to: the plain sum, unless it is absurdly small."""
        return np.maximum(self.s, 0.1 * self.y)

    def predicted(self, by: Calibration) -> Floats:
        return by.apply(self.s, self.w, self.parts, self.n)


def _solve(given: _Networks) -> Calibration:
    """The most coefficients that the networks allow and that are plausible."""
    allowed = max(1, len(given.s) // _PER_COEFFICIENT)
    forms = [item for item in sorted(FORMS.items(), key=lambda item: -item[1]) if 0 < item[1] <= allowed]
    richer = [(form, count, True) for form, count in forms if count > 1 and given.parts is not None]
    for form, count, with_parts in (*richer, *((form, count, False) for form, count in forms)):
        found = _ridge(given, form, count, with_parts)
        factors = [found.a + k for k in (0.0, *found.kinds.values())]
        if A_RANGE[0] <= min(factors) and max(factors) <= A_RANGE[1] and found.c_ms_per_mb >= 0:
            return found
    return Calibration()


def _ridge(given: _Networks, form: str, count: int, with_parts: bool) -> Calibration:
    """With the first `count` of a, b, c fitted, and k_i and h."""
    s, w, y = given.s, given.w, given.y
    m, mw = float(np.median(y)), float(np.median(w))
    scale = m / mw if mw > 0 else 0.0
    columns = [s, np.full_like(s, m), w * scale][:count]
    counted, each = given.counts and count == max(FORMS.values()), 0.0
    if counted and given.n is not None:
        each = m / float(np.median(given.n))
        columns.append(given.n * each)
    kinds: list[str] = []
    unit = 0.0
    if with_parts and given.parts is not None:
        kinds = sorted(k for k, v in given.parts.kinds_ms.items() if (v > 0).sum() >= _MEMBERS)
        columns += [given.parts.kinds_ms[kind] for kind in kinds]
        shared = given.parts.shared_mb
        unit = m / float(np.median(shared[shared > 0])) if (shared > 0).sum() >= _MEMBERS else 0.0
        columns += [-shared * unit] if unit else []
    d = _departures(columns, given)
    abc = [*d[:count], 0.0, 0.0, 0.0]
    found = Calibration(form, 1 + abc[0], abc[1] * m, abc[2] * scale)
    if counted:
        found = replace(found, form=f"{form}+ops", op_ms=d[count] * each)
    if not kinds:
        return found
    rest = d[count + counted:]
    return replace(
        found, form=f"{found.form}+parts", kinds=dict(zip(kinds, rest, strict=False)), shared_ms_per_mb=rest[-1] * unit
    )


def _departures(columns: list[Floats], given: _Networks) -> list[float]:
    """d for some columns of X * base."""
    design = np.stack(columns, axis=1) / given.base[:, None]
    penalty = np.eye(len(columns)) * (_NOISE_SD / _PRIOR_SD) ** 2
    found: list[float] = np.linalg.solve(
        design.T @ design + penalty, design.T @ ((given.y - given.s) / given.base)
    ).tolist()
    return found


def _leave_one_out(given: _Networks) -> Floats:
    """Every network predicted by a fit to the others; never below a tenth of what it is relative to."""
    if len(given.y) < 2:
        return given.base
    predicted = np.empty_like(given.y)
    for i in range(len(given.y)):
        one = given.take([i])
        predicted[i] = one.predicted(_solve(given.take(np.arange(len(given.y)) != i)))[0]
    return np.maximum(predicted, 0.1 * given.base)
