"""What the readers of published look-up tables share: what they give back, and how a time is read."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.documents import brief, printable
from hwnas.errors import InputError
from hwnas.latency.entry import Entry
from hwnas.validation import MOST_MS

_MOST = MOST_MS * 1000  # in the finest unit
UNITS_MS = {"ms": 1.0, "us": 1e-3, "s": 1e3}
_NORMAL_90 = 1.2815515655446004  # standard deviations from the median of a normal to its 90 % quantile


@dataclass(frozen=True)
class Unmapped:
    """A key of the file that has no exact counterpart among our ops, and why."""

    key: str
    why: str


@dataclass(frozen=True)
class Mapped:
    """What a reader found.

    Args:
        format: its name.
        entries: one per signature; `when` is empty, published files have no dates.
        unmapped: the rest.
        unit: of the file, one of `UNITS_MS`.
        statistic: what the file's numbers are and how p10 and p90 came from them.
        unread: names of values beside the times that are not understood, and how many there are of each.
    """

    format: str
    entries: list[Entry]
    unmapped: list[Unmapped]
    unit: str
    statistic: str
    unread: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Time:
    """One time of a file: mean and variance in ms and ms^2, and the number of runs behind it."""

    mean_ms: float
    variance: float = 0.0
    runs: int = 1

    def __add__(self, other: Time) -> Time:
        """Of one after the other, as if independent."""
        return Time(self.mean_ms + other.mean_ms, self.variance + other.variance, min(self.runs, other.runs))

    def entry(self, signature: str) -> Entry:
        """p10 and p90 are those of a normal with this variance, and never below 0."""
        reach = _NORMAL_90 * math.sqrt(self.variance)
        return Entry(signature, self.mean_ms, max(0.0, self.mean_ms - reach), self.mean_ms + reach, self.runs, "")


def median_entry(signature: str, times_ms: Sequence[float]) -> Entry:
    """The median of several times of one op; p10 and p90 over them."""
    p10, median, p90 = np.percentile(times_ms, [10, 50, 90])
    return Entry(signature, float(median), float(p10), float(p90), len(times_ms), "")


def unit_of(path: Path, data: Mapping[str, Any], default: str) -> str:
    """The file's own unit, or what its format has.

    Raises:
        InputError: a unit that is none of time.
    """
    unit = str(data.get("unit", default)) if "table" in data else default
    if unit not in UNITS_MS:
        raise InputError(f"{path}: unit must be one of {', '.join(UNITS_MS)}; got {brief(unit)}")
    return unit


def read_number(path: Path, key: str, value: Any) -> float:
    """A number that is 0 or more and no more than a time can be.

    Raises:
        InputError: it is none; names the key.
    """
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    if not plain or not 0 <= value <= _MOST:
        raise InputError(f"{path}, {printable(key[:200])}: a time must be a number, 0 or more and at most {_MOST:g}; "
                         f"got {brief(value)}")
    return float(value)


MEAN, VARIANCE = ("mean", "average", "avg"), ("var", "variance")
DEVIATION, COUNT = ("std", "stdev", "stddev", "sd"), ("count", "n", "runs")
_READ = frozenset((*MEAN, *VARIANCE, *DEVIATION, *COUNT))


def unread_names(values: Iterable[Any]) -> dict[str, int]:
    """Names in the mappings among `values` that `read_time` does not understand, and how often each is there."""
    names = (str(name) for value in values if isinstance(value, Mapping) for name in value if name not in _READ)
    return dict(Counter(printable(name[:200]) for name in names))


def read_time(path: Path, key: str, value: Any, unit: str) -> Time:
    """A number, or a mapping with `mean` and perhaps a variance or a standard deviation, and a count.

    Raises:
        InputError: neither, or a variance and a standard deviation that contradict each other; names the key.
    """
    scale = UNITS_MS[unit]
    if not isinstance(value, Mapping):
        return Time(scale * read_number(path, key, value))
    names = [next((name for name in spelled if name in value), None)
             for spelled in (MEAN, VARIANCE, DEVIATION, COUNT)]
    if names[0] is None:
        raise InputError(f"{path}, {printable(key[:200])}: expected a number or a mapping with 'mean'; "
                         f"got {brief(value)}")
    mean, variance, deviation, runs = (
        default if name is None else read_number(path, f"{key}, {name}", value[name])
        for name, default in zip(names, (0.0, 0.0, 0.0, 1.0), strict=True))
    if names[1] and names[2] and abs(variance - deviation**2) > 0.05 * max(variance, deviation**2):
        raise InputError(f"{path}, {printable(key[:200])}: {names[1]} {variance:g} is not the square of {names[2]} "
                         f"{deviation:g}: repair that entry")
    variance = variance if names[1] else deviation**2
    return Time(scale * mean, scale**2 * variance, max(1, int(runs)))
