"""The knapsack as the solver wants it: checked, masked, in ticks, every layer's cheapest at 0.

Glossary
    L        number of layers
    K_l      number of live operations of layer l (not masked, within every budget on a maximum)
    M        number of summed costs that carry a budget
    u_l      utilities of the live operations, float64 (K_l,)
    c_l      ticks above the layer's cheapest operation, int64 (K_l, M), >= 0
    b        ticks left above the cheapest choice, int64 (M,)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwnas.errors import UnknownName, UsageError
from hwnas.generate.ticks import UNLIMITED, Amounts, Cost, exact, quantum_of

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Rows: TypeAlias = Sequence[ArrayLike]

AGGREGATES = ("sum", "max")
MAX_OPERATIONS = int(np.iinfo(np.int16).max)


@dataclass(frozen=True)
class Problem:
    """A knapsack in ticks; see the glossary of this file.

    Attributes:
        ids: per layer, the operation that each live entry stands for, (K_l,).
        utilities: u_l per layer.
        ticks: c_l per layer.
        limits: b; a negative entry means that this cost alone cannot be met.
        base: ticks of the cheapest choice, per cost, (M,).
        ranked: how many of the costs, the first ones, break ties between choices; the others are side conditions.
    """

    ids: tuple[Ints, ...]
    utilities: tuple[Floats, ...]
    ticks: tuple[Ints, ...]
    limits: Ints
    base: tuple[int, ...]
    ranked: int

    @property
    def tolerance(self) -> float:
        """Slack given to every comparison with a bound, so that rounding never drops an optimum."""
        return 1e-9 * (1.0 + sum(float(np.abs(u).max()) for u in self.utilities))

    def only(self, keep: Sequence[NDArray[Any]]) -> Problem:
        """The same problem over some of the operations: per layer a mask or indices."""
        return replace(
            self,
            ids=tuple(ids[index] for ids, index in zip(self.ids, keep, strict=True)),
            utilities=tuple(u[index] for u, index in zip(self.utilities, keep, strict=True)),
            ticks=tuple(c[index] for c, index in zip(self.ticks, keep, strict=True)),
        )


def assemble(
    utilities: Sequence[Floats], alive: Sequence[Sequence[int]], costs: Sequence[Cost], budgets: Sequence[float]
) -> Problem:
    """Build the problem over the live operations `alive` for summed `costs`, one budget each.

    Raises:
        UsageError: the ticks do not fit in 62 bits.
    """
    raw = [[cost.ticks(layer, ids) for cost in costs] for layer, ids in enumerate(alive)]
    least = [[int(np.min(row)) for row in layer] for layer in raw]
    base = tuple(sum(layer[m] for layer in least) for m in range(len(costs)))
    spans = [sum(int(np.max(layer[m])) for layer in raw) - base[m] for m in range(len(costs))]
    for cost, span, low in zip(costs, spans, base, strict=True):
        if max(span, abs(low)) >= UNLIMITED:
            raise UsageError(f"the cost {cost.name!r} has too many ticks for 62 bits: give a larger quantum")
    limits = [
        max(min(cost.limit(budget) - low, span), -1)
        for cost, budget, low, span in zip(costs, budgets, base, spans, strict=True)
    ]
    return Problem(
        ids=tuple(np.array(ids, dtype=np.int64) for ids in alive),
        utilities=tuple(u[list(ids)] for u, ids in zip(utilities, alive, strict=True)),
        ticks=tuple(_above(layer, low, len(ids)) for layer, low, ids in zip(raw, least, alive, strict=True)),
        limits=np.array(limits, dtype=np.int64),
        base=base,
        ranked=len(costs),
    )


def _above(layer: Sequence[Sequence[int] | Ints], low: list[int], n: int) -> Ints:
    columns = [np.asarray(row, dtype=np.int64) - floor for row, floor in zip(layer, low, strict=True)]
    return np.array(columns, dtype=np.int64).reshape(len(columns), n).T.copy()


def read_utilities(utilities: Rows) -> list[Floats]:
    """Utilities as float64 arrays, one per layer; -inf masks an operation.

    Raises:
        UsageError: no layer, a layer that is not a flat list, NaN, +inf, or nothing left to choose.
    """
    rows = [_row(row, f"the utilities of layer {layer}") for layer, row in enumerate(utilities)]
    if not rows:
        raise UsageError("there is no layer to choose for: utilities is empty")
    for layer, row in enumerate(rows):
        if np.isnan(row).any() or np.isposinf(row).any():
            raise UsageError(f"the utilities of layer {layer} hold NaN or +inf: use numbers, and -inf to mask")
        if len(row) > MAX_OPERATIONS:
            raise UsageError(f"layer {layer} has {len(row)} operations: the most is {MAX_OPERATIONS}")
        if np.isneginf(row).all():
            raise UsageError(f"layer {layer} has every operation masked (-inf): leave at least one alive")
    return rows


def alive_ids(utilities: Sequence[Floats]) -> list[list[int]]:
    """Per layer, the operations that are not masked."""
    return [np.flatnonzero(np.isfinite(row)).tolist() for row in utilities]


def read_cost(
    name: str, rows: Rows, utilities: Sequence[Floats], *, fixed: float | None, quantum: float | None, aggregate: str
) -> Cost:
    """One cost, checked against the shape of the utilities; amounts of masked operations are not looked at.

    Raises:
        UsageError: another shape, NaN or infinity at a live operation, a bad quantum, an unknown aggregate.
    """
    if aggregate not in AGGREGATES:
        raise UnknownName("aggregate", aggregate, AGGREGATES)
    if fixed is not None and not math.isfinite(fixed):
        raise UsageError(f"the fixed part of {name!r} must be a finite number, not {fixed!r}")
    if len(rows) != len(utilities):
        raise UsageError(f"the cost {name!r} has {len(rows)} layers and the utilities have {len(utilities)}")
    amounts = []
    for layer, (row, values) in enumerate(zip(rows, utilities, strict=True)):
        amounts.append(_amounts(f"the cost {name!r} of layer {layer}", row, values))
    is_max = aggregate == "max"
    size = 1 if is_max else quantum_of(name, quantum, amounts)
    return Cost(name, tuple(amounts), None if fixed is None else exact(fixed), size, is_max)


def _amounts(what: str, row: ArrayLike, utilities: Floats) -> Amounts:
    floats = _row(row, what)
    if floats.shape != utilities.shape:
        raise UsageError(f"{what} has {floats.size} operations and the utilities have {utilities.size}")
    alive = np.isfinite(utilities)
    if not np.isfinite(floats[alive]).all():
        raise UsageError(f"{what} is NaN or infinite at a live operation: mask it with the utility -inf")
    given = np.asarray(row)
    if given.dtype.kind == "i" and (np.abs(floats) < UNLIMITED).all():
        return np.where(alive, given, 0).astype(np.int64)
    values = given.tolist()
    return tuple(exact(value) if live else 0 for value, live in zip(values, alive.tolist(), strict=True))


def _row(row: ArrayLike, what: str) -> Floats:
    try:
        values = np.asarray(row, dtype=np.float64)
    except (TypeError, ValueError) as err:
        raise UsageError(f"{what} must be a flat list of numbers: {err}") from err
    if values.ndim != 1 or values.size == 0:
        raise UsageError(f"{what} must be a flat list with at least one number, not of shape {values.shape}")
    return values


def by_name(what: str, value: Mapping[str, Any] | Any, names: Sequence[str]) -> dict[str, Any]:
    """`value` per cost: a mapping as it is, a bare value for the only cost there is.

    Raises:
        UnknownName: the mapping names a cost that does not exist.
        UsageError: a bare value, and several costs it could be for.
    """
    if isinstance(value, Mapping):
        for name in value:
            if name not in names:
                raise UnknownName("cost", str(name), names, f"It was given in {what}.")
        return dict(value)
    if len(names) > 1:
        raise UsageError(f"{what} must be a mapping from cost to value: there are {len(names)} ({', '.join(names)})")
    return {names[0]: value}
