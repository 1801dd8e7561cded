"""One campaign: some blocks and some networks, swept together until the table they give has settled."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hwnas.latency import Entry, now
from hwnas.profile.blocks import Block, empty_model
from hwnas.profile.graph import Weights, network_model
from hwnas.profile.sweeps import Sweeper, Times
from hwnas.progress import Progress
from hwnas.runtime import Runtime
from hwnas.space import Architecture

CHECK_EVERY = 4  # sweeps
MIN_SWEEPS = 16
MIN_SECONDS = 10.0  # a machine's speed drifts over seconds: samples must be spread further than that
SETTLED = 0.015  # standard deviation of log(prediction / prediction) between two halves of the samples
LABELS_SETTLED = 0.02  # the same of the networks' own times

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
    """

    blocks: tuple[Block, ...]
    anchors: tuple[Block, ...]
    anchors_ms: Mapping[str, float]
    networks: tuple[Architecture, ...]
    check: tuple[Architecture, ...]
    known_ms: Mapping[str, float]
    sentinels: tuple[Architecture, Block]

    def models(self, batch: int, weights: Weights) -> dict[str, bytes]:
        """Name -> ONNX bytes of everything that is timed."""
        found = {"empty": empty_model(batch)}
        for block in (*self.blocks, *self.anchors):
            found[block.key] = block.model(batch, weights)
            for carrier in block.carriers:
                if carrier.key not in found:
                    found[carrier.key] = carrier.model(batch, weights)
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
        alone_ms: signature -> time of the block alone, less an empty call.
        networks_ms: one per network, shape (n,).
        networks_seconds: what timing each of them took, shape (n,).
        noise: name -> standard deviation of log ratios between two halves of the samples.
        facts: sweeps, seconds and what else the report keeps.
    """

    entries: tuple[Entry, ...]
    alone_ms: Mapping[str, float]
    networks_ms: NDArray[np.float64]
    networks_seconds: NDArray[np.float64]
    noise: Mapping[str, float]
    facts: Mapping[str, float]


def run(
    campaign: Campaign, runtime: Runtime, *, batch: int, weights: Weights, rng: np.random.Generator,
    max_seconds: float, flush: Flush, progress: Progress,
) -> Outcome:
    """Sweep until both halvings of the samples agree on the table and on the networks, or time is up.

    Args:
        flush: gets the entries so far after 4, 8, 16, ... sweeps and at the end.
    """
    begin = time.perf_counter()
    sweeper = Sweeper(campaign.models(batch, weights), ("sentinel large", "sentinel small"), runtime, rng)
    prepared = time.perf_counter()
    least = min(MIN_SECONDS, max_seconds / 2)
    next_flush = CHECK_EVERY
    while True:
        sweeper.sweep()
        seconds = time.perf_counter() - prepared
        progress("timing blocks", min(99, int(100 * seconds / max_seconds)), 100)
        over = seconds > max_seconds and sweeper.sweeps >= CHECK_EVERY
        if sweeper.sweeps % CHECK_EVERY and not over:
            continue
        times = sweeper.times()
        noise = _noise(campaign, times)
        if over or (times.times_ms.shape[1] >= MIN_SWEEPS and seconds > least and _settled(noise)):
            break
        if sweeper.sweeps >= next_flush:
            flush(_entries(campaign, times))
            next_flush *= 2
    progress("timing blocks", 100, 100)
    outcome = _outcome(campaign, sweeper, times, noise)
    flush(list(outcome.entries))
    facts = {**outcome.facts, "seconds_prepare": prepared - begin, "seconds_sweeps": seconds}
    return replace(outcome, facts=facts)


def _outcome(campaign: Campaign, sweeper: Sweeper, times: Times, noise: Mapping[str, float]) -> Outcome:
    medians = times.medians()
    tie = _tie(campaign, medians)
    alone = {b.op.signature: tie * max(0.0, medians[b.alone_key] - medians["empty"]) for b in campaign.blocks}
    networks = np.array([tie * medians[f"net {i}"] for i in range(len(campaign.networks))])
    facts = {
        "sweeps": times.times_ms.shape[1], "sweeps_rejected": times.rejected, "tie_to_table": tie,
        "speed_p10": float(np.percentile(times.speed, 10)), "speed_p90": float(np.percentile(times.speed, 90)),
        "first_run_over_steady": sweeper.first_run_ratio,
    }
    seconds = np.array([sweeper.seconds[f"net {i}"] for i in range(len(campaign.networks))])
    return Outcome(tuple(_entries(campaign, times)), alone, networks, seconds, noise, facts)


def _tie(campaign: Campaign, medians: Mapping[str, float]) -> float:
    """Factor from the speed of this campaign to the one the table was measured at: the anchors' median ratio."""
    ratios = [
        math.log(campaign.anchors_ms[b.op.signature] / cost)
        for b in campaign.anchors if (cost := b.cost_ms(medians[b.key], medians)) > 0
        and campaign.anchors_ms[b.op.signature] > 0
    ]
    return math.exp(float(np.median(ratios))) if ratios else 1.0


def _entries(campaign: Campaign, times: Times) -> list[Entry]:
    medians, when = times.medians(), now()
    tie, runs = _tie(campaign, medians), times.times_ms[0].size
    entries = []
    for block in campaign.blocks:
        low, high = times.quantiles(block.key)
        p10, median, p90 = (tie * block.cost_ms(t, medians) for t in (low, medians[block.key], high))
        entries.append(Entry(block.op.signature, median, p10, p90, runs, when))
    return entries


def _settled(noise: Mapping[str, float]) -> bool:
    table, labels = max(noise["noise_odd_even"], noise["noise_halves"]), noise["label_noise"]
    return table < SETTLED and labels < LABELS_SETTLED


def _noise(campaign: Campaign, times: Times) -> dict[str, float]:
    """Standard deviations of log ratios between halves: of predictions, and of the networks' own times."""
    odd_even, halves = times.halves()
    names = [f"net {i}" for i in range(len(campaign.networks))]
    odd, even = (np.array([part[name] for name in names]) for part in odd_even)
    return {
        "noise_odd_even": _log_sd(*(_predict(campaign, part) for part in odd_even)),
        "noise_halves": _log_sd(*(_predict(campaign, part) for part in halves)),
        "label_noise": _log_sd(odd, even),
    }


def _predict(campaign: Campaign, medians: Mapping[str, float]) -> NDArray[np.float64]:
    cost = {b.op.signature: b.cost_ms(medians[b.key], medians) for b in campaign.blocks}
    cost = {**campaign.known_ms, **cost}
    return np.array([sum(cost.get(op.signature, 0.0) for op in arch.ops) for arch in campaign.check])


def _log_sd(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    both = (a > 0) & (b > 0)
    return float(np.std(np.log(a[both] / b[both]))) if both.any() else 0.0


def chunks(blocks: Sequence[Block], size: int) -> list[tuple[Block, ...]]:
    """Groups of at most `size`, so that few enough sessions are resident; one empty group for no blocks."""
    return [tuple(blocks[i : i + size]) for i in range(0, len(blocks), size)] or [()]
