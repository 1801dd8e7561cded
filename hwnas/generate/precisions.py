"""Ops and precisions chosen together: what a precision costs, what it loses, and what every change of it costs.

A layer has candidates (op, precision). Its cost depends on both; a change of precision between two layers costs what
their precisions say, whatever the ops are. So a layer is two variables of a graph, its op and its precision, and a
change a factor of two precisions (`graph`): of a chain, labels are kept per precision, not per candidate. An integer
program over precisions alone is HAWQ-V3 (Z. Yao et al., ICML 2021), over widths with a table HALP (M. Shen et al.,
NeurIPS 2022).

Glossary
    L, K_l, P   layers, ops of layer l, precisions
    candidate   k * P + p: op k in precision p
    carries     whether a map flows through an op; one through which nothing flows (`none` of a cell) has no precision
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwnas.errors import UsageError
from hwnas.generate.graph import Factor, front_graph, solve_graph
from hwnas.generate.pareto import Front
from hwnas.generate.problem import MAX_OPERATIONS, Floats, Rows
from hwnas.generate.solution import Candidate, Solution

Pairs = Mapping[tuple[int, int], ArrayLike]


def solve_precisions(
    utilities: Rows,
    costs: Mapping[str, Rows],
    budgets: Mapping[str, float],
    *,
    penalties: Rows | None = None,
    changes: Mapping[str, Pairs] | None = None,
    carries: Rows | None = None,
    fixed: Mapping[str, float] | None = None,
    quantum: Mapping[str, float] | None = None,
    aggregate: Mapping[str, str] | None = None,
    top: int = 1,
    min_distance: int = 0,
    max_labels: int = 1_000_000,
    max_seconds: float | None = None,
) -> Solution:
    """Choose an op and a precision per layer: highest utility less penalties, within every budget, changes included.

    Ties go to the lower first summed cost, then the next, then the lexicographically smaller choice of candidates.

    Args:
        utilities: per layer what its ops are worth, (K_l,); -inf masks an op.
        costs: name -> per layer, (K_l, P).
        budgets: most that the total of each cost may be.
        penalties: per layer what a precision takes off the utility, (P,) for every op or (K_l, P); inf masks a
            candidate, whose costs are not looked at then. None for nothing.
        changes: name -> (layer, layer) -> (P, P), what it costs that the first layer has one precision and the second
            another; any pairs of two layers, none needed.
        carries: per layer, (K_l,) truth values; None for all. An op that is False has one candidate, in the first
            precision, and no change with anything.
        fixed, quantum, aggregate: per cost, as in `hwnas.generate.solve`; a maximum is over candidates and changes.
        top, max_labels, max_seconds: as in `hwnas.generate.solve_graph`.
        min_distance: the choices returned differ from each other in the candidates of at least this many layers.

    Returns:
        A solution whose `choice` is one candidate per layer; `divmod(candidate, P)` is its op and its precision.

    Raises:
        BudgetInfeasible: no choice meets the budgets; `least` holds the least of every budgeted cost, each alone.
        UsageError: shapes, names or numbers that do not fit together; or a limit on work was reached before any choice
            within the budgets was found.
    """
    layers = _Layers.read(utilities, costs, penalties, changes or {}, carries)
    found = solve_graph(
        layers.options, layers.factors, budgets, fixed=fixed, quantum=quantum, aggregate=aggregate, top=top,
        min_distance=min_distance, together=layers.groups, max_labels=max_labels, max_seconds=max_seconds,
    )
    every = [Candidate(found.choice, found.utility, found.costs), *found.others]
    return Solution.of((Candidate(layers.candidates(c.choice), c.utility, c.costs) for c in every), found.gap)


def front_precisions(
    utilities: Rows,
    costs: Rows,
    *,
    penalties: Rows | None = None,
    changes: Pairs | None = None,
    carries: Rows | None = None,
    fixed: float = 0,
    max_cost: float | None = None,
    max_labels: int = 1_000_000,
    max_seconds: float | None = None,
) -> Front:
    """The whole Pareto front of utility against one cost; arguments as in `solve_precisions`, choices are candidates.

    Raises:
        BudgetInfeasible: the cheapest choice costs more than `max_cost`.
        UsageError: as in `solve_precisions`.
    """
    layers = _Layers.read(utilities, {"cost": costs}, penalties, {"cost": changes or {}}, carries)
    found = front_graph(layers.options, layers.factors, "cost", fixed=fixed, max_cost=max_cost, max_labels=max_labels,
                        max_seconds=max_seconds)
    choices = np.array([layers.candidates(point.choice) for point in found], dtype=np.int16)
    return Front(found.costs, found.utilities, choices, found.gap)


@dataclass(frozen=True)
class _Layers:
    """Layers as a graph.

    Attributes:
        precisions: P.
        options: `op L` of a layer with two ops or more, and `precision L`: P options, and one more where some op does
            not carry.
        groups: the variables of each layer.
    """

    precisions: int
    options: dict[str, int]
    factors: list[Factor]
    groups: list[tuple[str, ...]]

    @classmethod
    def read(cls, utilities: Rows, costs: Mapping[str, Rows], penalties: Rows | None, changes: Mapping[str, Pairs],
             carries: Rows | None) -> _Layers:
        if not len(utilities):
            raise UsageError("there is no layer to choose for: utilities is empty")
        rows = (_array(f"the utilities of layer {i}", row, (None,)) for i, row in enumerate(utilities))
        worth = [row.astype(np.float64) for row in rows]
        amounts = {name: _amounts(name, rows, worth) for name, rows in costs.items()}
        if not amounts:
            raise UsageError("there is no cost: give at least one")
        count = next(iter(amounts.values()))[0].shape[1]
        sizes = [len(row) for row in worth]
        if max(sizes) * count > MAX_OPERATIONS:
            raise UsageError(f"a layer has {max(sizes)} ops in {count} precisions: together at most {MAX_OPERATIONS}")
        lost, flows = _penalties(penalties, sizes, count), _carries(carries, sizes)
        options: dict[str, int] = {}
        factors, groups = list[Factor](), list[tuple[str, ...]]()
        for i, row in enumerate(worth):
            off, through = lost[i], flows[i]
            grid = np.subtract(row[:, None], off, out=np.full(off.shape, -np.inf), where=off < math.inf)
            names = (f"op {i}", f"precision {i}") if len(row) > 1 else (f"precision {i}",)
            options |= dict(zip(names, (len(row), count + (not through.all()))[-len(names):], strict=True))
            shape = tuple(options[name] for name in names)
            factors.append(Factor(names, _with_cut(grid, through, -np.inf).reshape(shape), {
                name: _with_cut(given[i], through, 0).reshape(shape) for name, given in amounts.items()}))
            groups.append(names)
        factors += _changed(changes, amounts, options, count, len(worth))
        return cls(count, options, factors, groups)

    def candidates(self, choice: Sequence[int]) -> tuple[int, ...]:
        """The candidate of every layer, from one option per variable."""
        at = dict(zip(self.options, choice, strict=True))
        both = ((at[names[0]] if len(names) > 1 else 0, at[names[-1]]) for names in self.groups)
        return tuple(op * self.precisions + (p if p < self.precisions else 0) for op, p in both)


def _changed(changes: Mapping[str, Pairs], costs: Collection[str], options: Mapping[str, int], count: int,
             layers: int) -> list[Factor]:
    """One factor per pair of layers, with every cost that a change between them has."""
    by_pair: dict[tuple[int, int], dict[str, NDArray[np.generic]]] = {}
    for name, pairs in changes.items():
        if name not in costs:
            raise UsageError(f"the changes of {name!r} belong to no cost: it is one of {', '.join(costs)}")
        for (a, b), given in pairs.items():
            if not (0 <= a < layers and 0 <= b < layers and a != b):
                raise UsageError(f"a change of {name!r} is between two of the layers 0 to {layers - 1}, not {(a, b)}")
            shape = (options[f"precision {a}"], options[f"precision {b}"])
            grid = _array(f"the change of {name!r} between the layers {a} and {b}", given, (count, count))
            by_pair.setdefault((a, b), {})[name] = np.pad(grid, [(0, n - count) for n in shape])
    return [Factor((f"precision {a}", f"precision {b}"), None, found) for (a, b), found in by_pair.items()]


def _with_cut(grid: NDArray[np.generic], carries: NDArray[np.bool_], absent: float) -> NDArray[np.generic]:
    """(K, P) of what carries; where something does not, one column more for it, from its first precision."""
    if carries.all():
        return grid
    cut = np.where(carries, absent, grid[:, 0])
    return np.column_stack([np.where(carries[:, None], grid, absent), cut])


def _amounts(name: str, rows: Rows, worth: Sequence[Floats]) -> list[NDArray[np.generic]]:
    """One cost per layer, (K_l, P), as it was given: whole numbers stay whole."""
    if len(rows) != len(worth):
        raise UsageError(f"the cost {name!r} has {len(rows)} layers and the utilities have {len(worth)}")
    count = np.asarray(rows[0]).shape[-1] if np.ndim(rows[0]) == 2 else None
    return [_array(f"the cost {name!r} of layer {i}", row, (len(worth[i]), count)) for i, row in enumerate(rows)]


def _penalties(given: Rows | None, sizes: Sequence[int], count: int) -> list[Floats]:
    """(K_l, P) per layer."""
    rows = _one_a_layer("penalties", given, sizes) or [np.zeros(count) for _ in sizes]
    for i, (row, size) in enumerate(zip(rows, sizes, strict=True)):
        if row.shape not in ((count,), (size, count)):
            raise UsageError(f"penalties of layer {i} must have the shape {(count,)} or {(size, count)}, "
                             f"not {row.shape}")
        if np.isnan(row).any() or np.isneginf(row).any():
            raise UsageError(f"penalties of layer {i} hold NaN or -inf: use numbers, and inf to mask")
    return [np.broadcast_to(row, (size, count)) for row, size in zip(rows, sizes, strict=True)]


def _carries(given: Rows | None, sizes: Sequence[int]) -> list[NDArray[np.bool_]]:
    """(K_l,) per layer."""
    rows = _one_a_layer("carries", given, sizes) or [np.ones(size) for size in sizes]
    for i, (row, size) in enumerate(zip(rows, sizes, strict=True)):
        if row.shape != (size,):
            raise UsageError(f"carries of layer {i} must have the shape {(size,)}, not {row.shape}")
    return [row != 0 for row in rows]


def _one_a_layer(what: str, given: Rows | None, sizes: Sequence[int]) -> list[Floats]:
    if given is not None and len(given) != len(sizes):
        raise UsageError(f"{what} has {len(given)} layers and the utilities have {len(sizes)}")
    return [np.asarray(row, dtype=np.float64) for row in given or ()]


def _array(what: str, given: ArrayLike, shape: tuple[int | None, ...]) -> NDArray[np.generic]:
    array = np.asarray(given)
    fits = len(array.shape) == len(shape) and all(b in (None, a) for a, b in zip(array.shape, shape, strict=True))
    if not fits or not array.size:
        said = "x".join("any" if axis is None else str(axis) for axis in shape)
        raise UsageError(f"{what} must be an array of {said} numbers, not of shape {array.shape}")
    return array
