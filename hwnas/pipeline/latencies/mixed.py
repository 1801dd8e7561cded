"""The latency models of networks of several precisions: those of each precision, and what changes between them take.

What changes take is measured where the tables lack it, and stands in the table of fp32 from then on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from hwnas.latency import Entry, LatencyModel, MixedPrecisionModel, Table
from hwnas.latency.precision_tables import changes_of
from hwnas.pipeline.latencies.latency_sources import Latencies, together_on
from hwnas.profile.changes import measure_changes
from hwnas.progress import Progress, silent
from hwnas.quantize import in_precisions, variant_for
from hwnas.runtime import LocalDevice, runtime_for
from hwnas.space import FULL, Change, Space, Variant
from hwnas.target import MIXED, Precision, Target

FLOATS = "fp32"


@dataclass(frozen=True)
class MixedLatencies:
    """What is known of networks of several precisions.

    Args:
        models: variant -> its model; empty without any.
        timed: how many changes were timed now.
        why: why there is none.
    """

    models: Mapping[Variant, MixedPrecisionModel] = field(default_factory=dict)
    timed: int = 0
    why: str | None = None


def mixed_latencies(spaces: Mapping[Variant, Space], lanes: Sequence[Mapping[Variant, Latencies]],
                    factors: Sequence[float], *, seed: int = 0, progress: Progress = silent) -> MixedLatencies:
    """Models of several precisions, of all variants whose precisions were measured on this machine.

    Args:
        lanes: one per precision, fp32 first: variant -> latencies at the speed that the machine has now.
        factors: one per precision: what networks take now over what its table says.

    Raises:
        UsageError: the runtime has one precision a network.
        TableError: a table is broken.
    """
    target = lanes[0][FULL].target
    able = together_on(target)
    chosen = [lane for lane in lanes if lane[FULL].target.precision in able]
    if len(chosen) < 2 or chosen[0][FULL].target.precision != FLOATS:
        return MixedLatencies(why="two precisions that nodes of one network may have are needed, fp32 among them")
    if not all(lane.here and type(lane.model) is LatencyModel and lane.model.source == "measured"
               for variants in chosen for lane in variants.values()):
        return MixedLatencies(why="networks of several precisions are predicted from tables that were measured here")
    table = chosen[0][FULL].table
    assert table is not None  # what was measured stands in one
    precisions = tuple(cast(Precision, lane[FULL].model.precision) for lane in chosen)
    wanted = dict.fromkeys(change for space in spaces.values() for change in changes_of(space, precisions))
    timed = _fill(Table.read(table), list(wanted), target, factors[0], seed, progress)
    known = {signature: entry.median_ms * factors[0] for signature, entry in Table.read(table).changes.items()}
    found = {variant: MixedPrecisionModel(
        {p: lane[variant].model for p, lane in zip(precisions, chosen, strict=True)},
        {c.signature: known[c.signature] for c in changes_of(space, precisions)})
        for variant, space in spaces.items() if all(variant in lane for lane in chosen)}
    return MixedLatencies(found, timed)


def _fill(table: Table, changes: Iterable[Change], target: Target, factor: float, seed: int,
          progress: Progress) -> int:
    """Time what a table lacks, at the speed that it was made at; how many that were."""
    lacking = [change for change in changes if change.signature not in table.changes]
    device = LocalDevice(runtime_for(target.model_copy(update={"precision": MIXED})), target.cores)
    variant = variant_for(target.runtime)

    def lower(model: bytes, precisions: dict[str, str]) -> bytes:
        return in_precisions(model, precisions, variant=variant)

    found = measure_changes(lacking, device, lower, batch=target.batch, seed=seed, progress=progress)
    table.add(_at_speed(entry, 1 / factor) for entry in found)
    return len(found)


def _at_speed(entry: Entry, factor: float) -> Entry:
    ms = round(entry.median_ms * factor, 6)
    return Entry(entry.signature, ms, ms, ms, entry.runs, entry.when)
