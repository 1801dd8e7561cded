"""From amounts in a unit (ms, bytes, multiply-accumulates) to whole ticks, without rounding surprises.

A float is read as the shortest decimal that prints it, so 3 x 0.1 ms fits a budget of 0.3 ms.

Glossary
    amount    what one operation costs, exact number, per layer and operation
    q         quantum: size of one tick, in the unit of the amounts
    tick      ceil(amount / q), integer
    limit     floor((budget - fixed) / q), integer
For a budget from below, ticks are rounded down and the limit up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import UsageError

Exact = int | Fraction
Amounts: TypeAlias = NDArray[np.int64] | tuple[Exact, ...]
UNLIMITED = 1 << 61


def exact(value: object) -> Exact:
    """`value` as an exact number: an integer stays one, a float is read as its shortest decimal."""
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, Fraction):
        return value
    number = float(value)  # type: ignore[arg-type]
    return int(number) if number.is_integer() else Fraction(repr(number))


@dataclass(frozen=True)
class Cost:
    """One named cost of every operation.

    Attributes:
        name: for messages and for the totals of a solution.
        amounts: per layer, one exact number per operation (0 where the operation is masked): an integer array
            where all are whole, which is what makes large problems fast.
        fixed: what every network pays; None for nothing. Joins the aggregate.
        quantum: size of one tick (unused when `is_max`: such a cost is compared as it is).
        is_max: the total is the maximum over the layers (peak memory), not their sum.
    """

    name: str
    amounts: tuple[Amounts, ...]
    fixed: Exact | None
    quantum: Exact
    is_max: bool = False

    def total(self, choice: Sequence[int]) -> float:
        """Total cost of a choice in the unit given, correctly rounded, the fixed part included."""
        return float(self.aggregate(self.amount(layer, k) for layer, k in enumerate(choice)))

    def amount(self, layer: int, k: int) -> Exact:
        """What one operation costs."""
        value = self.amounts[layer][k]
        return value if isinstance(value, Fraction) else int(value)

    def aggregate(self, parts: Iterable[Exact]) -> Exact:
        """Sum or maximum of one part per layer and the fixed part."""
        together = [*parts] if self.fixed is None else [self.fixed, *parts]
        return max(together) if self.is_max else sum(together)

    def least(self, alive: Sequence[Sequence[int]]) -> Exact:
        """Least achievable total, looking at this cost alone; `alive` lists the operations per layer."""
        return self.aggregate(min(self.amount(layer, k) for k in ids) for layer, ids in enumerate(alive))

    def ticks(self, layer: int, ids: Sequence[int]) -> list[int] | NDArray[np.int64]:
        """Ticks of the operations `ids` of one layer, rounded up."""
        row = self.amounts[layer]
        if isinstance(row, np.ndarray) and self.quantum == 1:
            return row[ids]
        return [math.ceil(Fraction(row[k]) / self.quantum) if self.quantum != 1 else math.ceil(row[k]) for k in ids]

    def flat_ticks(self, places: slice | NDArray[np.int64]) -> NDArray[Any]:
        """Ticks of all layers' operations one after the other, those at `places`, rounded up.

        int64, or Python integers where they may not fit.
        """
        whole = [row for row in self.amounts if isinstance(row, np.ndarray)]
        if self.quantum == 1 and len(whole) == len(self.amounts):
            return np.concatenate(whole)[places]
        rows = [self.ticks(layer, range(len(row))) for layer, row in enumerate(self.amounts)]
        return np.array([int(tick) for row in rows for tick in row], dtype=object)[places]

    def greatest(self, alive: Sequence[Sequence[int]]) -> Exact:
        """Greatest achievable total; `alive` lists the operations per layer."""
        return self.aggregate(max(self.amount(layer, k) for k in ids) for layer, ids in enumerate(alive))

    def ticks_down(self, layer: int, ids: Sequence[int]) -> list[int] | NDArray[np.int64]:
        """Ticks of the operations `ids` of one layer, rounded down."""
        row = self.amounts[layer]
        if isinstance(row, np.ndarray) and self.quantum == 1:
            return row[ids]
        return [math.floor(Fraction(row[k]) / self.quantum) for k in ids]

    def at_least(self, low: Exact) -> int:
        """Ticks that the layers must have so that the total is at least `low`, rounded up."""
        return math.ceil((Fraction(low) - (self.fixed or 0)) / self.quantum)

    def limit(self, budget: float) -> int:
        """Ticks that a budget leaves for the layers, rounded down."""
        if math.isinf(budget):
            return UNLIMITED
        return min(math.floor((Fraction(exact(budget)) - (self.fixed or 0)) / self.quantum), UNLIMITED)


def quantum_of(name: str, quantum: float | None, amounts: Iterable[Amounts]) -> Exact:
    """The quantum asked for, or 1 where every amount is a whole number.

    Raises:
        UsageError: the quantum is not positive, or there is none and an amount has a fraction.
    """
    if quantum is not None:
        if not (math.isfinite(quantum) and quantum > 0):
            raise UsageError(f"the quantum of {name!r} must be a positive number, not {quantum!r}")
        return exact(quantum)
    exacts = (value for row in amounts if not isinstance(row, np.ndarray) for value in row)
    broken = next((value for value in exacts if not isinstance(value, int)), None)
    if broken is None:
        return 1
    raise UsageError(
        f"the cost {name!r} has fractions (such as {float(broken):g}): give quantum, the size of one tick in the "
        "same unit (for latency in ms, 0.001 is a good one)"
    )
