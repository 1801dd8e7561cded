"""A table that lacks some blocks of a space: what it holds, and estimates at its speed for the rest.

The roofline is wrong by a factor that is much the same for all blocks of a device, and the entries that are there tell
that factor, and how far from it a single block lies. So the few that lack are known far better than from public
figures alone; the model says `estimated` all the same.

Glossary
    t, e    entry of a block in the table and its estimate, ms
    r       log(t / e), one for every block that the table holds, shape (n,)
    s       scale, exp(median of r)
    d       standard deviation of r about its median
    q       share of the missing blocks in the largest network's time
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from hwnas.latency.calibrate import Calibration
from hwnas.latency.estimate.analytic import content_hash, estimate
from hwnas.latency.estimate.rules import COMPILED
from hwnas.latency.executed_ops import live_ops
from hwnas.latency.model import LatencyModel, standard_error_ms
from hwnas.latency.table import Table
from hwnas.space import Space
from hwnas.target import Target

LEAST_SHARE, LEAST_BLOCKS = 0.5, 8  # held, for its entries to stand for those that lack
_NORMAL_90 = 1.645
_TENTH_SD = 1.2815515655446004  # standard deviations from the median of a normal to its 90 % quantile


def complete(table: Table, space: Space, target: Target) -> LatencyModel | None:
    """The latency model of a space from a table that lacks some of its blocks.

    Blocks that were estimated from their neighbours when the table was imported (`hwnas.latency.neighbours`) are taken.

    Returns:
        A model with source 'estimated'; None where too little is held, where the target states no hardware, or of a
        space of cells, whose additions are measured as blocks of their own.
    """
    lacking = table.missing(space.signatures)
    filled = {s: entry.median_ms for s, entry in table.entries.items() if s in set(lacking)}  # of no runs
    if lacking and not space.branches and len(filled) == len(lacking):
        return _filled(table, space, target, filled)
    missing = lacking
    held = [table.lookup(s) for s in space.signatures if s not in set(missing)]
    if target.hardware is None or space.branches or len(held) < max(LEAST_BLOCKS, LEAST_SHARE * len(space.signatures)):
        return None
    guessed = estimate(space, target, COMPILED)
    logs = np.array([math.log(entry.median_ms / guess) for entry in held
                     if entry.median_ms > 0 and (guess := guessed.entries_ms[entry.signature]) > 0])
    if len(logs) < LEAST_BLOCKS:
        return None
    scale, deviation = math.exp(float(np.median(logs))), float(np.std(logs))
    entries = {**{entry.signature: entry.median_ms for entry in held},
               **{s: scale * guessed.entries_ms[s] for s in missing}}
    calibration = table.calibration(space.fingerprint) or Calibration()
    share = _share(space, entries, set(missing))
    wider = math.log1p(share * math.expm1(_NORMAL_90 * deviation))
    return LatencyModel(
        target=table.target, source="estimated", entries_ms=entries, table_hash=content_hash(target, entries),
        calibration=replace(calibration, log_spread=calibration.log_spread + wider, log_sd=0.0, freedom=0),
        precision=str(table.header["precision"]),
        errors_ms={entry.signature: standard_error_ms(entry) for entry in held},
    )


def _filled(table: Table, space: Space, target: Target, filled: dict[str, float]) -> LatencyModel:
    """From a table whose missing blocks were estimated from their neighbours when it was imported."""
    entries = {**{s: table.entries[s].median_ms for s in space.signatures}, **filled}
    off = [math.log(entry.p90_ms / entry.median_ms) / _TENTH_SD for s in filled
           if 0 < (entry := table.entries[s]).median_ms < entry.p90_ms]
    calibration = table.calibration(space.fingerprint) or Calibration()
    share = max(_share(space, entries, set(filled)), len(filled) / len(entries))  # the largest network may use none
    wider = math.log1p(share * math.expm1(_NORMAL_90 * max(off, default=0.0)))
    return LatencyModel(
        target=table.target, source="estimated", entries_ms=entries, table_hash=content_hash(target, entries),
        calibration=replace(calibration, log_spread=min(5.0, calibration.log_spread + wider), log_sd=0.0, freedom=0),
        precision=str(table.header["precision"]))


def _share(space: Space, entries: dict[str, float], missing: set[str]) -> float:
    """q."""
    times = [(op.signature in missing, entries[op.signature]) for op in live_ops(space.largest())]
    return sum(t for lacks, t in times if lacks) / max(sum(t for _, t in times), 1e-12)
