"""A few whole networks timed on a device, chosen so that they say the most about how a latency model is off there."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwnas.errors import UsageError
from hwnas.latency import LatencyModel
from hwnas.latency import prior as priors
from hwnas.latency.prior import Adapted
from hwnas.profile import campaign as campaigns
from hwnas.profile.calibration_networks import draw
from hwnas.profile.graph_format import recipe_for
from hwnas.profile.plan import Job
from hwnas.progress import Progress, silent
from hwnas.runtime import Device
from hwnas.space import Architecture, Space
from hwnas.target import Target

LEAST, MOST = 8, 20  # networks; with fewer an interval says next to nothing
SECONDS = 15.0  # of timing: with loading, less than 20 in all
_CANDIDATES = 200


@dataclass(frozen=True)
class AdaptedHere:
    """A prior after networks were timed on a device.

    Args:
        found: the model and what it is worth.
        networks: those that were timed.
        networks_ms: their latencies.
        device: fingerprint, as `Fingerprint.to_json` gives it.
        kernel_ms: the reference kernel meanwhile.
        seconds: all that it took.
        warnings: about the machine meanwhile.
        noise: standard deviation of the ratios between the networks' times in two halves of the visits.
    """

    found: Adapted
    networks: tuple[Architecture, ...]
    networks_ms: tuple[float, ...]
    device: Mapping[str, Any]
    kernel_ms: float
    seconds: float
    warnings: tuple[str, ...]
    noise: float = 0.0


def adapt_on(space: Space, target: Target, prior: LatencyModel, device: Device, *, count: int = MOST, seed: int = 0,
             max_seconds: float = SECONDS, calm_kernel_ms: float = 0.0, progress: Progress = silent) -> AdaptedHere:
    """Choose networks by design, time them interleaved on the device and adapt the prior to them.

    Args:
        prior: holds every op of the space.
        count: of networks, `LEAST` to `MOST`.
        max_seconds: of timing; `patience()` more where the device is known to be calm at times, and is not.
        calm_kernel_ms: of the reference kernel on the device when it is calm; 0 where nothing says.

    Raises:
        UsageError: another count, or a space of fewer networks.
        InputError: the device cannot be reached or cannot execute the networks.
        MissingEntry: the prior lacks an op.
    """
    if not LEAST <= count <= MOST:
        raise UsageError(f"a prior is adapted by {LEAST} to {MOST} networks; got {count}")
    begin = time.perf_counter()
    networks = _chosen(space, target, prior, count, seed)
    here = device.fingerprint()
    job = Job(space, (), (), networks, target.batch, seed, max_seconds, calm_kernel_ms=calm_kernel_ms)
    recipe = recipe_for(target, here.runtime_version)
    campaign = job.campaign(0, {}, {}, 0.0)
    models, plan = job.part(0, campaign, recipe)
    outcome = campaigns.run(campaign, device, models, plan, processor_clock=recipe.processor_clock,
                            flush=lambda entries: None, progress=progress)
    measured = outcome.networks_ms.tolist()
    return AdaptedHere(priors.adapt(prior, target, networks, measured), networks, tuple(measured), here.to_json(),
                       outcome.seen_kernel_ms, time.perf_counter() - begin, outcome.warnings,
                       outcome.noise["label_noise"])


def _chosen(space: Space, target: Target, prior: LatencyModel, count: int, seed: int) -> tuple[Architecture, ...]:
    candidates = _drawn(space, seed)
    if len(candidates) < count:
        raise UsageError(f"space {space.name} has {len(candidates)} networks that can be told apart, and {count} were "
                         "to be timed: time its blocks with `hwnas profile`")
    return tuple(candidates[i] for i in priors.choose(prior, target, candidates, count))


def _drawn(space: Space, seed: int) -> Sequence[Architecture]:
    """The smallest and the largest network, and others of even depths."""
    fitted, _ = draw(space, _CANDIDATES, 0, np.random.default_rng(seed))
    return fitted
