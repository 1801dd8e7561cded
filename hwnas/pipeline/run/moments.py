"""At which speed of the machine the times of a run were measured, and which of them cannot be compared.

A run takes times at several moments: the blocks of its table, perhaps days before; the reference, when its percentages
are fixed; the candidates; the result. Of each moment it keeps what the reference network took, and the reference
kernel (`hwnas.runtime.reference_kernel`), in which no memory and no runtime takes part. Where the reference took
longer, all took longer: numbers of two such moments say nothing when they are held against each other.

Glossary
    r   time of the reference network at a moment over its time at another, from medians
    k   the same of the reference kernel
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.results import ExportResult, GenerateResult
from hwnas.runtime.promise import MEASURED, slower

APART = 0.05  # |r - 1| above which two moments are told apart


@dataclass(frozen=True)
class Moment:
    """When something was measured, and how fast the machine was.

    Args:
        name: 'table', 'budget', 'candidates' or 'result'.
        reference_ms: what the reference took then; of the table, what it says of the reference.
        kernel_ms: what the reference kernel took then; None where it was not timed.
    """

    name: str
    reference_ms: float
    kernel_ms: float | None

    def over(self, other: Moment) -> float:
        """r: how many times as long as at another moment everything took."""
        return self.reference_ms / other.reference_ms if other.reference_ms > 0 else 1.0

    def to_json(self) -> dict[str, Any]:
        """The fields."""
        return asdict(self)


_WHEN = {"table": "when the table was measured", "budget": "when the budget was fixed",
         "candidates": "when the candidates were measured", "result": "when the result was measured"}


def moments_of(run: RunFolder) -> list[Moment]:
    """The moments of a run on this device, in their order; none of a run whose device was not at hand."""
    found = []
    lane = run.lane() if "profile" in run.state.stages else None
    reference = run.state.reference
    if reference is not None and reference.basis == MEASURED:
        if lane is not None and lane.speed:
            found.append(Moment("table", reference.latency_ms / lane.speed, lane.table_kernel_ms))
        found.append(Moment("budget", reference.latency_ms, reference.kernel_ms))
    generated, exported = run.found_if_done(GenerateResult), run.found_if_done(ExportResult)
    for name, timed in (("candidates", generated and generated.reference_measured_ms),
                        ("result", exported and exported.reference.latency)):
        if timed:
            found.append(Moment(name, timed.median_ms, timed.kernel_ms))
    return found


def apart(run: RunFolder) -> list[str]:
    """One sentence for every moment whose times cannot be compared with the last one's."""
    moments = {moment.name: moment for moment in moments_of(run)}
    table, budget = moments.pop("table", None), moments.get("budget")
    found = []
    if table is not None and budget is not None and differ(table, budget) and _beyond(run, table):
        found.append(f"the machine ran {slower(table.over(budget))} {_WHEN['table']} than when this run began"
                     f"{_evidence(table, budget)}: predictions are given at the speed of the run, the errors on "
                     "held-out networks at that of the table")
    if moments:
        *earlier, last = moments.values()
        found += [_sentence(then, last) for then in earlier if differ(then, last)]
    return found


def differ(then: Moment, now: Moment) -> bool:
    """Whether the machine had another speed."""
    return max(then.over(now), now.over(then)) > 1 + APART


def _beyond(run: RunFolder, table: Moment) -> bool:
    """Whether a table is off by more than its predictions are; the kernel may tell, too."""
    lane, reference = run.lane(), run.state.reference
    speed = lane.speed or 1.0
    off, spread = abs(math.log(speed)), math.log(lane.reference_high_ms / lane.reference_ms)
    if off > spread or reference is None or not table.kernel_ms or not reference.kernel_ms:
        return off > spread
    kernel = math.log(reference.kernel_ms / table.kernel_ms)
    return abs(kernel) > math.log(1 + APART) and (kernel > 0) == (speed > 1)


def _sentence(then: Moment, now: Moment) -> str:
    return (f"the machine ran {slower(then.over(now))} {_WHEN[then.name]} than {_WHEN[now.name]}"
            f"{_evidence(then, now)}: compare times of one row only")


def _evidence(then: Moment, now: Moment) -> str:
    kernel = (f"; the reference kernel {then.kernel_ms:.3f} and {now.kernel_ms:.3f} ms"
              if then.kernel_ms and now.kernel_ms else "")
    return f" (the reference network took {then.reference_ms:.3f} and {now.reference_ms:.3f} ms{kernel})"
