"""A benchmark of search strategies: others have trained every architecture, so an answer can be held against the truth.

    symbol     meaning                                                               shape
    K_i        ops of choice i                                                       scalar
    signal     what a search is told of an architecture; larger is better            (K_1, ..., K_d)
    truth      what its answer is judged by; larger is better                        (K_1, ..., K_d)
    regret     best truth of all architectures minus the truth of the answer         scalar
    limit      regret of the architecture with the best signal of all                scalar

The limit is what the signal allows: a search that looked at every architecture would end there.
"""

from __future__ import annotations

import dataclasses
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwnas.errors import InputError

FloatArray = npt.NDArray[np.float64]


class Benchmark(ABC):
    """What a strategy searches and what it is judged by. Immutable; goes to other processes by value.

    A choice vector is a tuple of op indices, one per choice.

    Attributes:
        name: for tables and files.
        choices: K_i.
    """

    name: str
    choices: tuple[int, ...]

    @property
    @abstractmethod
    def best_truth(self) -> float:
        """The best truth of all architectures."""

    @property
    @abstractmethod
    def limit(self) -> float | None:
        """Regret of the architecture with the best signal of all; None where nobody knows."""

    @property
    @abstractmethod
    def identity(self) -> str:
        """Differs where signals or truths differ: results are only kept with those of the same identity."""

    @abstractmethod
    def signal(self, choice: Sequence[int]) -> float:
        """The score that a search is told."""

    @abstractmethod
    def truth(self, choice: Sequence[int]) -> float:
        """What an answer is judged by."""

    def seeded(self, seed: int) -> Benchmark:
        """What the search of one seed sees; the same for all where there is one signal."""
        return self


@dataclass(frozen=True, eq=False)
class TabularBenchmark(Benchmark):
    """A benchmark that is two tables or more, addressed by choice vectors: `truths[choice]`.

    Args:
        name: for tables and files.
        signals: at least one table of what a search sees, shape (K_1, ..., K_d). With several, e.g. one per training,
            seed s searches number s mod their count; unseeded, the benchmark stands for its first.
        truths: what answers are judged by, same shape.

    Raises:
        InputError: no signal, shapes that differ, or a number that is not finite.
    """

    name: str
    signals: Sequence[FloatArray]
    truths: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "signals", tuple(_frozen(table) for table in self.signals))
        object.__setattr__(self, "truths", _frozen(self.truths))
        shapes = {table.shape for table in (*self.signals, self.truths)}
        if not self.signals or len(shapes) > 1 or not self.truths.size or not self.truths.ndim:
            raise InputError(f"benchmark {self.name}: signals (at least one) and truths must be tables of one shape, "
                             f"the number of ops of each choice; got {sorted(shapes)}")
        if not all(np.isfinite(table).all() for table in (*self.signals, self.truths)):
            raise InputError(f"benchmark {self.name}: every signal and truth must be a finite number")

    @property
    def choices(self) -> tuple[int, ...]:  # type: ignore[override]  # a frozen value: nobody sets it
        return self.truths.shape

    @property
    def best_truth(self) -> float:
        return float(self.truths.max())

    @property
    def limit(self) -> float:
        """Of equal signals the first architecture counts."""
        return self.best_truth - float(self.truths.flat[self.signals[0].argmax()])

    @property
    def identity(self) -> str:
        """The name and a hash of all tables."""
        digest = hashlib.sha256(repr(self.choices).encode())
        for table in (*self.signals, self.truths):
            digest.update(table.tobytes())
        return f"{self.name} {digest.hexdigest()[:16]}"

    def signal(self, choice: Sequence[int]) -> float:
        return float(self.signals[0][tuple(choice)])

    def truth(self, choice: Sequence[int]) -> float:
        return float(self.truths[tuple(choice)])

    def seeded(self, seed: int) -> TabularBenchmark:
        return dataclasses.replace(self, signals=(self.signals[seed % len(self.signals)],))


def _frozen(table: npt.ArrayLike) -> FloatArray:
    copy = np.array(table, dtype=np.float64)
    copy.flags.writeable = False
    return copy
