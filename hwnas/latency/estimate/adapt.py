"""Adapting an estimate to a device with a few measured networks.

The roofline says what the parts of a latency should be; the measurements say by what factors the parts are off. With
5 to 20 networks these factors are known badly, so they are pulled towards one common factor: a Bayesian linear
regression (C. Rasmussen, C. Williams, "Gaussian processes for machine learning", 2006, section 2.1) on relative
errors, with parts that cannot be negative. How strong the pull is, the networks say as well: several strengths are
tried and weighted by how well each predicts every network from the others.

Glossary
    y    measured latencies, ms, shape (n,)
    X    parts of the estimated latency, ms, shape (n, k); see `Regressors`
    A    X / y: what the parts explain of each latency, shape (n, k)
    m    what the factors should be before anything was measured, times the common factor s, shape (k,)
    d    standard deviations of the factors around m, shape (k,)
    v    standard deviation of a relative error
    e    1 - A f with every f fitted to the other networks: leave-one-out errors, shape (n,)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import InputError, UsageError
from hwnas.latency.calibrate import Calibration
from hwnas.latency.estimate.analytic import content_hash, hardware_of
from hwnas.latency.estimate.model import EstimatedModel, Run, run_of
from hwnas.latency.estimate.regressors import Regressors
from hwnas.latency.estimate.roofline import Roofline
from hwnas.latency.intervals import spread
from hwnas.space import Architecture, Op
from hwnas.target import Target

Floats = NDArray[np.float64]
MIN_NETWORKS = 5
_FACTOR_SD = 2.0  # of the factors of the roofline's own parts, relative to s
_STRENGTHS = [(noise, departure) for noise in (0.01, 0.02, 0.05) for departure in (0.05, 0.5)]  # v, d of the others
_STEPS = 200


def adapt(
    model: EstimatedModel, target: Target, networks: Sequence[Architecture], measured_ms: Sequence[float]
) -> EstimatedModel:
    """The estimate after a few networks of its space were measured on the device.

    Args:
        model: what `estimate` gave for the space and the target.
        networks: 5 to 20; `hwnas.latency.estimate.design.choose` picks those that say the most.
        measured_ms: their latencies.

    Returns:
        A model with source 'estimated' still, whose band comes from predicting every network from the others.

    Raises:
        UsageError: fewer than five networks, or not one latency for each.
        InputError: a latency is not a positive number, or the target states no hardware.
        MissingEntry: a network is of another space.
    """
    return adapt_runs(model, target, [run_of(arch) for arch in networks], measured_ms)


def adapt_runs(
    model: EstimatedModel, target: Target, runs: Sequence[Run], measured_ms: Sequence[float]
) -> EstimatedModel:
    """As `adapt`, for networks given as what the device executed."""
    y = checked_latencies(len(runs), measured_ms)
    ops = {s: Op.parse(s) for s in model.entries_ms}
    for run in runs:
        for op, _ in run:
            model.op_cost_ms(op)
    parts = Regressors(Roofline.of(target, hardware_of(target)), constant_ms=float(np.median(y)))
    design = np.array([parts.of_run(run) for run in runs])
    factors, errors = fit_factors(design, y, parts.expected)
    entries = {s: max(0.0, float(parts.of_op(op) @ factors)) for s, op in ops.items()}
    terms = {s: parts.terms(op, factors) for s, op in ops.items() if s in model.terms_ms}
    return replace(
        model, entries_ms=entries, terms_ms=terms, errors_ms={}, table_hash=content_hash(target, entries),
        calibration=adapted_calibration(parts.constant(factors), errors),
    )


def adapted_calibration(constant_ms: float, errors: Floats) -> Calibration:
    """What every call costs, and the interval that leave-one-out errors e show."""
    found = spread(-np.log1p(-np.clip(errors, -3.0, 0.75)))
    return Calibration(
        form="adapted", b_ms=constant_ms, log_spread=found.half_width(), log_sd=found.log_sd, freedom=found.freedom,
        networks=len(errors), loo_mape=100 * float(np.abs(errors).mean()),
    )


def checked_latencies(networks: int, measured_ms: Sequence[float]) -> Floats:
    """y.

    Raises:
        UsageError: fewer than five networks, or not one latency for each.
        InputError: a latency is not a positive number.
    """
    if networks != len(measured_ms) or networks < MIN_NETWORKS:
        raise UsageError(
            f"adapting takes at least {MIN_NETWORKS} networks and one latency for each; "
            f"got {networks} networks and {len(measured_ms)} latencies"
        )
    y = np.asarray(measured_ms, dtype=np.float64)
    if not (np.isfinite(y).all() and (y > 0).all()):
        wrong = next(ms for ms in measured_ms if not (math.isfinite(ms) and ms > 0))
        raise InputError(f"a measured latency must be a positive number of ms; got {wrong}")
    return y


def fit_factors(design: Floats, y: Floats, expected: Floats) -> tuple[Floats, Floats]:
    """Factors, shape (k,), and leave-one-out errors, shape (n,): both weighted over the strengths."""
    common = math.exp(float(np.median(np.log(y / (design @ expected)))))
    share, mean = design / y[:, None], expected * common
    own = expected > 0
    factors, errors, scores = [], [], []
    for noise, departure in _STRENGTHS:
        sd = np.where(own, _FACTOR_SD, departure) * common
        error = leave_one_out(share, mean, sd, noise)
        factors.append(posterior(share, mean, sd, noise, own))
        errors.append(error)
        scores.append(-len(y) / 2 * math.log(float((error**2).mean()) + 1e-12))
    weights = np.exp(np.array(scores) - max(scores))
    weights /= weights.sum()
    return weights @ np.array(factors), weights @ np.array(errors)


def leave_one_out(share: Floats, mean: Floats, sd: Floats, noise: float) -> Floats:
    """e in closed form (Rasmussen and Williams, equation 5.12)."""
    inverse = np.linalg.inv((share * sd**2) @ share.T + noise**2 * np.eye(len(share)))
    error: Floats = (inverse @ (1 - share @ mean)) / np.diag(inverse)
    return error


def posterior(share: Floats, mean: Floats, sd: Floats, noise: float, positive: NDArray[Any]) -> Floats:
    """The most probable factors, those in `positive` not below 0, by coordinate descent on a strictly convex sum."""
    precision = share.T @ share / noise**2 + np.diag(1 / sd**2)
    pull = share.sum(axis=0) / noise**2 + mean / sd**2
    factors: Floats = np.linalg.solve(precision, pull)
    if (factors[positive] >= 0).all():
        return factors
    factors = np.where(positive, np.maximum(factors, 0.0), factors)
    for _ in range(_STEPS):
        for i, bounded in enumerate(positive):
            step = factors[i] + (pull[i] - precision[i] @ factors) / precision[i, i]
            factors[i] = max(0.0, step) if bounded else step
    return factors
