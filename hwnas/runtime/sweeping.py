"""How samples of many models come about: sweeps, on this machine or on another one.

A sweep visits every model once, in a new random order, with the two sentinels and the reference kernel in between.
What is made of the samples (speed, noise, medians) is for `hwnas.profile`; here they are only taken. This file and
everything it imports also run on the device itself, under Python 3.8 and with numpy and the runtime alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from typing import Any

from hwnas.errors import InputError
from hwnas.runtime.fingerprint import Fingerprint


@dataclass(frozen=True)
class SweepPlan:
    """How models are visited.

    Args:
        sentinels: names of the large and of the small sentinel, both among the models.
        warmup, timed: untimed and timed runs of one visit.
        sentinel_visits: how often per sweep the sentinels and the reference kernel are visited, evenly spread.
        seed: for the order of the visits.
        max_sweeps: sweeps after which a device that nobody can stop (a copied folder) ends by itself.
        max_seconds: the same in seconds.
    """

    sentinels: tuple[str, str]
    warmup: int = 3
    timed: int = 2
    sentinel_visits: int = 4
    seed: int = 0
    max_sweeps: int = 200
    max_seconds: float = 600.0

    def to_json(self) -> dict[str, Any]:
        """The fields; the sentinels as a list."""
        return {**asdict(self), "sentinels": list(self.sentinels)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SweepPlan:
        """Read `to_json` back.

        Raises:
            InputError: a field is missing, unknown or of the wrong kind.
        """
        try:
            large, small = data["sentinels"]
            plan = cls(**{**data, "sentinels": (str(large), str(small))})
        except (KeyError, TypeError, ValueError) as err:
            raise InputError(f"not a sweep plan: {err!r}") from err
        least = {"warmup": 0, "timed": 1, "sentinel_visits": 1, "seed": 0, "max_sweeps": 1, "max_seconds": 0}
        for name, low in least.items():
            value = getattr(plan, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or value < low:
                raise InputError(f"not a sweep plan: {name} must be a number, {low} or more; got {value!r}")
        return plan


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
    """

    number: int
    times_ms: Mapping[str, list[float]]
    sentinels_ms: list[tuple[float, float]]
    first_run_ratio: float
    kernel_ms: list[float]
    seconds: Mapping[str, float]
    state: Mapping[str, Any] = field(default_factory=dict)

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
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Sweep:
        """Read `to_json` back.

        Raises:
            InputError: a field is missing or is not what it should be.
        """
        try:
            sweep = cls(
                number=int(data["number"]),
                times_ms={str(name): [float(t) for t in times] for name, times in data["times_ms"].items()},
                sentinels_ms=[(float(large), float(small)) for large, small in data["sentinels_ms"]],
                first_run_ratio=float(data["first_run_ratio"]),
                kernel_ms=[float(t) for t in data["kernel_ms"]],
                seconds={str(name): float(s) for name, s in data["seconds"].items()},
                state=dict(data["state"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as err:
            raise InputError(f"not a sweep: {err!r}") from err
        every = [*(t for times in sweep.times_ms.values() for t in times), *sweep.kernel_ms]
        if not all(0 <= t < float("inf") for t in every):
            raise InputError(f"not a sweep: number {sweep.number} holds a time that is none")
        return sweep


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
