"""Steps on a product of simplices: natural gradients, their length, and floors that keep every op reachable.

    symbol   meaning                                                  shape
    theta    probabilities; 0 on dead ops (except mode reference)     d rows of K_i
    e        effects that drive the step                              d rows of K_i
    v        velocity, a tangent vector: each row sums to 0           d rows of K_i
    live     mask of ops not pruned                                   d rows of K_i
    delta    length of a step in the Fisher metric                    scalar
    gamma    momentum                                                 scalar
    free     choices with more than one op                            scalar
    tau_i    floor of choice i                                        scalar

Source: MIGO-NAS (TPAMI 43(9), 2021); numbers of equations are ours, the metric is that of the SNG family.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from hwnas.search.distribution import BoolArray, FloatArray, Rows

# Gradients shorter than this, relative to the largest effect, are rounding.
NOISE = 1e-12

Live = Sequence[BoolArray]
Move = Callable[[Rows, Rows, Rows, Live, float, float], tuple[Rows, Rows]]
"""move(theta, v, e, live, delta, gamma) -> (theta, v): the inputs are left as they are."""


def fisher_length(step: Rows, theta: Rows) -> float:
    """sqrt(sum_ik step_ik^2 / theta_ik) over the ops with mass; the step must be 0 where theta is."""
    return float(np.sqrt(sum(float((s[t > 0] ** 2 / t[t > 0]).sum()) for s, t in zip(step, theta, strict=True))))


def natural_gradient(theta: Rows, effects: Rows) -> Rows:
    """theta_k (e_k - sum_j theta_j e_j) per row: 0 on dead ops and on rows with one live op."""
    return [t * (e - t @ e) for t, e in zip(theta, effects, strict=True)]


def step_tangent(theta: Rows, velocity: Rows, effects: Rows, gamma: float) -> Rows:
    """The velocity after one cycle: gamma v + (1 - gamma) g, projected back to rows that sum to 0.

    The velocity must be 0 on dead ops, as theta is.

    Effects that are equal within every choice say nothing, and the velocity is all zero then: no step.
    """
    gradient = natural_gradient(theta, effects)
    largest = max(float(np.abs(e).max()) for e in effects)
    if fisher_length(gradient, theta) <= NOISE * largest:
        return [np.zeros_like(v) for v in velocity]
    mixed = [gamma * v + (1 - gamma) * g for v, g in zip(velocity, gradient, strict=True)]
    return [v - t * v.sum() for v, t in zip(mixed, theta, strict=True)]


def retract(theta: Rows, tangent: Rows) -> Rows:
    """theta exp(tangent / theta), renormalised: follows the tangent and never leaves the simplex."""
    rows = []
    for t, v in zip(theta, tangent, strict=True):
        exponent = np.divide(v, t, out=np.zeros_like(t), where=t > 0)
        moved = t * np.exp(exponent - exponent[t > 0].max())
        rows.append(moved / moved.sum())
    return rows


def lift(theta: Rows, live: Live, free: int) -> Rows:
    """Floor of the corrected modes: tau + (1 - n tau) theta on the n live ops, tau = min(1/(free (n-1)), 1/(2n)).

    The second term keeps the floor feasible for one or two choices, where the paper's freezes the search.
    """
    rows = []
    for t, mask in zip(theta, live, strict=True):
        n = int(mask.sum())
        tau = min(1 / (free * (n - 1)), 1 / (2 * n)) if n > 1 else 0.0
        lifted = np.where(mask, tau + (1 - n * tau) * t, 0.0)
        rows.append(lifted / lifted.sum())
    return rows


def clamp(theta: Rows, free: int) -> Rows:
    """Floor of the reference: cut at tau = 1/(free (K-1)), take the excess from what is above it, renormalise.

    Where K tau >= 1 (one choice, or two of two ops) no law satisfies the paper's floor: 1/(2K) replaces it.
    """
    rows = []
    for t in theta:
        k = len(t)
        tau = 1 / (free * (k - 1))
        tau = tau if k * tau < 1 else 1 / (2 * k)
        cut = np.maximum(t, tau)
        cut = cut - (cut.sum() - 1) * (cut - tau) / (cut.sum() - k * tau)
        rows.append(cut / cut.sum())
    return rows


def reference_move(
    theta: Rows, velocity: Rows, effects: Rows, live: Live, delta: float, gamma: float
) -> tuple[Rows, Rows]:
    """The paper's update, after a fair cycle on rows of equal length.

    g = e/n; v <- gamma v + (1 - gamma) delta/(|g| + 1e-8) g; theta <- clamp(theta + v). The step is shorter than delta
    because the trust region comes before the momentum, and dead ops keep their mass: both as released.
    """
    gradient = [np.where(mask, e / mask.sum(), 0.0) for e, mask in zip(effects, live, strict=True)]
    scale = (1 - gamma) * delta / (fisher_length(gradient, theta) + 1e-8)
    moved = [gamma * v + scale * g for v, g in zip(velocity, gradient, strict=True)]
    return clamp([t + v for t, v in zip(theta, moved, strict=True)], len(theta)), moved


def corrected_move(
    theta: Rows, velocity: Rows, effects: Rows, live: Live, delta: float, gamma: float
) -> tuple[Rows, Rows]:
    """Natural gradient with momentum, length exactly delta, along the exponential map, then `lift`."""
    tangent = step_tangent(theta, velocity, effects, gamma)
    length = fisher_length(tangent, theta)
    return _finish(theta, velocity, tangent, live, [delta / length if length else 0.0] * len(theta))


def per_row_move(
    theta: Rows, velocity: Rows, effects: Rows, live: Live, delta: float, gamma: float
) -> tuple[Rows, Rows]:
    """`corrected_move` with every row at length delta/sqrt(free): no row spends the budget of another."""
    tangent = step_tangent(theta, velocity, effects, gamma)
    lengths = [fisher_length([v], [t]) for v, t in zip(tangent, theta, strict=True)]
    # A row whose effects cancel leaves rounding; normalised to full length it would be a random step.
    noise = NOISE * max(float(np.abs(e).max()) for e in effects)
    target = delta / np.sqrt(_free(theta))
    return _finish(theta, velocity, tangent, live, [target / x if x > noise else 0.0 for x in lengths])


def _finish(
    theta: Rows, velocity: Rows, tangent: Rows, live: Live, scales: Sequence[float]
) -> tuple[Rows, Rows]:
    if not any(scales):
        return theta, velocity
    scaled: Rows = [scale * v for scale, v in zip(scales, tangent, strict=True)]
    return lift(retract(theta, scaled), live, _free(theta)), tangent


def _free(theta: Sequence[FloatArray]) -> int:
    return sum(len(t) > 1 for t in theta)
