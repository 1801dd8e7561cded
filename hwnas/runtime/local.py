"""This machine as a device: models loaded into sessions and visited in sweeps.

The rules of sampling (measured in the project's latency study) are kept here: a new random order every sweep, warm-up
at every visit, the sentinels and the reference kernel evenly spread over the sweep, no garbage collection while the
clock runs.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from hwnas.errors import InputError, UsageError
from hwnas.runtime.calm import Pulse
from hwnas.runtime.device import Device, Sweep, SweepPlan
from hwnas.runtime.fingerprint import Fingerprint
from hwnas.runtime.machine import Machine
from hwnas.runtime.pinning import pinned
from hwnas.runtime.runtime import Inputs, Runtime, Session
from hwnas.runtime.timing import Timer, time_session

_SENTINEL_RUNS, _STEADY_FROM = 5, 2


class LocalDevice(Device):
    """This machine.

    Args:
        runtime: what executes the models.
        cores: logical cores that the process is pinned to while it works; None leaves it to the system.
    """

    def __init__(self, runtime: Runtime, cores: tuple[int, ...] | None = None) -> None:
        self._runtime, self._cores = runtime, cores

    def fingerprint(self) -> Fingerprint:
        return Fingerprint.of(self._runtime)

    @contextmanager
    def sweeps(self, models: Mapping[str, bytes], plan: SweepPlan) -> Iterator[Iterator[Sweep]]:
        with pinned(self._cores):
            sampler = Sampler(self._runtime, plan, self._cores)
            for name, model in models.items():
                sampler.load(name, model)
            yield sampler.sweeps()


class Sampler:
    """Models loaded once, and sweeps over them.

    Args:
        runtime: what executes them.
        plan: how they are visited.
        cores: logical cores whose clock is read; None means all.
    """

    def __init__(self, runtime: Runtime, plan: SweepPlan, cores: tuple[int, ...] | None = None) -> None:
        self._runtime, self._plan, self._machine = runtime, plan, Machine(cores)
        self._timer = Timer(runtime.threads)
        self._sessions: dict[str, tuple[Session, Inputs]] = {}

    def load(self, name: str, model: bytes) -> None:
        """Compile one model.

        Raises:
            InputError: it is none that the runtime can execute; names it.
        """
        try:
            session = self._runtime.load(model)
        except InputError as err:
            raise InputError(f"model {name!r}: {err}") from err
        self._sessions[name] = (session, session.example(self._runtime.batch))

    def sweeps(self, first: int = 0) -> Iterator[Sweep]:
        """Sweeps without end, numbered from `first`; a sweep's order follows from the seed and its number alone.

        Raises:
            UsageError: a sentinel is not among the models.
        """
        absent = [name for name in self._plan.sentinels if name not in self._sessions]
        if absent:
            raise UsageError(f"the sentinel {absent[0]!r} must be among the models; they are {len(self._sessions)}")
        number = first
        while True:
            yield self.sweep(number)
            number += 1

    def sweep(self, number: int) -> Sweep:
        """Visit every model whose turn it is once, and the sentinels and the kernel in between."""
        names = self._plan.visited(self._sessions, number)
        order = np.random.default_rng([self._plan.seed, number]).permutation(len(names))
        times: dict[str, list[float]] = {}
        seconds: dict[str, float] = {}
        sentinels: list[tuple[list[float], list[float]]] = []
        kernel: list[float] = []
        with _no_collection():
            pulse = Pulse(self._timer)
            for part in np.array_split(order, self._plan.sentinel_visits):
                large, small = (self._sentinel(name) for name in self._plan.sentinels)
                sentinels.append((large, small))
                kernel.append(pulse.read())
                for name in (names[i] for i in part):
                    start = time.perf_counter()
                    times[name] = time_session(*self._sessions[name], warmup=self._plan.warmup, timed=self._plan.timed)
                    seconds[name] = time.perf_counter() - start
                    pulse.visited(name, 1e3 * seconds[name])
            pulse.read()
        first_runs = [runs[0] / _steady(runs) for pair in sentinels for runs in pair]
        return Sweep(
            number, {name: times[name] for name in names}, [(_steady(a), _steady(b)) for a, b in sentinels],
            float(np.median(first_runs)), kernel, seconds, self._machine.state(), pulse.found,
        )

    def _sentinel(self, name: str) -> list[float]:
        return time_session(*self._sessions[name], warmup=0, timed=_SENTINEL_RUNS)


def _steady(runs_ms: list[float]) -> float:
    return float(np.median(runs_ms[_STEADY_FROM:]))


@contextmanager
def _no_collection() -> Iterator[None]:
    """No garbage collection while the clock runs."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
