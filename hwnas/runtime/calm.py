"""Which visits met a calm machine, told by the reference kernel that is read between them, and how fast it was then.

A core that shares its execution units with a neighbour is slower by a third for seconds on end (measured on a rented
machine: kernel 0.16 and 0.23 ms, each state for one to ten seconds), and not for all alike: fp32 networks took 1.3
times as long then, int8 ones 1.7 times. So there is no factor to divide out, and a median over both states is the time
of neither: two runs of the same 60 networks three minutes apart differed by 11 % in the mean. In the calm visits alone
they agree to 1 %. So only those count, and what is short waits for some.

The kernel does not see all: once in twenty measurements beside a load networks took 2.6 times as long for a fifth of a
second while it took 1.1 times. So sweeps in which all networks are slow do not count either, and where it is known what
one of them takes, a comparison that is slow from end to end is told from a calm one.

This file also runs on the device itself, under Python 3.8 and with numpy alone.

Glossary
    k   time of the reference kernel at a visit: the larger one of the readings before and after it, ms, shape
        (networks, visits)
    T   times, ms, shape (models, sweeps, timed); of visits that do not count not a number
    b   how many times as long as usual the networks took together, shape (visits,)
    f   speed factor of a sweep, 1 for the median sweep, shape (sweeps,)
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from hwnas.runtime.reference_kernel import kernel_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

CALM = 0.15  # a kernel slower than the fast ones by more than this met a busy machine
SLOW = 0.30  # and so did a sweep whose networks are: by more, since their times are noisier than the kernel's
FAST = 0.05  # quantile that says how fast the fast ones are
FEWEST = 5  # visits of a network that count however busy it was
EVERY_MS = 4.0  # of visits between two readings


def calm(kernels_ms: NDArray[np.float64], usual_ms: float = 0.0, fewest: int = FEWEST,
         slowness: NDArray[np.float64] | None = None) -> NDArray[np.bool_]:
    """Which visits count: those with a kernel close to the fastest, and the calmest ones of every network in any case.

    A share of all in any case would bring back what is left out here: of a machine that is calm in every twentieth
    visit half of the calmest tenth is busy (int8 at 0.60 of fp32 instead of 0.53).

    Args:
        kernels_ms: k, shape (networks, visits); not a number where a network was not visited, which does not count.
        usual_ms: what the kernel takes on this machine when it is calm, where that is known from before; else 0.
        fewest: visits of every network that count however busy the machine was.
        slowness: b, where the networks themselves are asked as well.
    """
    if not kernels_ms.size:
        return np.ones(kernels_ms.shape, dtype=bool)
    fast = float(np.nanquantile(kernels_ms, FAST))
    known = 0 < usual_ms <= (1 + CALM) * fast  # a machine that is much faster now than then was not calm then
    usual = usual_ms if known else fast
    most = (1 + CALM) * usual
    worst = kernels_ms if slowness is None else np.maximum(kernels_ms, most / (1 + SLOW) * slowness)
    ordered = np.nan_to_num(np.sort(worst, axis=1), nan=np.inf)
    least = ordered[:, min(fewest, worst.shape[1]) - 1][:, None] if fewest else 0.0
    return np.asarray(worst <= np.maximum(least, most))


def slowness(times_ms: NDArray[np.float64], usual_ms: Mapping[int, float] | None = None) -> NDArray[np.float64]:
    """How many times as long as usual the networks took together in every visit.

    Usual is the fastest of these visits, unless even then they take longer than was measured before by more than
    `CALM`: not to a hair, since what runs beside them differs.

    Args:
        times_ms: T.
        usual_ms: index of a model -> what it takes on this machine when it is calm.

    Returns:
        b.
    """
    visits = middle(times_ms, 2)
    usual = middle(visits, 1)
    if not usual.size or not (usual > 0).all() or not (visits > 0).all():  # a clock of coarse steps says nothing
        return np.ones(visits.shape[1])
    together = np.exp(middle(np.log(visits / usual[:, None]), 0))
    base = float(np.quantile(together, FAST))
    before = [ms / usual[i] for i, ms in (usual_ms or {}).items() if ms > 0]
    return np.asarray(together / min(base, (1 + CALM) * float(np.median(before)) if before else base))


def speed_factors(times_ms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Speed factor of every sweep: the median over the models of the time relative to the model's own median.

    Args:
        times_ms: T.

    Returns:
        f, with median 1.
    """
    visits = middle(times_ms, 2)
    relative = np.log(visits / middle(visits, 1)[:, None])
    factors = np.exp(middle(relative, 0))
    return np.asarray(factors / np.median(factors))


def middle(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Medians of what counts along an axis; not a number where nothing does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the only one there is: a slice without a number
        return np.asarray(np.nanmedian(values, axis=axis))


def company(kernel_ms: float, usual_ms: float) -> str:
    """A sentence where a measurement found no calm machine; empty where it did, or where nothing is known.

    Args:
        kernel_ms: of the reference kernel in the visits that count.
        usual_ms: what it takes on this machine when it is calm.
    """
    if not usual_ms or kernel_ms <= (1 + CALM) * usual_ms:
        return ""
    return (f"other work held the machine meanwhile (reference kernel {kernel_ms:.3f} ms, {usual_ms:.3f} ms when it is "
            "calm), which slows precisions down by different factors: measure again when it is calm, or let it wait "
            "longer (HWNAS_PATIENCE=300)")


class Pulse:
    """Reads the kernel between visits, at most once in `EVERY_MS` of them.

    Args:
        timer: gives the time of one call in ms.
    """

    def __init__(self, timer: Callable[[Callable[[], object]], float]) -> None:
        self._timer, self._last, self._since = timer, kernel_ms(timer), 0.0
        self._open: list[str] = []
        self.found: dict[str, float] = {}
        """Visit -> k, once it is told."""

    def visited(self, name: str, ms: float) -> None:
        """A visit is over that took so long."""
        self._open.append(name)
        self._since += ms
        if self._since >= EVERY_MS:
            self.read()

    def read(self) -> float:
        """The kernel now, ms; told of all visits since the last reading."""
        now = kernel_ms(self._timer)
        self.found.update(dict.fromkeys(self._open, max(self._last, now)))
        self._last, self._since = now, 0.0
        self._open.clear()
        return now
