"""Whether what a network spends besides its median time is within its budgets: tail, energy, memory, file.

`hwnas compress`, `hwnas verify` and the runner of a bundle judge by this file, so that they cannot disagree; it runs
under Python 3.8.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hwnas.runtime.promise import GOOD, NOISE, OPEN, SLOW

if TYPE_CHECKING:
    from hwnas.runtime.tail import Tail

P99, ENERGY, PEAK_MEMORY, FILE_SIZE = "latency_p99", "energy", "peak_memory", "file_size"
NAMES = {P99: "99th percentile", ENERGY: "energy an image", PEAK_MEMORY: "memory of a process", FILE_SIZE: "file"}
AGAIN = {P99: NOISE, ENERGY: NOISE, PEAK_MEMORY: 0.1, FILE_SIZE: 0.0}
"""By what share two measurements of one network may differ: where one has kept a budget, another has not broken it."""


@dataclass(frozen=True)
class Kept:
    """One budget, held against a measurement.

    Args:
        name: of the budget.
        limit, value: ms, mJ or bytes; None of a value that this device does not tell.
        verdict: 'good', 'slow' where it takes more, 'open' where nothing is proved.
        sentence: with every number that decided.
    """

    name: str
    limit: float
    value: float | None
    verdict: str
    sentence: str

    @property
    def failed(self) -> bool:
        """Whether the budget is broken."""
        return self.verdict == SLOW

    def to_json(self) -> dict[str, Any]:
        """The fields."""
        return asdict(self)


def amount(name: str, value: float) -> str:
    """'0.250 ms', '1.200 mJ', '2.50 MB' or '281.7 kB'."""
    if name in (P99, ENERGY):
        return f"{value:.3f} {'ms' if name == P99 else 'mJ'}"
    return f"{value / 1e6:.2f} MB" if value >= 1e6 else f"{value / 1e3:.1f} kB"


def kept(name: str, limit: float, value: float | None, *, again: bool = True) -> Kept:
    """Whether an amount is within its budget; open where it is not known.

    Args:
        again: whether the budget was kept by an earlier measurement of the same network.
    """
    if value is None:
        return Kept(name, limit, None, OPEN, f"{NAMES[name]}: this device does not tell, at most "
                                             f"{amount(name, limit)} was asked")
    good = value <= limit * (1 + (AGAIN[name] if again else 0.0))
    how = "within" if value <= limit else "over, as two measurements may differ," if good else "over"
    return Kept(name, limit, value, GOOD if good else SLOW,
                f"{NAMES[name]} {amount(name, value)}, {how} {amount(name, limit)}")


def kept_tail(limit_ms: float, tail: Tail, *, again: bool = True) -> Kept:
    """Whether a 99th percentile is: all runs together keep it, the runs on a calm machine alone break it."""
    every, alone = kept(P99, limit_ms, tail.p99_ms, again=again), kept(P99, limit_ms, tail.calm_ms, again=again)
    told = (f"{every.sentence}; {tail.runs:,} runs by the clock on the wall, 90 % interval {tail.low_ms:.3f} to "
            f"{tail.high_ms:.3f} ms")
    if tail.busy > 0:
        told += f"; {100 * tail.busy:.0f} % of the runs met a busy machine, the others alone give {tail.calm_ms:.3f} ms"
    verdict = GOOD if not every.failed else SLOW if alone.failed else OPEN
    return Kept(P99, limit_ms, tail.p99_ms, verdict, told)
