"""Adapting an estimate to a device with a few measured networks.

The roofline says what the parts of a latency should be; the measurements say by what factors the parts are off. With
5 to 20 networks these factors are known badly, so they are pulled towards one common factor: a Bayesian linear
regression (C. Rasmussen, C. Williams, "Gaussian processes for machine learning", 2006, sections 2.1 and 5.4) on
relative errors, with parts that cannot be negative. How strong the pull is, the networks say as well, and so do they
which rule of execution holds: every strength under every rule is scored by half its evidence (the scale of all
variances integrated out) and half by how well it predicts every network from the others. Strengths are averaged; the
rule that scores best, where what is more usual has a head start, is taken.

Glossary
    y    measured latencies, ms, shape (n,)
    X    parts of the estimated latency, ms, shape (n, k); see `Regressors`
    A    X / y: what the parts explain of each latency, shape (n, k)
    m    what the factors should be before anything was measured, times the common factor s, shape (k,)
    d    standard deviations of the factors around m, shape (k,)
    v    standard deviation of a relative error
    K    A d^2 A' + v^2, the covariance of 1 - A m, shape (n, n)
    e    1 - A f with every f fitted to the other networks: leave-one-out errors, shape (n,)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import InputError, UsageError
from hwnas.latency.calibrate import Calibration
from hwnas.latency.estimate.analytic import content_hash, hardware_of
from hwnas.latency.estimate.model import EstimatedModel
from hwnas.latency.estimate.regressors import Regressors
from hwnas.latency.estimate.roofline import Roofline
from hwnas.latency.estimate.rules import COMPILED, LOG_ODDS, Rule, Run, rule_named, rules_of, run_of
from hwnas.latency.intervals import spread
from hwnas.space import Architecture, Op
from hwnas.target import Target

Floats = NDArray[np.float64]
MIN_NETWORKS = 5
_FACTOR_SD = 2.0  # of the factors of the roofline's own parts, relative to s
_STRENGTHS = [(noise, departure) for noise in (0.01, 0.02, 0.05, 0.1) for departure in (0.05, 0.5)]  # v, d of others
_STEPS = 200
_LEAST_WEIGHT = 0.01  # of a strength, below which it changes nothing
_CHOSEN = 3  # residuals' worth of what was chosen in sight of them: strengths and a rule


@dataclass(frozen=True)
class Fit:
    """What networks say of the factors under one rule of execution.

    Args:
        factors: shape (k,).
        errors: e.
        evidence: logarithm of how well the rule explains the networks, up to a constant of y.
    """

    factors: Floats
    errors: Floats
    evidence: float

    @property
    def error(self) -> float:
        """Mean of |e|, percent."""
        return 100 * float(np.abs(self.errors).mean())


def adapt(
    model: EstimatedModel, target: Target, networks: Sequence[Architecture], measured_ms: Sequence[float],
    rule: str | None = None,
) -> EstimatedModel:
    """The estimate after a few networks of its space were measured on the device.

    Args:
        model: what `estimate` gave for the space and the target.
        networks: 5 to 20; `hwnas.latency.estimate.design.choose` picks those that say the most.
        measured_ms: their latencies.
        rule: how they were executed, where it is known (`hwnas.latency.estimate.rules`); None lets the networks say.

    Returns:
        A model with source 'estimated' still, whose band comes from predicting every network from the others, and
        whose `rule` is the one that fits.

    Raises:
        UsageError: fewer than five networks, or not one latency for each.
        InputError: a latency is not a positive number, or the target states no hardware.
        MissingEntry: a network is of another space.
        UnknownName: the space has no such rule.
    """
    checked_latencies(len(networks), measured_ms)
    space = networks[0].space
    rules = rules_of(space) if rule is None else (rule_named(rule, space),)
    return adapt_runs(model, target, {r: [run_of(arch, r) for arch in networks] for r in rules}, measured_ms)


def adapt_runs(
    model: EstimatedModel, target: Target, runs: Mapping[Rule, Sequence[Run]], measured_ms: Sequence[float]
) -> EstimatedModel:
    """As `adapt`, for networks given as what the device executed under the rules that it may follow."""
    rule = best_rule(fits(model, target, runs, measured_ms))
    y = np.asarray(measured_ms, dtype=np.float64)
    parts = _parts(target, runs[rule], y)
    fit = weigh(parts.of_runs(runs[rule]), y, parts.expected, parts.measured)
    ops = {s: Op.parse(s) for s in model.entries_ms} | {op.signature: op for run in runs[rule] for op, _ in run}
    if rule == COMPILED:
        ops = {s: op for s, op in ops.items() if not op.cuts}
    entries = {s: max(0.0, float(parts.of_op(op) @ fit.factors)) for s, op in ops.items()}
    terms = {s: parts.terms(op, fit.factors) for s, op in ops.items() if s in model.terms_ms}
    return replace(
        model, entries_ms=entries, terms_ms=terms, errors_ms={}, table_hash=content_hash(target, entries), rule=rule,
        ways=(),
        calibration=adapted_calibration(parts.constant(fit.factors), fit.errors),
    )


def fits(
    model: EstimatedModel, target: Target, runs: Mapping[Rule, Sequence[Run]], measured_ms: Sequence[float]
) -> dict[Rule, Fit]:
    """How every rule fits; arguments and errors as of `adapt_runs`."""
    y = checked_latencies(len(next(iter(runs.values()))), measured_ms)
    for op in {op for each in runs.values() for run in each for op, _ in run}:
        model.op_cost_ms(op)
    found = {}
    for rule, each in runs.items():
        parts = _parts(target, each, y)
        found[rule] = weigh(parts.of_runs(each), y, parts.expected, parts.measured)
    return found


def best_rule(found: Mapping[Rule, Fit]) -> Rule:
    """The most probable one."""
    return max(found, key=lambda rule: found[rule].evidence + LOG_ODDS[rule])


def _parts(target: Target, runs: Sequence[Run], y: Floats) -> Regressors:
    return Regressors.typical(Roofline.of(target, hardware_of(target)), runs, y)


def adapted_calibration(constant_ms: float, errors: Floats) -> Calibration:
    """What every call costs, and the interval that leave-one-out errors e show.

    They are a little too small, since what predicts them was chosen in sight of them.
    """
    n = len(errors)
    wider = math.sqrt(n / (n - _CHOSEN))
    found = spread(-np.log1p(-np.clip(wider * errors, -3.0, 0.75)))
    return Calibration(
        form="adapted", b_ms=constant_ms, log_spread=found.half_width(), log_sd=found.log_sd, freedom=found.freedom,
        networks=n, loo_mape=100 * float(np.abs(errors).mean()),
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
    found = weigh(design, y, expected)
    return found.factors, found.errors


def weigh(design: Floats, y: Floats, expected: Floats, measured: NDArray[np.bool_] | None = None) -> Fit:
    """Factors and errors, weighted over the strengths of the pull.

    Args:
        design: X.
        expected: m / s.
        measured: of which parts a factor of 1 is one standard deviation, whatever s is; shape (k,).
    """
    common = math.exp(float(np.median(np.log(y / (design @ expected)))))
    share, mean, own = design / y[:, None], expected * common, expected > 0
    known = np.zeros_like(own) if measured is None else measured
    strengths = [(noise, np.where(known, 1.0, np.where(own, _FACTOR_SD, departure) * common))
                 for noise, departure in _STRENGTHS]
    scored = [_scored(share, mean, sd, noise) for noise, sd in strengths]
    scores = np.array([score for score, _ in scored])
    weights = np.exp(scores - scores.max())
    evidence = float(scores.max() + math.log(weights.mean()))
    weights[weights < _LEAST_WEIGHT * weights.sum()] = 0.0
    weights /= weights.sum()
    factors, errors = np.zeros_like(expected), np.zeros_like(y)
    for weight, (noise, sd), (_, error) in zip(weights, strengths, scored, strict=True):
        if weight > 0:
            factors += weight * posterior(share, mean, sd, noise, own)
            errors += weight * error
    return Fit(factors, errors, evidence)


def _scored(share: Floats, mean: Floats, sd: Floats, noise: float) -> tuple[float, Floats]:
    """(score, e): the mean of log evidence and of the log likelihood of e, each at its best scale."""
    covariance, off, n = _covariance(share, sd, noise), 1 - share @ mean, len(share)
    error = leave_one_out(share, mean, sd, noise)
    likely = -np.linalg.slogdet(covariance)[1] - n * math.log(float(off @ np.linalg.solve(covariance, off)) / n + 1e-12)
    return float(likely - n * math.log(float((error**2).mean()) + 1e-12)) / 4, error


def _covariance(share: Floats, sd: Floats, noise: float) -> Floats:
    """K."""
    found: Floats = (share * sd**2) @ share.T + noise**2 * np.eye(len(share))
    return found


def leave_one_out(share: Floats, mean: Floats, sd: Floats, noise: float) -> Floats:
    """e in closed form (Rasmussen and Williams, equation 5.12)."""
    inverse = np.linalg.inv(_covariance(share, sd, noise))
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
