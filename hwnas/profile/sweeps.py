"""Sweeps: every model visited once per sweep, in a new random order, until the table has settled.

A machine changes its speed by a fifth within seconds (measured), and small and large models follow it alike. So the
speed of every sweep is estimated from all models together and divided out; what remains is noise, which medians
average. What does not change alike is memory: when other tenants slow it down, large networks suffer and blocks that
fit the cache do not. Two sentinels, the largest network and a small block, are visited throughout every sweep; sweeps
in which their ratio leaves 10 % of the usual are left out, and further ones take their place.

Glossary
    T   times, ms, shape (models, sweeps, timed)
    f   speed factor of a sweep, 1 for the median sweep, shape (sweeps,)
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas.runtime import Inputs, Runtime, Session, visit

Floats = NDArray[np.float64]

SENTINEL_VISITS = 4  # per sweep, evenly spread
SENTINEL_LIMIT = 0.10
_LEAST = 4  # sweeps that are kept whatever the sentinels say


@dataclass(frozen=True)
class Times:
    """Times of all models in the sweeps that count, speed divided out.

    Args:
        keys: names of the models.
        times_ms: T / f, shape (models, sweeps, timed).
        speed: f, shape (sweeps,).
        rejected: how many sweeps the sentinels ruled out.
    """

    keys: tuple[str, ...]
    times_ms: Floats
    speed: Floats
    rejected: int

    def medians(self, part: slice = slice(None)) -> dict[str, float]:
        """Median time of every model over the sweeps in `part`, ms."""
        flat = self.times_ms[:, part].reshape(len(self.keys), -1)
        return dict(zip(self.keys, np.median(flat, axis=1).tolist(), strict=True))

    def quantiles(self, key: str) -> tuple[float, float]:
        """10th and 90th percentile of a model's times, ms."""
        low, high = np.percentile(self.times_ms[self.keys.index(key)], [10, 90])
        return float(low), float(high)

    def halves(self) -> list[tuple[dict[str, float], dict[str, float]]]:
        """Medians from odd and from even sweeps, and from the first and from the second half."""
        n = self.times_ms.shape[1]
        odd_even = self.medians(slice(0, None, 2)), self.medians(slice(1, None, 2))
        return [odd_even, (self.medians(slice(0, n // 2)), self.medians(slice(n // 2, None)))]


class Sweeper:
    """Loads models once and sweeps over them.

    Args:
        models: name -> ONNX bytes.
        sentinels: names of the large and of the small sentinel, both in `models`.
        runtime: what executes them.
        rng: for the order of the visits.
    """

    def __init__(
        self, models: Mapping[str, bytes], sentinels: tuple[str, str], runtime: Runtime, rng: np.random.Generator
    ) -> None:
        self._sessions: dict[str, tuple[Session, Inputs]] = {}
        for key, model in models.items():
            session = runtime.load(model)
            self._sessions[key] = (session, session.example())
        self._sentinels, self._rng = sentinels, rng
        self._samples: list[list[list[float]]] = []
        self._ratios: list[float] = []
        self._first_run: list[float] = []
        self.seconds = dict.fromkeys(models, 0.0)

    @property
    def sweeps(self) -> int:
        """How many were made, rejected ones included."""
        return len(self._samples)

    @property
    def first_run_ratio(self) -> float:
        """Median time of a sentinel's first run after other models over its steady time."""
        return float(np.median(self._first_run))

    @property
    def accepted(self) -> NDArray[np.bool_]:
        """Which sweeps count, shape (sweeps,)."""
        return usual(np.asarray(self._ratios))

    def sweep(self) -> None:
        """Visit every model once, and the sentinels in between."""
        keys = list(self._sessions)
        order = self._rng.permutation(len(keys))
        row: list[list[float]] = [[] for _ in keys]
        pairs: list[tuple[float, float]] = []
        with _no_collection():
            for part in np.array_split(order, SENTINEL_VISITS):
                pairs.append((self._sentinel(self._sentinels[0]), self._sentinel(self._sentinels[1])))
                for index in part:
                    start = time.perf_counter()
                    row[index] = visit(*self._sessions[keys[index]])
                    self.seconds[keys[index]] += time.perf_counter() - start
        large, small = np.median(pairs, axis=0)
        self._samples.append(row)
        self._ratios.append(float(large / small))

    def times(self) -> Times:
        """What the sweeps so far say."""
        keep = self.accepted
        times = np.asarray(self._samples)[keep].transpose(1, 0, 2)
        speed = speed_factors(times)
        return Times(tuple(self._sessions), times / speed[None, :, None], speed, int((~keep).sum()))

    def _sentinel(self, key: str) -> float:
        runs = visit(*self._sessions[key], warmup=0, timed=5)
        steady = float(np.median(runs[2:]))
        self._first_run.append(runs[0] / steady)
        return steady


def speed_factors(times_ms: Floats) -> Floats:
    """Speed factor of every sweep: the median over the models of the time relative to the model's own median.

    Args:
        times_ms: T, shape (models, sweeps, timed).

    Returns:
        f, shape (sweeps,), with median 1.
    """
    visits = np.median(times_ms, axis=2)
    relative = np.log(visits / np.median(visits, axis=1, keepdims=True))
    factors = np.exp(np.median(relative, axis=0))
    return np.asarray(factors / np.median(factors))


def usual(ratios: Floats) -> NDArray[np.bool_]:
    """Which sentinel ratios lie within `SENTINEL_LIMIT` of their median; all, if fewer than four do.

    Args:
        ratios: time of the large sentinel over the small one's, shape (sweeps,).
    """
    inside = np.abs(ratios / np.median(ratios) - 1) <= SENTINEL_LIMIT
    return inside if inside.sum() >= _LEAST else np.ones(len(ratios), dtype=bool)


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
