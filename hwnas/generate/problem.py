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
from itertools import pairwise
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwnas.errors import UnknownName, UsageError
from hwnas.generate.integer_costs import UNLIMITED, Amounts, Cost, exact, quantum_of

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Rows: TypeAlias = Sequence[ArrayLike]
Kind = TypeVar("Kind", bound=np.generic)

AGGREGATES = ("sum", "max")
EXACT_FLOATS = 1 << 53  # below it every whole float64 is the integer it looks like
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
        flat = np.abs(np.concatenate(self.utilities))
        return 1e-9 * (1.0 + float(np.maximum.reduceat(flat, offsets([len(u) for u in self.utilities])[:-1]).sum()))

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
    off = offsets([len(ids) for ids in alive])
    live, ids = _places(utilities, alive, off)
    sizes = off[1:] - off[:-1]
    columns, base, limits = [], [], []
    for cost, budget in zip(costs, budgets, strict=True):
        ticks = cost.flat_ticks(live)
        least = np.minimum.reduceat(ticks, off[:-1])
        low = sum(least.tolist())
        span = sum(np.maximum.reduceat(ticks, off[:-1]).tolist()) - low
        if max(span, abs(low)) >= UNLIMITED:
            raise UsageError(f"the cost {cost.name!r} has too many ticks for 62 bits: give a larger quantum")
        columns.append((ticks - least.repeat(sizes)).astype(np.int64))
        base.append(low)
        limits.append(max(min(cost.limit(budget) - low, span), -1))
    above = np.array(columns, dtype=np.int64).reshape(len(columns), len(ids)).T.copy()
    return Problem(
        ids=split(ids, off),
        utilities=split(np.concatenate(utilities)[live], off),
        ticks=split(above, off),
        limits=np.array(limits, dtype=np.int64),
        base=tuple(base),
        ranked=len(costs),
    )


def offsets(sizes: Sequence[int]) -> Ints:
    """Where each layer begins in a flat array, and where the last one ends."""
    off = np.zeros(len(sizes) + 1, dtype=np.int64)
    np.cumsum(sizes, out=off[1:])
    return off


def split(flat: NDArray[Kind], off: Ints) -> tuple[NDArray[Kind], ...]:
    """Views of a flat array, one per layer."""
    return tuple([flat[begin:end] for begin, end in pairwise(off.tolist())])


def _places(utilities: Sequence[Floats], alive: Sequence[Sequence[int]], off: Ints) -> tuple[slice | Ints, Ints]:
    """Where the live operations stand when all layers lie one after the other, and their numbers in their layers."""
    sizes = [len(u) for u in utilities]
    if sum(sizes) == off[-1]:
        return slice(None), np.arange(off[-1]) - off[:-1].repeat(sizes)
    ids = np.concatenate(alive).astype(np.int64)
    places: Ints = offsets(sizes)[:-1].repeat(off[1:] - off[:-1]) + ids
    return places, ids


def read_utilities(utilities: Rows) -> list[Floats]:
    """Utilities as float64 arrays, one per layer; -inf masks an operation.

    Raises:
        UsageError: no layer, a layer that is not a flat list, NaN, +inf, or nothing left to choose.
    """
    together = _together(utilities)
    if together is not None:
        flat, sizes = together[0].astype(np.float64), together[1]
        off, live = offsets(sizes), np.isfinite(flat)
        sound = live.all() or ((np.isneginf(flat) | live).all() and np.logical_or.reduceat(live, off[:-1]).all())
        if sound and max(sizes) <= MAX_OPERATIONS:
            return list(split(flat, off))
    return _read_one_by_one(utilities)


def _read_one_by_one(utilities: Rows) -> list[Floats]:
    """The same, layer after layer: what can name the layer that is wrong."""
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


def _together(rows: Rows) -> tuple[NDArray[Any], list[int]] | None:
    """All layers one after the other, and their sizes; None if they are not flat lists of plain numbers."""
    try:
        arrays = [np.asarray(row) for row in rows]
    except ValueError:
        return None
    if not arrays or not all(array.ndim == 1 and array.size and array.dtype.kind in "if" for array in arrays):
        return None
    return np.concatenate(arrays), [array.size for array in arrays]


def alive_ids(utilities: Sequence[Floats]) -> list[Sequence[int]]:
    """Per layer, the operations that are not masked."""
    if np.isfinite(np.concatenate(utilities)).all():
        return [range(len(row)) for row in utilities]
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
    amounts: Sequence[Amounts] = _whole(rows, utilities) or [
        _amounts(f"the cost {name!r} of layer {layer}", row, values)
        for layer, (row, values) in enumerate(zip(rows, utilities, strict=True))
    ]
    is_max = aggregate == "max"
    size = 1 if is_max else quantum_of(name, quantum, amounts)
    return Cost(name, tuple(amounts), None if fixed is None else exact(fixed), size, is_max)


def _whole(rows: Rows, utilities: Sequence[Floats]) -> Sequence[Ints]:
    """All amounts at once where they are whole numbers of the right shape; else nothing."""
    together = _together(rows)
    if together is None or together[1] != [len(u) for u in utilities]:
        return ()
    flat, sizes = together
    live = np.isfinite(np.concatenate(utilities))
    flat = flat if live.all() else np.where(live, flat, 0)
    bound = UNLIMITED if flat.dtype.kind == "i" else EXACT_FLOATS
    if not (flat.min() > -bound and flat.max() < bound):  # False for NaN, too
        return ()
    if flat.dtype.kind == "f" and not (np.rint(flat) == flat).all():
        return ()
    return split(flat.astype(np.int64), offsets(sizes))


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
