"""The 99th percentile of a network's times: what one request in a hundred waits for, with all that the machine does.

A median is of the network, and is taken from calm visits by a clock that other work does not move (`calm`, `timing`). A
tail is of the machine as much as of the network: an interruption, a neighbour, a clock that falls. Who asks for it asks
about just these. So here the clock is the one on the wall and every run counts, calm or not. What the runs that met a
calm machine give stands beside it, and is what the network answers for: only that can break a budget, and only all runs
together keep one. Between the two nothing is proved (ADR 0055).

This file also runs on the device itself, under Python 3.8 and with numpy alone.

Glossary
    T   times of single runs in order, ms, shape (blocks, runs of a block)
    k   time of the reference kernel around every block, ms, times what the block took by the clock on the wall over
        what it took of the processor: a core that other work had meanwhile is a busy one, too; shape (blocks,)
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from hwnas.runtime.calm import calm
from hwnas.runtime.reference_kernel import kernel_ms
from hwnas.runtime.timing import WARMUP, Timer, patience

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from hwnas.runtime.runtime import Inputs, Session

SHARE = 0.99
BLOCKS, LEAST_RUNS = 20, 10  # of runs in a row that share a state of the machine; runs of a block at least
RUNS, SECONDS = 1000, 10.0  # that are wanted, and for how long at most; ten runs lie beyond the percentile then
RESAMPLES = 400
FEWEST = 2  # blocks that stand for a calm machine however busy it was
BUSY = 0.1  # share of the runs on a busy machine from which on it is worth waiting


@dataclass(frozen=True)
class Tail:
    """The 99th percentile of the times of single runs, by the clock on the wall.

    Args:
        p99_ms: over all runs; low_ms, high_ms: its 90 % interval, from runs in a row that were drawn anew together.
        median_ms: of the same runs.
        calm_ms: over the runs that met a calm machine alone, or the calmest blocks.
        busy: share of the runs that met a busy one.
        runs: how many.
    """

    p99_ms: float
    low_ms: float
    high_ms: float
    median_ms: float
    calm_ms: float
    busy: float
    runs: int

    @classmethod
    def of(cls, times_ms: NDArray[np.float64], kernels_ms: NDArray[np.float64], usual_ms: float = 0.0) -> Tail:
        """From times and kernels.

        Args:
            times_ms: T.
            kernels_ms: k.
            usual_ms: k on a calm machine, where that is known from before; else 0.
        """
        drawn = np.random.default_rng(0).integers(len(times_ms), size=(RESAMPLES, len(times_ms)))
        again = _beyond(times_ms[drawn].reshape(RESAMPLES, -1))
        low, high = np.quantile(again, [0.05, 0.95])
        counts, certain = (calm(kernels_ms[None], usual_ms, fewest)[0] for fewest in (FEWEST, 0))
        p99 = float(_beyond(times_ms.ravel()))
        return cls(p99, min(float(low), p99), max(float(high), p99), float(np.median(times_ms)),
                   float(_beyond(times_ms[counts].ravel())), 1 - float(certain.mean()), times_ms.size)

    def to_json(self) -> dict[str, float]:
        """The fields, rounded to a nanosecond."""
        return {name: round(value, 6) for name, value in asdict(self).items()}


def measure_tail(session: Session, inputs: Inputs | None = None, *, batch: int = 1, runs: int = RUNS,
                 seconds: float = SECONDS, wait: bool = True, calm_kernel_ms: float = 0.0) -> Tail:
    """Run a network over and over, back to back, and look at the longest of its times.

    Where more than `BUSY` of the runs met a busy machine it is done again, for as long as `patience()` says; the last
    time counts, not the best.

    Args:
        inputs: one batch; None takes random numbers of the model's own shape.
        batch: for dimensions that the model leaves open, if `inputs` is None.
        runs: how many at least, where `seconds` are enough for them; never fewer than `BLOCKS` times `LEAST_RUNS`.
        seconds: how long at most, but for the fewest runs.
        wait: whether to do it again on a busy machine.
        calm_kernel_ms: what the reference kernel takes on this machine when it is calm, where that was measured
            before; 0 takes the fastest of this run.
    """
    feed = session.example(batch) if inputs is None else inputs
    once = _clocked(session, feed)
    first = min([once() for _ in range(2 * WARMUP)][WARMUP:])
    affordable = seconds * 1e3 / (BLOCKS * max(first, 1e-6))
    each = max(LEAST_RUNS, min(math.ceil(runs / BLOCKS), int(affordable)))
    end = time.perf_counter() + (patience() if wait else 0.0)
    timer = Timer(session.threads if session.time_ms(feed) is None else 0)  # of an accelerator: the clock on the wall
    found = _taken(once, each, timer, calm_kernel_ms)
    while found.busy > BUSY and time.perf_counter() < end:
        found = _taken(once, each, timer, calm_kernel_ms)
    return found


def _taken(once: Callable[[], float], each: int, timer: Timer, usual_ms: float) -> Tail:
    """Of blocks of so many runs, with the reference kernel in between."""
    times, kernels, taken = [], [kernel_ms(timer)], []
    for _ in range(BLOCKS):
        once()  # the kernel was in the caches
        wall, own = time.perf_counter_ns(), timer.clock()
        times.append([once() for _ in range(each)])
        taken.append((time.perf_counter_ns() - wall) / max(timer.clock() - own, 1))
        kernels.append(kernel_ms(timer))
    around = np.array(kernels)
    return Tail.of(np.array(times), np.maximum(around[:-1], around[1:]) * np.maximum(taken, 1.0), usual_ms)


def _clocked(session: Session, feed: Inputs) -> Callable[[], float]:
    """One run, in ms: by the session's own clock where it has one, else by the one on the wall."""
    if session.time_ms(feed) is not None:
        return lambda: session.time_ms(feed) or 0.0

    def once() -> float:
        start = time.perf_counter_ns()
        session.run(feed)
        return (time.perf_counter_ns() - start) / 1e6

    return once


def _beyond(times_ms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Along the last axis, the least time that at least 99 % of the runs are within."""
    place = math.ceil(SHARE * times_ms.shape[-1]) - 1
    return np.asarray(np.partition(times_ms, place, axis=-1)[..., place])
