"""How samples of many models come about: sweeps, on this machine or on another one.

A sweep visits every model once, or those whose turn it is, in a new random order, with the two sentinels and the
reference kernel in between.
What is made of the samples (speed, noise, medians) is for `hwnas.profile`; here they are only taken. This file and
everything it imports also run on the device itself, under Python 3.8 and with numpy and the runtime alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from typing import Any

from hwnas.documents import Record, brief
from hwnas.errors import InputError
from hwnas.runtime.fingerprint import Fingerprint

LEAST_SWEEPS = 4  # that are made however short the time: two halves of fewer say nothing of each other
LEAST_MS, MOST_MS = 1e-6, 1e7  # of a median: a nanosecond; of one run: close to three hours


@dataclass(frozen=True)
class SweepPlan:
    """How models are visited.

    Args:
        sentinels: names of the large and of the small sentinel, both among the models.
        warmup, timed: untimed and timed runs of one visit.
        sentinel_visits: how often per sweep the sentinels and the reference kernel are visited, evenly spread.
        seed: for the order of the visits.
        max_sweeps: sweeps after which a device that nobody can stop (a copied folder) ends by itself.
        max_seconds: the same in seconds, after the least `LEAST_SWEEPS`.
        every: model -> it is visited in every so many-th sweep alone, at most in every `LEAST_SWEEPS`-th; in all of
            them where it is not named.
    """

    sentinels: tuple[str, str]
    warmup: int = 3
    timed: int = 2
    sentinel_visits: int = 4
    seed: int = 0
    max_sweeps: int = 200
    max_seconds: float = 600.0
    every: Mapping[str, int] = field(default_factory=dict)

    def visited(self, models: Iterable[str], number: int) -> list[str]:
        """The models that a sweep visits: as many of those that take turns in one sweep as in another, or one more.

        It depends on their names alone, so that a device and who reads its results agree.
        """
        known = list(models)
        turns = {name: i for i, name in enumerate(sorted(name for name in known if name in self.every))}
        return [name for name in known if name not in turns or (number + turns[name]) % self.every[name] == 0]

    def over(self, sweeps: int, seconds: float) -> bool:
        """Whether so many sweeps that took so long are all that a device makes by itself."""
        return sweeps >= self.max_sweeps or (seconds >= self.max_seconds and sweeps >= LEAST_SWEEPS)

    def to_json(self) -> dict[str, Any]:
        """The fields; the sentinels as a list."""
        return {**asdict(self), "sentinels": list(self.sentinels), "every": dict(self.every)}

    @classmethod
    def from_json(cls, data: object) -> SweepPlan:
        """Read `to_json` back.

        Raises:
            InputError: a field is missing, unknown or of the wrong kind.
        """
        told = Record(data, "not a sweep plan")
        if unknown := [key for key in told.keys() if key not in cls.__dataclass_fields__]:  # noqa: SIM118 - no dict
            raise InputError(f"not a sweep plan: {brief(unknown[0])} is no field of it")
        large, small = told.items("sentinels", told.text_of, 2, 2)
        return cls(
            (large, small), told.integer("warmup", 0, 10_000, default=cls.warmup),
            told.integer("timed", 1, 10_000, default=cls.timed),
            told.integer("sentinel_visits", 1, 10_000, default=cls.sentinel_visits),
            told.integer("seed", 0, default=cls.seed), told.integer("max_sweeps", 1, 1_000_000, default=cls.max_sweeps),
            told.number("max_seconds", 0, 1e7, default=cls.max_seconds),
            told.pairs("every", lambda value, place: told.integer_of(value, place, 1, LEAST_SWEEPS), default={}),
        )


@dataclass(frozen=True)
class Sweep:
    """One sweep's raw samples; written as one JSON line.

    Args:
        number: counts from 0 over a whole job, also across a dropped connection.
        times_ms: model -> its timed runs.
        sentinels_ms: (large, small) steady times, one pair per visit.
        first_run_ratio: median first run of a sentinel over its steady time.
        kernel_ms: times of the reference kernel, a fixed computation that no runtime takes part in.
        seconds: model -> what visiting it took.
        state: what the machine says of itself then, where it says anything: the keys of `Machine.state`
            ('load', 'mhz', 'celsius', 'throttled', 'others', 'stolen').
        visit_kernel_ms: model -> the reference kernel around its visit: what tells a calm machine from a busy one.
    """

    number: int
    times_ms: Mapping[str, list[float]]
    sentinels_ms: list[tuple[float, float]]
    first_run_ratio: float
    kernel_ms: list[float]
    seconds: Mapping[str, float]
    state: Mapping[str, Any] = field(default_factory=dict)
    visit_kernel_ms: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """One line of a results file; times rounded to a nanosecond."""
        return {
            "number": self.number,
            "times_ms": {name: [_ns(t) for t in times] for name, times in self.times_ms.items()},
            "sentinels_ms": [[_ns(large), _ns(small)] for large, small in self.sentinels_ms],
            "first_run_ratio": round(self.first_run_ratio, 4),
            "kernel_ms": [_ns(t) for t in self.kernel_ms],
            "seconds": {name: round(s, 6) for name, s in self.seconds.items()},
            "state": dict(self.state),
            "visit_kernel_ms": {name: _ns(t) for name, t in self.visit_kernel_ms.items()},
        }

    @classmethod
    def from_json(cls, data: object) -> Sweep:
        """Read `to_json` back.

        Raises:
            InputError: a field is missing or is not what it should be.
        """
        told = Record(data, "not a sweep")

        def time_ms(value: object, place: str) -> float:
            return told.number_of(value, place, LEAST_MS, MOST_MS)

        def run_ms(value: object, place: str) -> float:
            return told.number_of(value, place, 0, MOST_MS)  # 0: a clock that did not tick between two readings

        def times_ms(values: object, place: str) -> list[float]:
            return list(Record({"times": values}, f"not a sweep: {place}").items("times", run_ms, 1, 100_000))

        def pair(values: object, place: str) -> tuple[float, float]:
            large, small = Record({"pair": values}, f"not a sweep: {place}").items("pair", time_ms, 2, 2)
            return large, small

        return cls(
            number=told.integer("number", 0, 1_000_000_000), times_ms=told.pairs("times_ms", times_ms),
            sentinels_ms=told.items("sentinels_ms", pair, 1), first_run_ratio=told.number("first_run_ratio", 0, 1e9),
            kernel_ms=told.items("kernel_ms", time_ms, 1),
            seconds=told.pairs("seconds", lambda value, place: told.number_of(value, place, 0, MOST_MS)),
            state=dict(checked_state(told.record("state"))), visit_kernel_ms=told.pairs("visit_kernel_ms", run_ms),
        )


def check_sweep(sweep: Sweep, models: Mapping[str, str], plan: SweepPlan) -> None:
    """Whether a sweep visited those of these models whose turn it was, as planned.

    Raises:
        InputError: it lacks models or has others, or another number of runs or visits.
    """
    due = set(plan.visited(models, sweep.number))
    if any(set(told) != due for told in (sweep.times_ms, sweep.seconds, sweep.visit_kernel_ms)):
        raise InputError(f"sweep {sweep.number} lacks models, or has others than the {len(due)} whose turn it is")
    runs = {len(times) for times in sweep.times_ms.values()}
    visits = {len(sweep.sentinels_ms), len(sweep.kernel_ms)}
    if len(runs) > 1 or len(visits) > 1 or (plan.timed not in runs and runs) or plan.sentinel_visits not in visits:
        raise InputError(f"sweep {sweep.number} has not the {plan.timed} runs of every model and the "
                         f"{plan.sentinel_visits} visits of the sentinels that were asked for")


def checked_state(state: Record) -> dict[str, Any]:
    """What a machine says of itself: numbers, or true or false, by name.

    Raises:
        InputError: anything else.
    """
    values = {key: state.get(key) for key in state.keys()}  # noqa: SIM118 - no dict
    return {key: value if isinstance(value, bool) else state.number_of(value, key) for key, value in values.items()}


class Device(ABC):
    """Where models are timed: this machine, one behind ssh, or a folder that is carried there by hand."""

    @abstractmethod
    def fingerprint(self) -> Fingerprint:
        """The device, its software and the runtime."""

    @abstractmethod
    def sweeps(self, models: Mapping[str, bytes], plan: SweepPlan) -> AbstractContextManager[Iterator[Sweep]]:
        """Load the models once, then give one sweep after the other for as long as the caller asks.

        Leaving the context ends the work on the device and removes what was put there.

        Raises:
            InputError: a model is none that the runtime can execute, or the device cannot be reached.
        """


def _ns(time_ms: float) -> float:
    return round(time_ms, 6)
