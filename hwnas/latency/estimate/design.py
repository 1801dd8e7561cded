"""Which networks to measure, so that a few say the most about a device.

Greedy D-optimal design: always the network whose relative latency the parts' factors leave most uncertain, given those
already picked (V. Fedorov, "Theory of optimal experiments", 1972). Nothing measured goes in.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import UsageError
from hwnas.latency.estimate.analytic import hardware_of
from hwnas.latency.estimate.model import EstimatedModel, Run, run_of
from hwnas.latency.estimate.regressors import Regressors
from hwnas.latency.estimate.roofline import Roofline
from hwnas.space import Architecture
from hwnas.target import Target

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
    return choose_runs(model, target, [run_of(arch) for arch in candidates], count)


def choose_runs(model: EstimatedModel, target: Target, candidates: Sequence[Run], count: int) -> list[int]:
    """As `choose`, for networks given as what the device executes."""
    if not 1 <= count <= len(candidates):
        raise UsageError(f"can pick 1 to {len(candidates)} of {len(candidates)} networks; got {count}")
    latency = np.array([model.run_ms(run) for run in candidates])
    parts = Regressors(Roofline.of(target, hardware_of(target)), float(np.median(latency)))
    share = np.array([parts.of_run(run) for run in candidates]) / latency[:, None]
    return most_telling(share, np.where(parts.expected > 0, 1.0, _DEPARTURE), count)


def most_telling(share: NDArray[np.float64], sd: NDArray[np.float64], count: int) -> list[int]:
    """The greedy design itself.

    Args:
        share: parts of every candidate's latency, over the latency, shape (n, k).
        sd: how uncertain the parts' factors are before anything was measured, shape (k,).
        count: how many to pick, at most n.
    """
    covariance = np.diag(sd**2)
    picked: list[int] = []
    for _ in range(count):
        reach = share @ covariance
        variance = (reach * share).sum(axis=1)
        variance[picked] = -1.0
        best = int(np.argmax(variance))
        picked.append(best)
        covariance -= np.outer(reach[best], reach[best]) / (variance[best] + _NOISE**2)
    return picked
