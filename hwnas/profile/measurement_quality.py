"""How quiet the machine was while a table was measured, and what of it the reader has to know.

The reference kernel runs in the caches of one core and no runtime takes part in it. So its time follows the clock of
the core; what slows the models and not the kernel is memory, and what makes the wall clock run ahead of the
processor's is other work on the same core.

Glossary
    k   median time of the reference kernel in a sweep's visits that count, ms, shape (sweeps,)
    f   speed factor of a sweep from all models in them, shape (sweeps,)
    m   f / k, relative to its median: slowness of the models that the kernel does not share, shape (sweeps,)
    q   time of the large sentinel over the small one's, relative to its median, shape (sweeps,)
    s   wall time of all visits over the processor time of their runs, shape (sweeps,)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hwnas.profile.sweeps import Floats, Times, sentinel_ratios
from hwnas.runtime.device import Sweep, SweepPlan

OTHERS_LIMIT = 0.3  # cores that other work keeps busy
WAITING_LIMIT = 0.25  # share of the time in which the process waited for its core
CLOCK_LIMIT = 0.10  # spread of k, 10th to 90th percentile
MEMORY_LIMIT = 0.10  # the same of m and q
TREND_LIMIT = 0.05  # change of k from the first to the last third
COLD_LIMIT = 5.0  # first run after other models over the steady one; 1.6 to 3.3 in good hours of a shared machine
LOST_LIMIT = 0.2  # share of sweeps that the sentinels ruled out
BUSY_LIMIT = 0.5  # share of visits that met a busy machine
_FIRST_RUNS = 1.35  # wall time of a quiet visit over that of its steady runs: the first ones are slower


@dataclass(frozen=True)
class Conditions:
    """The machine during the sweeps.

    Args:
        clock_spread: 10th to 90th percentile of k, relative to its median: clock drift and work on sibling threads.
        clock_trend: relative change of k from the first to the last third of the sweeps; above 0 it slows down.
        memory_spread: the same as `clock_spread` of m or q, whichever is larger: changes of the memory's speed.
        waiting: share of the time in which other work had the core, 0..1; None where processor time is not the clock.
        others: median of the cores that other work kept busy; None where the system does not tell.
        stolen: median of the cores that a hypervisor withheld; None where the system does not tell.
        throttled: whether the device said that it held its processor back.
        celsius: the highest temperature that was seen; None where there is no sensor.
        first_run_ratio: first run of a sentinel after other models over its steady time.
        lost: share of sweeps that the sentinels ruled out.
        busy: share of the other visits in which the reference kernel was slow: a neighbour on the core's own units.
    """

    clock_spread: float
    clock_trend: float
    memory_spread: float
    waiting: float | None
    others: float | None
    stolen: float | None
    throttled: bool
    celsius: float | None
    first_run_ratio: float
    lost: float
    busy: float = 0.0

    @property
    def warnings(self) -> tuple[str, ...]:
        """One sentence per thing that was not as it should be; empty for a quiet machine."""
        return tuple(text for wrong, text in self._findings() if wrong)

    @property
    def noisy(self) -> bool:
        """Whether there is a warning."""
        return bool(self.warnings)

    def to_json(self) -> dict[str, Any]:
        """The fields rounded to four decimals, `noisy` and `warnings`."""
        facts = {k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(self).items()}
        return {**facts, "noisy": self.noisy, "warnings": list(self.warnings)}

    def _findings(self) -> list[tuple[bool, str]]:
        others, stolen, waiting = self.others or 0.0, self.stolen or 0.0, self.waiting or 0.0
        return [
            (others > OTHERS_LIMIT, f"other work kept {others:.1f} cores busy"),
            (stolen > OTHERS_LIMIT, f"the hypervisor withheld {stolen:.1f} cores"),
            (waiting > WAITING_LIMIT, f"other work had the core for {100 * waiting:.0f} % of the time"),
            (self.clock_spread > CLOCK_LIMIT,
             f"the processor's speed varied by {100 * self.clock_spread:.0f} % (reference kernel); it was divided out"),
            (self.clock_trend > TREND_LIMIT,
             f"the processor slowed down by {100 * self.clock_trend:.0f} % on the way: throttling or growing load"),
            (self.throttled, "the device held its processor back (heat or power)"),
            (self.memory_spread > MEMORY_LIMIT,
             f"the memory's speed varied by {100 * self.memory_spread:.0f} %: large networks may be off"),
            (self.first_run_ratio > COLD_LIMIT,
             f"first runs took {self.first_run_ratio:.1f} times the steady time: memory is slow"),
            (self.lost > LOST_LIMIT, f"{100 * self.lost:.0f} % of the sweeps were left out"),
            (self.busy > BUSY_LIMIT,
             f"in {100 * self.busy:.0f} % of the visits a neighbour held the core's units (reference kernel); they do "
             "not count"),
        ]


def conditions_of(sweeps: Sequence[Sweep], plan: SweepPlan, times: Times, *, processor_clock: bool) -> Conditions:
    """Sum up what the sweeps say of the machine; at least one sweep.

    Args:
        plan: how they were taken.
        times: of those that count.
        processor_clock: whether the times are processor time; on another clock waiting cannot be seen.
    """
    states = [sweep.state for sweep in sweeps]
    heat = [float(state["celsius"]) for state in states if "celsius" in state]
    return Conditions(
        clock_spread=_spread(times.kernel_ms), clock_trend=_trend(times.kernel_ms),
        memory_spread=max(_spread(times.speed / times.kernel_ms), _spread(sentinel_ratios(sweeps))),
        waiting=_waiting(sweeps, plan) if processor_clock else None,
        others=_median(states, "others"), stolen=_median(states, "stolen"),
        throttled=any(bool(state.get("throttled")) for state in states),
        celsius=max(heat) if heat else None,
        first_run_ratio=float(np.median([sweep.first_run_ratio for sweep in sweeps])),
        lost=times.rejected / len(sweeps), busy=times.busy,
    )


def _spread(values: Floats) -> float:
    low, middle, high = np.percentile(values, [10, 50, 90])
    return float((high - low) / middle)


def _trend(kernel_ms: Floats) -> float:
    third = len(kernel_ms) // 3
    if not third:
        return 0.0
    return float(np.median(kernel_ms[-third:]) / np.median(kernel_ms[:third]) - 1)


def _waiting(sweeps: Sequence[Sweep], plan: SweepPlan) -> float:
    """Share of wall time without the core: 1 - 1/s, where a quiet visit has s = `_FIRST_RUNS`."""
    runs = plan.warmup + plan.timed
    worked = [sum(runs * float(np.mean(times)) for times in sweep.times_ms.values()) for sweep in sweeps]
    passed = [1e3 * sum(sweep.seconds.values()) for sweep in sweeps]
    ratio = float(np.median(np.array(passed) / np.array(worked))) / _FIRST_RUNS
    return max(0.0, 1 - 1 / ratio)


def _median(states: Sequence[Any], key: str) -> float | None:
    values = [float(state[key]) for state in states if key in state]
    return float(np.median(values)) if values else None
