"""How samples of many models come about: sweeps, on this machine or on another one.

A sweep visits every model once, in a new random order, with the two sentinels and the reference kernel in between.
What is made of the samples (speed, noise, medians) is for `hwnas.profile`; here they are only taken. This file and
everything it imports also run on the device itself, under Python 3.8 and with numpy and the runtime alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

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
        state: what the machine says of itself then: 'load', 'mhz', 'celsius', 'throttled', where it says anything.
    """

    number: int
    times_ms: Mapping[str, list[float]]
    sentinels_ms: list[tuple[float, float]]
    first_run_ratio: float
    kernel_ms: list[float]
    seconds: Mapping[str, float]
    state: Mapping[str, Any] = field(default_factory=dict)


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
