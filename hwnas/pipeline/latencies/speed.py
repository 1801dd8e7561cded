"""How fast this machine is when a run begins, against its tables: the reference is timed once, predictions follow.

A table keeps the speed that the machine had when it was made. So in stage profile the largest and the smallest network
are timed in every precision in one interleaved run; the predictions of the run are given at that speed, and the time
of the reference is what percentages are of (`hwnas.pipeline.run.reference`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from hwnas.latency.estimate import estimate
from hwnas.latency.estimate.rules import COMPILED
from hwnas.pipeline.exported.inference import TimedModel, time_models
from hwnas.pipeline.latencies.latency_sources import REFERENCE_SWEEPS, Latencies, in_fp32
from hwnas.profile import network_model
from hwnas.progress import Progress, silent
from hwnas.runtime import Measurement
from hwnas.space import Space

EXACT = "fp32"


@dataclass(frozen=True)
class Speed:
    """The reference, and what of it the latency models of the lanes say.

    Args:
        reference: in fp32, as timed now; None where this machine is not the device.
        ratios: per lane, latency of the reference in fp32 over that in the lane's precision.
        factors: per lane, what networks take now over what its table says; 1 where nothing was timed.
    """

    reference: Measurement | None
    ratios: tuple[float, ...]
    factors: tuple[float, ...]


def speed_of(space: Space, lanes: tuple[Latencies, ...], progress: Progress = silent) -> Speed:
    """Time the reference where this machine is the device; else ask the models.

    Args:
        lanes: one per precision, of the variant with all channels and pixels.
    """
    if all(lane.here for lane in lanes):
        return _timed(space, lanes, progress)
    return Speed(None, _ratios(space, lanes), (1.0,) * len(lanes))


def _timed(space: Space, lanes: tuple[Latencies, ...], progress: Progress) -> Speed:
    exact = in_fp32(lanes[0].target)
    targets = {target.precision: target for target in (exact, *(lane.target for lane in lanes))}
    ends = space.reference, space.smallest()
    models = [network_model(arch, batch=exact.batch) for arch in ends]
    found = time_models({f"{precision} {end}": TimedModel(model, target) for precision, target in targets.items()
                         for end, model in enumerate(models)}, sweeps=REFERENCE_SWEEPS,
                        calm_kernel_ms=lanes[0].model.calibration.kernel_ms, progress=progress)
    factors = []
    for lane in lanes:
        pairs = ((found[f"{lane.target.precision} {end}"].median_ms, lane.model.predict(arch).latency_ms)
                 for end, arch in enumerate(ends))
        factors.append(math.sqrt(math.prod(_over(now, said) for now, said in pairs)))
    reference = found[f"{EXACT} 0"]
    ratios = (_over(reference.median_ms, found[f"{lane.target.precision} 0"].median_ms) for lane in lanes)
    return Speed(reference, tuple(ratios), tuple(factors))


def _over(one: float, other: float) -> float:
    """How many times as long; 1 where a clock of coarse steps saw nothing of one of them, which says nothing."""
    return one / other if one > 0 and other > 0 else 1.0


def at_speed(lane: Latencies, factor: float) -> Latencies:
    """A lane whose model predicts what networks take now."""
    return lane if factor == 1.0 else replace(lane, model=lane.model.at_speed(factor))


def _ratios(space: Space, lanes: tuple[Latencies, ...]) -> tuple[float, ...]:
    if all(lane.target.precision == EXACT for lane in lanes):
        return (1.0,) * len(lanes)
    network, exact = space.reference, in_fp32(lanes[0].target)
    known = next((lane.model for lane in lanes if lane.target.precision == EXACT), None)
    fp32 = known or estimate(space, exact, COMPILED)
    return tuple(fp32.predict(network).latency_ms / lane.model.predict(network).latency_ms for lane in lanes)
