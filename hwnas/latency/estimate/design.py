"""Which networks to measure, so that a few say the most about a device.

Greedy D-optimal design: always the network whose relative latency the parts' factors leave most uncertain, given those
already picked (V. Fedorov, "Theory of optimal experiments", 1972). Nothing measured goes in. Which rule of execution
holds is not known yet either, so what counts is the mean over all rules of the logarithm by which a network narrows
what is known under each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import UsageError
from hwnas.latency.estimate.analytic import hardware_of
from hwnas.latency.estimate.model import EstimatedModel
from hwnas.latency.estimate.regressors import Regressors
from hwnas.latency.estimate.roofline import Roofline
from hwnas.latency.estimate.rules import Rule, Run, rules_of, run_of
from hwnas.space import Architecture
from hwnas.target import Target

Floats = NDArray[np.float64]
_NOISE, _DEPARTURE = 0.03, 0.3  # as in `estimate.adapt`, between its strengths


def choose(model: EstimatedModel, target: Target, candidates: Sequence[Architecture], count: int) -> list[int]:
    """Indices of the candidates to measure, the most telling first.

    Args:
        model: what `estimate` gave for the space and the target.
        candidates: networks drawn at random; some hundreds are enough.
        count: how many to pick.

    Raises:
        UsageError: more than there are candidates, or none.
        InputError: the target states no hardware.
    """
    if not 1 <= count <= len(candidates):
        raise UsageError(f"can pick 1 to {len(candidates)} of {len(candidates)} networks; got {count}")
    rules = rules_of(candidates[0].space)
    return choose_runs(target, {rule: [run_of(arch, rule) for arch in candidates] for rule in rules}, count)


def choose_runs(target: Target, candidates: Mapping[Rule, Sequence[Run]], count: int) -> list[int]:
    """As `choose`, for networks given as what the device executes under each rule that it may follow."""
    roofline = Roofline.of(target, hardware_of(target))
    shares, sd = [], np.zeros(0)
    for runs in candidates.values():
        plain = Regressors.typical(roofline, runs, np.ones(len(runs)))
        latency = plain.of_runs(runs) @ plain.expected
        parts = Regressors.typical(roofline, runs, latency)
        shares.append(parts.of_runs(runs) / latency[:, None])
        sd = np.where((parts.expected > 0) | parts.measured, 1.0, _DEPARTURE)
    return most_telling(shares, sd, count)


def most_telling(shares: Sequence[Floats], sd: Floats, count: int) -> list[int]:
    """The greedy design itself.

    Args:
        shares: for every rule, parts of every candidate's latency over the latency, shape (n, k).
        sd: how uncertain the parts' factors are before anything was measured, shape (k,).
        count: how many to pick, at most n.
    """
    covariances = [np.diag(sd**2) for _ in shares]
    picked: list[int] = []
    for _ in range(count):
        reaches = [share @ covariance for share, covariance in zip(shares, covariances, strict=True)]
        variances = [(reach * share).sum(axis=1) for reach, share in zip(reaches, shares, strict=True)]
        gain = np.sum([np.log1p(variance / _NOISE**2) for variance in variances], axis=0)
        gain[picked] = -1.0
        best = int(np.argmax(gain))
        picked.append(best)
        covariances = [covariance - np.outer(reach[best], reach[best]) / (variance[best] + _NOISE**2)
                       for covariance, reach, variance in zip(covariances, reaches, variances, strict=True)]
    return picked
