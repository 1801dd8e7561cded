"""How one run, one network and a handful of networks are timed.

Three things decide whether a time of 0.1 to 10 ms can be trusted (measured in the project's latency study):
warm-up (the first run after another model costs up to three times the steady one, the fourth is within 2 %),
spread (samples in a row share one state of the machine, samples spread over seconds do not) and the clock.
With one thread the clock is the processor time of this process: preemption by other work does not count, where
wall time was seen to be seven times too long. Processor time cannot be used with several threads, since
it adds them up: there it is wall time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from hwnas.progress import Progress, silent
from hwnas.runtime.reference_kernel import kernel_ms
from hwnas.runtime.runtime import Inputs, Session

WARMUP, TIMED = 3, 2


@dataclass(frozen=True)
class Measurement:
    """Quantiles of the times of single runs, and the speed of the machine meanwhile.

    Args:
        kernel_ms: median time of the reference kernel (`hwnas.runtime.reference_kernel`) between those runs; None where
            it was not timed.
    """

    median_ms: float
    p10_ms: float
    p90_ms: float
    runs: int
    kernel_ms: float | None = None

    @classmethod
    def of(cls, samples_ms: Sequence[float], kernels_ms: Sequence[float] = ()) -> Measurement:
        """From the times of single runs, and of the reference kernel between them."""
        p10, median, p90 = np.percentile(samples_ms, [10, 50, 90])
        kernel = float(np.median(kernels_ms)) if len(kernels_ms) else None
        return cls(float(median), float(p10), float(p90), len(samples_ms), kernel)

    def to_json(self) -> dict[str, float | None]:
        """The fields, rounded to a nanosecond."""
        return {k: None if v is None else round(v, 6) for k, v in asdict(self).items()}


@dataclass(frozen=True)
class Timer:
    """Times one call in milliseconds, on the clock that is right for the number of threads."""

    threads: int = 1

    @property
    def clock(self) -> Callable[[], int]:
        """Nanoseconds: processor time of the process for one thread, wall time otherwise."""
        return time.process_time_ns if self.threads == 1 else time.perf_counter_ns

    def __call__(self, call: Callable[[], object]) -> float:
        clock = self.clock
        start = clock()
        call()
        return (clock() - start) / 1e6


def time_session(session: Session, inputs: Inputs, warmup: int = WARMUP, timed: int = TIMED) -> list[float]:
    """Run `warmup` times untimed, then `timed` times.

    A session that has a clock of its own (`Session.time_ms`) is timed on that.

    Returns:
        The timed runs in ms, in order.
    """
    own = session.time_ms(inputs)
    if own is not None:
        times = [own]
        while len(times) < warmup + timed:
            times.append(session.time_ms(inputs) or 0.0)
        return times[warmup:]
    for _ in range(warmup):
        session.run(inputs)
    clock, run = Timer(session.threads).clock, session.run
    times = []
    for _ in range(timed):
        start = clock()
        run(inputs)
        times.append((clock() - start) / 1e6)
    return times


def measure_latency(
    session: Session,
    inputs: Inputs | None = None,
    *,
    batch: int = 1,
    visits: int = 20,
    warmup: int = WARMUP,
    timed: int = 5,
    min_seconds: float = 0.5,
    max_seconds: float = 30.0,
) -> Measurement:
    """Steady latency of one network, from at least `visits` visits over at least `min_seconds`, back to back.

    There is no pause between visits, only the reference kernel: a processor that slept 25 ms needs more than ten runs
    to be as fast as before, and times after three warm-up runs were seen to be 39 % too long.

    Args:
        inputs: one batch; None takes random numbers of the model's own shape.
        batch: for dimensions that the model leaves open, if `inputs` is None.
        visits, warmup, timed: each visit does `warmup` untimed and `timed` timed runs.
        min_seconds: visits go on for at least this long.
        max_seconds: no further visit starts after this.
    """
    feed = session.example(batch) if inputs is None else inputs
    samples: list[float] = []
    kernels: list[float] = []
    timer, begin, elapsed = Timer(session.threads), time.perf_counter(), 0.0
    while elapsed < max_seconds and (elapsed < min_seconds or len(samples) < visits * timed):
        samples += time_session(session, feed, warmup, timed)
        kernels.append(kernel_ms(timer))
        elapsed = time.perf_counter() - begin
    return Measurement.of(samples, kernels)


def compare(
    sessions: Mapping[str, Session],
    *,
    sweeps: int = 20,
    warmup: int = WARMUP,
    timed: int = 5,
    batch: int = 1,
    progress: Progress = silent,
) -> dict[str, Measurement]:
    """Latencies of several networks in one interleaved run, so that their ratios can be trusted.

    Every sweep visits every network; a slow moment of the machine then falls on all of them alike.

    Returns:
        name -> times of its `sweeps * timed` runs.
    """
    feeds = {name: session.example(batch) for name, session in sessions.items()}
    samples: dict[str, list[float]] = {name: [] for name in sessions}
    kernels: list[float] = []
    for i in range(sweeps):
        for name, session in sessions.items():
            samples[name] += time_session(session, feeds[name], warmup, timed)
        kernels += [kernel_ms(Timer(session.threads)) for session in list(sessions.values())[:1]]
        progress("comparing networks", i + 1, sweeps)
    return {name: Measurement.of(times, kernels) for name, times in samples.items()}
