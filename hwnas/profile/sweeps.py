"""Statistics over sweeps: which count, how fast the machine was in each, and what a median is worth.

A machine changes its speed by a fifth within seconds (measured), and small and large models follow it alike. So the
speed of every sweep is estimated from all models together and divided out; what remains is noise, which medians
average. Two things do not change all models alike:

- Memory: when other tenants slow it down, large networks suffer and blocks that fit the cache do not. Two sentinels,
  the largest network and a small block, are visited throughout every sweep; sweeps in which their ratio leaves the
  usual by 10 % are left out, and further ones take their place.
- A neighbour on the execution units of the core: visits that met one do not count (`hwnas.runtime.calm`).

How the sweeps are taken is in `hwnas.runtime.device`.

Glossary
    T   times, ms, shape (models, sweeps, timed); of visits that were not made or do not count not a number
    f   speed factor of a sweep, 1 for the median sweep, shape (sweeps,)
    k   time of the reference kernel in a sweep, ms, shape (sweeps,)
    c   whether a visit met a calm machine, shape (models, sweeps)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas.runtime.calm import calm, middle, speed_factors
from hwnas.runtime.device import Sweep

Floats = NDArray[np.float64]

SENTINEL_LIMIT = 0.10
SENTINEL_NOISE = 2.5  # standard deviations of the ratio, where they are more than that limit; up to 0.25
_LEAST = 4  # sweeps that are kept whatever the sentinels say
_MEDIAN_95 = 1.96 * math.sqrt(math.pi / 2)  # half width of a median's 95 % interval, in standard errors of a mean
_MAD = 1.4826  # standard deviation over median absolute deviation, for normal samples


@dataclass(frozen=True)
class Times:
    """Times of all models in the sweeps that count, speed divided out.

    Args:
        keys: names of the models.
        times_ms: T / f.
        speed: f.
        kernel_ms: k.
        rejected: how many sweeps the sentinels ruled out.
        busy: share of the visits in the others that met a busy machine and do not count, 0..1.
    """

    keys: tuple[str, ...]
    times_ms: Floats
    speed: Floats
    kernel_ms: Floats
    rejected: int
    busy: float = 0.0

    @property
    def sweeps(self) -> int:
        """How often the models were visited when it counted; the middle one of those that are visited most."""
        visits = self._visits.sum(axis=1)
        return int(np.median(visits[2 * visits > visits.max()])) if visits.max() else 0

    @property
    def runs(self) -> int:
        """How many timed runs of each model that is visited most count."""
        return self.sweeps * int(self.times_ms.shape[2])

    @property
    def steady_kernel_ms(self) -> float:
        """Time of the reference kernel at the speed that the times are given at."""
        return float(np.median(self.kernel_ms / self.speed))

    def medians(self, part: NDArray[np.bool_] | None = None) -> dict[str, float]:
        """Median time of every model over the visits in `part`, ms; over all, where none of those counts.

        Args:
            part: shape (models, sweeps); None takes all.
        """
        chosen = self.times_ms if part is None else np.where(part[:, :, None], self.times_ms, np.nan)
        found = middle(chosen.reshape(len(self.keys), -1), 1)
        if (absent := np.isnan(found)).any():
            found[absent] = middle(self.times_ms[absent].reshape(int(absent.sum()), -1), 1)
        return dict(zip(self.keys, found.tolist(), strict=True))

    def quantiles(self, key: str) -> tuple[float, float]:
        """10th and 90th percentile of a model's times, ms."""
        low, high = np.nanpercentile(self.times_ms[self.keys.index(key)], [10, 90])
        return float(low), float(high)

    def half_widths(self) -> dict[str, float]:
        """Half width of the 95 % interval of every model's median, ms.

        The runs of one visit are no independent samples, so visits are counted, not runs. The spread of visits is
        taken from their median absolute deviation, which single preempted visits do not move.
        """
        visits = middle(self.times_ms, 2)
        deviation = middle(np.abs(visits - middle(visits, 1)[:, None]), 1)
        widths = _MEDIAN_95 * _MAD * deviation / np.sqrt(self._visits.sum(axis=1))
        return dict(zip(self.keys, widths.tolist(), strict=True))

    def halves(self) -> list[tuple[dict[str, float], dict[str, float]]]:
        """Medians from odd and from even visits of every model, and from the first and from the second half."""
        visits = self._visits
        place = visits.cumsum(axis=1) - 1
        early = 2 * place < visits.sum(axis=1)[:, None] - 1
        return [(self.medians(part & visits), self.medians(~part & visits)) for part in (place % 2 == 0, early)]

    @property
    def _visits(self) -> NDArray[np.bool_]:
        return np.asarray(~np.isnan(self.times_ms[:, :, 0]))


def times_of(sweeps: Sequence[Sweep], calm_kernel_ms: float = 0.0) -> Times:
    """What the sweeps so far say; at least one.

    Args:
        calm_kernel_ms: of the reference kernel on this machine when it is calm, where that is known from before.
    """
    keys = tuple(dict.fromkeys(key for sweep in sweeps for key in sweep.times_ms))
    keep = usual(sentinel_ratios(sweeps))
    if {key for sweep, kept in zip(sweeps, keep.tolist(), strict=True) if kept for key in sweep.times_ms} != set(keys):
        keep = np.ones(len(sweeps), dtype=bool)  # of few, one that is left out may hold all there is of a model
    counted = [sweep for sweep, kept in zip(sweeps, keep.tolist(), strict=True) if kept]
    absent = [math.nan] * len(next(iter(sweeps[0].times_ms.values())))
    raw = np.array([[sweep.times_ms.get(key, absent) for key in keys] for sweep in counted]).transpose(1, 0, 2)
    kernels = np.array([[sweep.visit_kernel_ms.get(key, math.nan) for key in keys] for sweep in counted]).T
    quiet, visited = calm(kernels, calm_kernel_ms), int((~np.isnan(kernels)).sum())
    some = quiet.any(axis=0)
    raw, quiet, kernels = raw[:, some], quiet[:, some], kernels[:, some]
    raw[~quiet], kernels[~quiet] = np.nan, np.nan
    speed = speed_factors(raw)
    return Times(keys, raw / speed[None, :, None], speed, middle(kernels, 0), int((~keep).sum()),
                 1 - float(quiet.sum()) / visited)


def sentinel_ratios(sweeps: Sequence[Sweep]) -> Floats:
    """Time of the large sentinel over the small one's, shape (sweeps,)."""
    pairs = (np.median(np.array(sweep.sentinels_ms), axis=0) for sweep in sweeps)
    return np.array([float(large / small) for large, small in pairs])


def usual(ratios: Floats) -> NDArray[np.bool_]:
    """Which sentinel ratios lie within `SENTINEL_LIMIT`, or their noise, of their median; all, if fewer than four do.

    On a busy machine the ratio itself is uncertain by more than the limit; to leave out what is no outlier would cost
    half of the sweeps and gain nothing.

    Args:
        ratios: time of the large sentinel over the small one's, shape (sweeps,).
    """
    away = np.abs(ratios / np.median(ratios) - 1)
    noise = SENTINEL_NOISE * _MAD * float(np.median(away))
    inside = away <= max(SENTINEL_LIMIT, min(noise, 0.25))
    return inside if inside.sum() >= _LEAST else np.ones(len(ratios), dtype=bool)
