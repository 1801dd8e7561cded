"""How one run, one network and a handful of networks are timed.

Three things decide whether a time of 0.1 to 10 ms can be trusted (measured in the project's latency study):
warm-up (the first run after another model costs up to three times the steady one, the fourth is within 2 %),
spread (samples in a row share one state of the machine, samples spread over seconds do not) and the clock.
With one thread the clock is the processor time of this process: preemption by other work does not count, where
wall time was seen to be seven times too long. Processor time cannot be used with several threads, since
it adds them up: there it is wall time. A fourth one is the neighbour on the core's own execution units, whom no clock
takes out: `hwnas.runtime.calm` tells which visits met one.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from hwnas.errors import UsageError
from hwnas.progress import Progress, silent
from hwnas.runtime.calm import FEWEST, SLOW, Pulse, calm, slowness, speed_factors
from hwnas.runtime.runtime import Inputs, Session

if TYPE_CHECKING:
    from numpy.typing import NDArray

WARMUP, TIMED = 3, 2
CHECK_EVERY, SELDOM = 5, 20  # visits between two looks at whether enough of them count, or a twentieth of all
PATIENCE = 20.0  # seconds that a comparison goes on for, at least, while too few of its visits met a calm machine
VARIABLE, MOST_PATIENCE = "HWNAS_PATIENCE", 3600.0


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
    visits_made = Visits([""], visits, min_seconds, max_seconds)
    _take({"": (session, feed)}, visits_made, warmup, timed, silent)
    return visits_made.measurements()[""]


def compare(
    sessions: Mapping[str, Session],
    *,
    sweeps: int = 20,
    warmup: int = WARMUP,
    timed: int = 5,
    batch: int = 1,
    min_seconds: float = 0.0,
    max_seconds: float = math.inf,
    calm_kernel_ms: float = 0.0,
    usual_ms: Mapping[str, float] | None = None,
    progress: Progress = silent,
) -> dict[str, Measurement]:
    """Latencies of several networks in one interleaved run, so that their ratios can be trusted.

    Every sweep visits every network; a slow moment of the machine then falls on all of them alike. Visits that met a
    busy machine do not count, and others take their place, for as long again or `patience()` seconds.

    Args:
        sweeps: visits of every network that count, where patience brings so many.
        min_seconds, max_seconds: sweeps go on for at least and for at most so long.
        calm_kernel_ms: what the reference kernel takes on this machine when it is calm, where that was measured before;
            0 takes the fastest of this run.
        usual_ms: name -> what a network takes on this machine when it is calm, where that was measured before.

    Returns:
        name -> times of its runs in visits that count.
    """
    visits = Visits(list(sessions), sweeps, min_seconds, max_seconds, calm_kernel_ms, usual_ms)
    _take({name: (session, session.example(batch)) for name, session in sessions.items()}, visits, warmup, timed,
          progress)
    return visits.measurements()


def patience() -> float:
    """Seconds that a comparison waits for a calm machine: `HWNAS_PATIENCE`, or `PATIENCE`.

    Raises:
        UsageError: the variable is no number of seconds.
    """
    told = os.environ.get(VARIABLE)
    try:
        seconds = PATIENCE if told is None else float(told)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= MOST_PATIENCE:
        raise UsageError(f"{VARIABLE} must be seconds from 0 to {MOST_PATIENCE:.0f}, not {told!r}: it is how long a "
                         "comparison of times waits for a calm machine")
    return seconds


def _take(networks: Mapping[str, tuple[Session, Inputs]], visits: Visits, warmup: int, timed: int, progress: Progress
          ) -> None:
    """Visit networks in turns until it is enough.

    Every turn has another order: what follows a network that fills the caches was seen to take 5 % longer.
    """
    pulse = Pulse(Timer(next((session.threads for session, _ in networks.values()), 1)))
    names = list(networks)
    while not visits.over:
        times = {}
        for i in np.random.default_rng(visits.made).permutation(len(names)):
            name, start = names[i], time.perf_counter()
            session, feed = networks[name]
            times[name] = time_session(session, feed, warmup, timed)
            pulse.visited(name, 1e3 * (time.perf_counter() - start))
        pulse.read()
        visits.add(times, pulse.found)
        if visits.made <= visits.wanted:
            progress("comparing networks", visits.made, visits.wanted)


class Visits:
    """Times of networks that were visited in turns, and whether there are enough.

    Args:
        names: of the networks.
        wanted: visits of each that count.
        min_seconds, max_seconds, calm_kernel_ms, usual_ms: see `compare`.
    """

    def __init__(self, names: Sequence[str], wanted: int, min_seconds: float = 0.0, max_seconds: float = math.inf,
                 calm_kernel_ms: float = 0.0, usual_ms: Mapping[str, float] | None = None) -> None:
        self.wanted, self.made = wanted, 0
        self._usual_ms = {i: usual_ms[name] for i, name in enumerate(names) if usual_ms and name in usual_ms}
        self._between, self._calm_ms = (min_seconds, max_seconds), calm_kernel_ms
        self._times: dict[str, list[list[float]]] = {name: [] for name in names}
        self._kernels: dict[str, list[float]] = {name: [] for name in names}
        self._begin, self._patience, self.over = time.perf_counter(), math.inf, max_seconds <= 0
        self._next_look = wanted

    def add(self, times_ms: Mapping[str, list[float]], kernels_ms: Mapping[str, float]) -> None:
        """One more visit of every network: its timed runs, and the reference kernel around it."""
        for name, times in self._times.items():
            times.append(times_ms[name])
            self._kernels[name].append(kernels_ms[name])
        self.made += 1
        elapsed, (least, most) = time.perf_counter() - self._begin, self._between
        if self.made == self.wanted:
            self._patience = max(2 * elapsed, patience()) if patience() else 0.0
        enough = self.made >= self.wanted and (elapsed >= self._patience or self._suffices)
        self.over = elapsed >= most or (enough and elapsed >= least)

    @property
    def _suffices(self) -> bool:
        """Whether enough visits of every network count; looked at now and then, since a look takes time."""
        if self.made < self._next_look:
            return False
        self._next_look = self.made + max(CHECK_EVERY, self.made // SELDOM)
        counts = self._counts(np.array(list(self._times.values())), np.array(list(self._kernels.values())), fewest=0)
        return min(counts.sum(axis=1).tolist(), default=0) >= self.wanted

    def _counts(self, times: NDArray[np.float64], kernels: NDArray[np.float64], fewest: int) -> NDArray[np.bool_]:
        """Which visits do, shape (networks, visits)."""
        slower = slowness(times, self._usual_ms)
        if fewest and slower.min() > 1 + SLOW:  # all patience is spent: what was usual then is not usual now
            slower = slowness(times)
        return calm(kernels, self._calm_ms, fewest, slower)

    def measurements(self) -> dict[str, Measurement]:
        """What the visits that count say of every network, at the speed of the median sweep."""
        times, kernels = np.array(list(self._times.values())), np.array(list(self._kernels.values()))
        counts = self._counts(times, kernels, FEWEST)
        some = counts.any(axis=0)
        times, kernels, counts = times[:, some], kernels[:, some], counts[:, some]
        speed = speed_factors(np.where(counts[..., None], times, np.nan))
        return {name: Measurement.of((times[i] / speed[:, None])[counts[i]].ravel().tolist(),
                                     (kernels[i] / speed)[counts[i]].tolist())
                for i, name in enumerate(self._times)}
