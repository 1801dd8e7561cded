"""A latency model of elsewhere made this device's by a few whole networks that were timed on it.

A table of another version of the runtime, of another clock, of a sibling device or of a publication knows what its ops
cost relative to each other, and not what they cost here. So its predictions are split into parts, and the networks say
by what factors the parts are off; an estimate has parts of its own (`hwnas.latency.estimate.regressors`). The
regression is the same for both: `hwnas.latency.estimate.adapt.fit_factors`.

    all       the prior's prediction                                        expected factor 1
    constant  what every call costs                                         0
    op        what every op costs beside its time: a launch                 0
    weights   MB of weights                                                 0
    wide      ops on the larger half of the maps                            0
    large k   ops with a kernel above 3                                     0
    kinds     ops of one kind, one part each where there are several        0

A prior can be worth nothing, and so can the times of networks on a busy machine. What has to be beaten is a straight
line in FLOPs through the same networks, and `MOST_ERROR`.

Glossary
    y    measured latencies, ms, shape (n,)
    X    parts of the prior's predictions, ms, shape (n, k)
    e    relative errors of every network predicted from the others, shape (n,)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import UsageError
from hwnas.latency import estimate
from hwnas.latency.estimate.adapt import adapted_calibration, checked_latencies, fit_factors
from hwnas.latency.estimate.design import most_telling
from hwnas.latency.estimate.model import SOURCE, EstimatedModel
from hwnas.latency.executed_ops import live_ops
from hwnas.latency.model import LatencyModel
from hwnas.space import Architecture, Op
from hwnas.target import Target

Floats = NDArray[np.float64]
MOST_ERROR = 20.0
"""Percent, of networks that are predicted from the others: from there on the 90 % interval is wider than a factor of
1.5 to each side, and half of a latency, the usual budget, cannot be told from three quarters of it."""
_UNIT = 0.2  # of a typical network's latency: what constant, launches and weights amount to at a factor of 1
_ALL, _CONSTANT, _OP, _WEIGHTS, _WIDE, _LARGE, _KINDS = range(7)
_ALL_SD, _PART_SD = 1.0, 0.3  # of the factors before anything was measured, for the choice of networks


@dataclass(frozen=True)
class Adapted:
    """A prior after a few networks were measured, and what it is worth.

    Args:
        model: its source is 'estimated': no op was measured on the device; the interval comes from e.
        error: mean of |e|, percent.
        line_error: the same of a straight line in FLOPs through the same networks.
        scaled_error: the same of the prior times one factor.
    """

    model: LatencyModel
    error: float
    line_error: float
    scaled_error: float

    @property
    def useless(self) -> str:
        """Why it is worth nothing; empty where it is worth something."""
        return useless(self.error, self.line_error)


def useless(error: float, line_error: float) -> str:
    """Why an adapted prior is worth nothing, as the end of a sentence; empty where it is worth something.

    Args:
        error: of networks predicted from the others, percent; `line_error` by a line in FLOPs.
    """
    found = f"each network that was timed is predicted from the others with an error of {error:.1f} %"
    if error >= line_error:
        return f"{found}, and a line in FLOPs predicts them with {line_error:.1f} %"
    return f"{found}, more than {MOST_ERROR:.0f} %" if error > MOST_ERROR else ""


def choose(prior: LatencyModel, target: Target, candidates: Sequence[Architecture], count: int) -> list[int]:
    """Indices of the candidates whose latencies say the most about how a prior is off, the most telling first.

    Raises:
        UsageError: more than there are candidates, or none.
        MissingEntry: the prior lacks an op of one.
    """
    if isinstance(prior, EstimatedModel):
        return estimate.choose(prior, target, candidates, count)
    if not 1 <= count <= len(candidates):
        raise UsageError(f"can pick 1 to {len(candidates)} of {len(candidates)} networks; got {count}")
    parts = _Parts(prior, candidates)
    share = parts.of_networks(candidates) / prior.predict_ms(candidates)[:, None]
    return most_telling([share], np.where(parts.expected > 0, _ALL_SD, _PART_SD), count)


def adapt(prior: LatencyModel, target: Target, networks: Sequence[Architecture],
          measured_ms: Sequence[float]) -> Adapted:
    """The prior after networks of its space were measured on the device.

    Args:
        networks: five or more, all different; `choose` picks them.
        measured_ms: y.

    Raises:
        UsageError: fewer than five networks, or not one latency for each.
        InputError: a latency is not a positive number.
        MissingEntry: a network has an op that the prior lacks.
    """
    y = checked_latencies(len(networks), measured_ms)
    model = (estimate.adapt(prior, target, networks, measured_ms) if isinstance(prior, EstimatedModel)
             else _adapted(prior, networks, y))
    said = prior.predict_ms(networks)
    return Adapted(model, float(model.calibration.loo_mape or 0.0), line_error(networks, y),
                   _mean_percent(left_out(said[:, None], y)))


def line_error(networks: Sequence[Architecture], y: Floats) -> float:
    """Mean of |e| of a straight line in FLOPs, percent: what a prior has to beat."""
    flops = [arch.flops for arch in networks]
    return _mean_percent(left_out(np.stack([np.ones(len(y)), flops], axis=1), y))


def _mean_percent(e: Floats) -> float:
    return 100 * float(np.abs(e).mean())


def left_out(columns: Floats, y: Floats) -> Floats:
    """e of least squares of relative errors on some columns, shape (n, k), in closed form."""
    share = columns / np.abs(columns).max(axis=0) / y[:, None]
    hat = share @ np.linalg.pinv(share)
    e: Floats = (1 - hat.sum(axis=1)) / np.maximum(1 - np.diag(hat), 1e-9)
    return e


def _adapted(prior: LatencyModel, networks: Sequence[Architecture], y: Floats) -> LatencyModel:
    parts = _Parts(prior, networks)
    factors, errors = fit_factors(parts.of_networks(networks), y, parts.expected)
    ops = {signature: Op.parse(signature) for signature in prior.entries_ms}
    entries = {signature: max(0.0, float(parts.of_op(op) @ factors)) for signature, op in ops.items()}
    constant = factors[_ALL] * prior.calibration.b_ms + factors[_CONSTANT] * parts.unit_ms
    found = replace(adapted_calibration(float(constant), errors),
                    shared_ms_per_mb=max(0.0, float(factors[_ALL])) * prior.calibration.shared_ms_per_mb)
    return replace(prior, source=SOURCE, entries_ms=entries, errors_ms={}, calibration=found)


class _Parts:
    """Splits ops and networks into parts, shape (k,), ms.

    Args:
        networks: what is typical is taken from them.
    """

    def __init__(self, prior: LatencyModel, networks: Sequence[Architecture]) -> None:
        self._prior = replace(prior, errors_ms={})
        runs = [live_ops(arch) for arch in networks]
        kinds = sorted({op.kind for run in runs for op in run if op.timed})
        self._kinds = kinds if len(kinds) > 1 else []
        self._middle = float(np.median([op.height for run in runs for op in run]))
        self._ops, self._mb = (max(float(np.median(values)), 1e-9) for values in (
            [sum(op.timed for op in run) for run in runs], [sum(map(prior.weights_mb, run)) for run in runs]))
        self.unit_ms = _UNIT * float(np.median(prior.predict_ms(networks)))

    @cached_property
    def expected(self) -> Floats:
        """What the factors are before anything was measured, shape (k,)."""
        return np.array([1.0] + [0.0] * (_KINDS - 1 + len(self._kinds)))

    def of_op(self, op: Op) -> Floats:
        """Parts of an op."""
        found = np.zeros(len(self.expected))
        if not op.timed:
            return found
        cost = self._prior.op_cost_ms(op)
        found[_ALL] = cost
        found[_OP] = self.unit_ms / self._ops
        found[_WEIGHTS] = self.unit_ms * self._prior.weights_mb(op) / self._mb
        found[_WIDE] = cost * (op.height > self._middle)
        found[_LARGE] = cost * (op.kernel > 3)
        if op.kind in self._kinds:
            found[_KINDS + self._kinds.index(op.kind)] = cost
        return found

    def of_networks(self, networks: Sequence[Architecture]) -> Floats:
        """X."""
        runs = [live_ops(arch) for arch in networks]
        known = {op.signature: self.of_op(op) for run in runs for op in run}
        x = np.array([np.sum([known[op.signature] for op in run], axis=0) for run in runs])
        x[:, _ALL] = self._prior.predict_ms(networks)
        x[:, _CONSTANT] = self.unit_ms
        return x
