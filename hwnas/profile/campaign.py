"""One campaign: some blocks and some networks, swept together until the table they give has settled."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import InputError
from hwnas.latency import Entry, now
from hwnas.profile.blocks import Block, empty_model
from hwnas.profile.graph import network_model
from hwnas.profile.measurement_quality import Conditions, conditions_of
from hwnas.profile.node_builder import Weights
from hwnas.profile.sweeps import Times, times_of
from hwnas.progress import Progress, plural
from hwnas.runtime import Device, Sweep, SweepPlan
from hwnas.runtime.calm import company
from hwnas.runtime.device import LEAST_SWEEPS
from hwnas.runtime.timing import patience
from hwnas.space import Architecture

CHECK_EVERY = LEAST_SWEEPS
MIN_SWEEPS = 16
MIN_SECONDS = 10.0  # a machine's speed drifts over seconds: samples must be spread further than that
SETTLED = 0.03  # standard deviation of log(prediction / prediction) between two halves: twice that of all samples
LABELS_SETTLED = 0.02  # the same of the networks' own times
# Half width of the 95 % interval of an entry over the time of a network of the middle. What an entry is known to is
# judged by its share in a network, not by itself: half of them within 3 % of themselves took four times as long and
# made no prediction better (benchmarks/latency_time.md).
SHARE_KNOWN = 0.01

Flush = Callable[[list[Entry]], None]


@dataclass(frozen=True)
class Campaign:
    """What is to be measured together.

    Args:
        blocks: the ops whose entries are wanted.
        anchors: ops that are in the table already, timed again to tie the new times to the old ones.
        anchors_ms: their entries in the table.
        networks: whole networks, for calibration and checks.
        check: networks for which two halves of the samples must predict the same; ops that are neither in `blocks`
            nor in `known_ms` are left out of the sums.
        known_ms: entries of signatures that the table has.
        sentinels: the large network and the small block.
        networks_ms: index in `networks` -> its time at the table's speed, for those that the table was made with.
        kernel_ms: time of the reference kernel at the table's speed; 0 where the table is new.
        isolated: whether every block is timed alone, too, for comparison.
        calm_kernel_ms: of the reference kernel on the device when it is calm; 0 where nothing says.
    """

    blocks: tuple[Block, ...]
    anchors: tuple[Block, ...]
    anchors_ms: Mapping[str, float]
    networks: tuple[Architecture, ...]
    check: tuple[Architecture, ...]
    known_ms: Mapping[str, float]
    sentinels: tuple[Architecture, Block]
    networks_ms: Mapping[int, float]
    kernel_ms: float = 0.0
    isolated: bool = False
    calm_kernel_ms: float = 0.0

    def models(self, batch: int, weights: Weights) -> dict[str, bytes]:
        """Name -> fp32 ONNX bytes of everything that is timed."""
        found = {"empty": empty_model(batch)} if self.isolated else {}
        for block in (*self.blocks, *self.anchors):
            found[block.key] = block.model(batch, weights)
            for part in block.base:
                if part.key not in found:
                    found[part.key] = part.build(batch, weights)
        if self.isolated:
            found |= {block.alone_key: block.alone_model(batch, weights) for block in self.blocks}
        found |= {f"net {i}": network_model(a, weights, batch=batch) for i, a in enumerate(self.networks)}
        large, small = self.sentinels
        found["sentinel large"] = network_model(large, weights, batch=batch)
        found["sentinel small"] = small.model(batch, weights)
        return found


@dataclass(frozen=True)
class Outcome:
    """What a campaign found; all times at the speed that the table was measured at.

    Args:
        entries: one per block.
        alone_ms: signature -> time of the block alone, less an empty call; empty unless `Campaign.isolated`.
        networks_ms: one per network, shape (n,).
        networks_seconds: what timing each of them took, shape (n,).
        kernel_ms: time of the reference kernel at that speed.
        seen_kernel_ms: time of the reference kernel meanwhile.
        noise: name -> standard deviation of log ratios between two halves of the samples.
        conditions: how quiet the machine was.
        facts: sweeps, seconds and what else the report keeps.
        company: a sentence where no calm machine was found for all patience.
    """

    entries: tuple[Entry, ...]
    alone_ms: Mapping[str, float]
    networks_ms: NDArray[np.float64]
    networks_seconds: NDArray[np.float64]
    kernel_ms: float
    seen_kernel_ms: float
    noise: Mapping[str, float]
    conditions: Conditions
    facts: Mapping[str, Any]
    company: str = ""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was not as it should be, a sentence each; empty for a quiet machine."""
        return *self.conditions.warnings, *filter(None, [self.company])


def run(
    campaign: Campaign, device: Device, models: Mapping[str, bytes], plan: SweepPlan, *, processor_clock: bool,
    flush: Flush, progress: Progress,
) -> Outcome:
    """Sweep until the table has settled, the entries are known well enough, or the plan's seconds are over.

    A device that is known to be calm at times, and is not, is given `patience()` seconds more.

    Args:
        device: where the models are timed.
        models: those of the campaign, in the form that the runtime wants.
        plan: how they are swept; loading the models is not counted.
        processor_clock: whether times are processor time of one thread.
        flush: gets the entries so far after 4, 8, 16, ... sweeps and at the end.

    Raises:
        InputError: the device cannot be reached, cannot execute the models, or ended before it had visited all.
    """
    begin = time.perf_counter()
    longer = patience() if campaign.calm_kernel_ms else 0.0
    with device.sweeps(models, replace(plan, max_seconds=plan.max_seconds + longer)) as stream:
        loaded = time.perf_counter()
        sweeps = _until_settled(campaign, stream, (plan.max_seconds, longer), flush, progress)
        seconds = time.perf_counter() - loaded
    absent = set(models) - {name for sweep in sweeps for name in sweep.times_ms}
    if absent:
        raise InputError(f"{plural(len(sweeps), 'sweep')} came back, in which {len(absent)} of {len(models)} models "
                         f"had no turn, {min(absent)} among them: let the device make {LEAST_SWEEPS} sweeps at least")
    progress(_told(campaign), math.ceil(plan.max_seconds), math.ceil(plan.max_seconds))
    outcome = _outcome(campaign, sweeps, plan, processor_clock)
    flush(list(outcome.entries))
    spent = {"models": len(models), "seconds_load": loaded - begin, "seconds_sweeps": seconds}
    return replace(outcome, facts={**outcome.facts, **spent})


def _told(campaign: Campaign) -> str:
    """What its progress, which counts seconds, is called."""
    what = plural(len(campaign.blocks), "block") if campaign.blocks else plural(len(campaign.networks), "network")
    return f"timing {what}, seconds at most"


def _until_settled(
    campaign: Campaign, stream: Iterator[Sweep], patient: tuple[float, float], flush: Flush, progress: Progress
) -> list[Sweep]:
    """Take sweeps until they say enough; a device that ends by itself ends it, too.

    Args:
        patient: seconds at most, and how many more for a device that is not as calm as it is known to be.
    """
    max_seconds, longer = patient
    begin, least, next_flush = time.perf_counter(), min(MIN_SECONDS, max_seconds / 2), CHECK_EVERY
    sweeps: list[Sweep] = []
    for sweep in stream:
        sweeps.append(sweep)
        seconds = time.perf_counter() - begin
        progress(_told(campaign), min(int(seconds), math.ceil(max_seconds) - 1), math.ceil(max_seconds))
        over = seconds > max_seconds and len(sweeps) >= CHECK_EVERY
        if len(sweeps) % CHECK_EVERY and not over:
            continue
        times = times_of(sweeps, campaign.calm_kernel_ms)
        busy = seconds <= max_seconds + longer and bool(company(times.steady_kernel_ms, campaign.calm_kernel_ms))
        if not busy and (over or (times.sweeps >= MIN_SWEEPS and seconds > least
                                  and settled(noise_of(campaign, times)))):
            break
        if len(sweeps) >= next_flush:
            flush(_entries(campaign, times))
            next_flush *= 2
    return sweeps


def _outcome(campaign: Campaign, sweeps: Sequence[Sweep], plan: SweepPlan, processor_clock: bool) -> Outcome:
    times = times_of(sweeps, campaign.calm_kernel_ms)
    told = company(times.steady_kernel_ms, campaign.calm_kernel_ms)
    if told:  # then nothing tells visits apart but this campaign's own fastest ones
        times = times_of(sweeps)
    medians, seconds = times.medians(), _seconds(sweeps)
    tie = _tie(campaign, times)
    names = [f"net {i}" for i in range(len(campaign.networks))]
    alone = {
        b.op.signature: tie * max(0.0, medians[b.alone_key] - medians["empty"])
        for b in campaign.blocks if campaign.isolated
    }
    facts = {
        "sweeps": times.sweeps, "sweeps_rejected": times.rejected, "tie_to_table": tie,
        "speed_p10": float(np.percentile(times.speed, 10)), "speed_p90": float(np.percentile(times.speed, 90)),
        "first_run_over_steady": float(np.median([sweep.first_run_ratio for sweep in sweeps])),
    }
    return Outcome(
        entries=tuple(_entries(campaign, times)), alone_ms=alone,
        networks_ms=np.array([tie * medians[name] for name in names]),
        networks_seconds=np.array([seconds[name] for name in names]),
        kernel_ms=tie * times.steady_kernel_ms, seen_kernel_ms=times.steady_kernel_ms, noise=noise_of(campaign, times),
        conditions=conditions_of(sweeps, plan, times, processor_clock=processor_clock), facts=facts,
        company=told,
    )


def _seconds(sweeps: Sequence[Sweep]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, spent in (item for sweep in sweeps for item in sweep.seconds.items()):
        found[name] = found.get(name, 0.0) + spent
    return found


def _tie(campaign: Campaign, times: Times) -> float:
    """Factor from the speed of this campaign to the one the table was measured at.

    Whole networks that were timed at that speed tell it best. Else the anchors do, as a ratio of sums, since a
    difference of two times is the less certain the smaller it is; else the reference kernel. On a new table nothing
    does, and this campaign's speed is the table's.
    """
    medians = times.medians()
    if campaign.networks_ms:
        ratios = [math.log(known / medians[f"net {i}"]) for i, known in campaign.networks_ms.items()]
        return math.exp(float(np.median(ratios)))
    known = sum(campaign.anchors_ms[b.op.signature] for b in campaign.anchors)
    found = sum(b.cost_ms(medians) for b in campaign.anchors)
    if known > 0 and found > 0:
        return known / found
    return campaign.kernel_ms / times.steady_kernel_ms if campaign.kernel_ms > 0 else 1.0


def _entries(campaign: Campaign, times: Times) -> list[Entry]:
    medians, when = times.medians(), now()
    tie, runs = _tie(campaign, times), times.runs
    entries = []
    for block in campaign.blocks:
        low, high = times.quantiles(block.key)
        quantiles = (block.cost_ms({**medians, block.key: t}) for t in (low, medians[block.key], high))
        p10, median, p90 = (tie * t for t in quantiles)
        entries.append(Entry(block.op.signature, median, p10, p90, runs, when))
    return entries


def settled(noise: Mapping[str, float]) -> bool:
    """Whether samples are worth what a table is to be worth.

    Args:
        noise: of `noise_of`.
    """
    table, labels = max(noise["noise_odd_even"], noise["noise_halves"]), noise["label_noise"]
    return table < SETTLED and labels < LABELS_SETTLED and noise["entries_share"] < SHARE_KNOWN


def noise_of(campaign: Campaign, times: Times) -> dict[str, float]:
    """Standard deviations of log ratios between halves, of predictions and of the networks' own times; intervals.

    `entries_within` and `entries_within_p90` are the median and the 90th percentile over the entries of the half
    width of the 95 % interval of their median, relative; `entries_share` is the largest of them over the time of a
    network of the middle.
    """
    odd_even, halves = times.halves()
    names = [f"net {i}" for i in range(len(campaign.networks))]
    odd, even = (np.array([part[name] for name in names]) for part in odd_even)
    medians, widths = times.medians(), times.half_widths()
    costs = [(block.half_width_ms(widths), block.cost_ms(medians)) for block in campaign.blocks]
    within, middle = [width / cost for width, cost in costs if cost > 0], float(np.median(_predict(campaign, medians)))
    return {
        "noise_odd_even": _log_sd(*(_predict(campaign, part) for part in odd_even)),
        "noise_halves": _log_sd(*(_predict(campaign, part) for part in halves)),
        "label_noise": _log_sd(odd, even),
        "entries_within": float(np.median(within)) if within else 0.0,
        "entries_within_p90": float(np.percentile(within, 90)) if within else 0.0,
        "entries_share": max((width for width, _ in costs), default=0.0) / middle if middle > 0 else 0.0,
    }


def _predict(campaign: Campaign, medians: Mapping[str, float]) -> NDArray[np.float64]:
    cost = {**campaign.known_ms, **{b.op.signature: b.cost_ms(medians) for b in campaign.blocks}}
    return np.array([sum(cost.get(op.signature, 0.0) for op in arch.ops) for arch in campaign.check])


def _log_sd(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    both = (a > 0) & (b > 0)
    return float(np.std(np.log(a[both] / b[both]))) if both.any() else 0.0

