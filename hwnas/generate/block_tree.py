"""A tree of layers, series and parallel parts, checked; its parts as tables of Pareto labels."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwnas.errors import UnknownName, UsageError
from hwnas.generate.integer_costs import UNLIMITED, Cost, Exact
from hwnas.generate.pareto import in_unit
from hwnas.generate.problem import Floats, Ints, alive_ids, by_name, read_cost, read_utilities
from hwnas.generate.tables import Picks, Table, join, pairs, pareto
from hwnas.generate.time_limit import GRACE, TimeIsUp, TimeLimit

_FEW = 40  # labels of a part that stay where the time does not suffice


@dataclass(frozen=True)
class Layer:
    """One choice of an operation: utilities (K,), and (K,) per cost; a cost that is missing is 0."""

    utilities: ArrayLike
    costs: Mapping[str, ArrayLike] = field(default_factory=dict)


@dataclass(frozen=True)
class Series:
    """Parts one after the other."""

    parts: Sequence[Block]


@dataclass(frozen=True)
class Parallel:
    """Parts side by side."""

    parts: Sequence[Block]


Block: TypeAlias = Layer | Series | Parallel


@dataclass(frozen=True)
class BlockTree:
    """A tree that was read.

    Attributes:
        block: the tree.
        utilities: per layer, in the order of the tree.
        costs: exact amounts per layer.
        overlapped: costs of which parallel parts pay the largest only.
    """

    block: Block
    utilities: tuple[Floats, ...]
    costs: tuple[Cost, ...]
    overlapped: frozenset[str]

    @classmethod
    def read(
        cls, block: Block, overlapped: Collection[str], fixed: Mapping[str, float], quantum: Mapping[str, float]
    ) -> BlockTree:
        """Check a tree.

        Raises:
            UsageError: no layer, an empty part, or names or numbers that do not fit together.
        """
        layers = list(_layers(block))
        values = read_utilities([layer.utilities for layer in layers])
        names = list(dict.fromkeys(name for layer in layers for name in layer.costs))
        for name in overlapped:
            if name not in names:
                raise UnknownName("cost", name, names, "It was given in overlapped.")
        if not names:
            raise UsageError("there is no cost: give at least one")
        extra, sizes = by_name("fixed", fixed, names), by_name("quantum", quantum, names)
        costs = tuple(
            read_cost(name, [layer.costs.get(name, np.zeros(len(u), np.int64)) for layer, u in
                             zip(layers, values, strict=True)],
                      values, fixed=extra.get(name), quantum=sizes.get(name), aggregate="sum")
            for name in names
        )
        tree = cls(block, tuple(values), costs, frozenset(overlapped))
        tree._check_overlapped()
        return tree

    def _check_overlapped(self) -> None:
        for cost in (cost for cost in self.costs if cost.name in self.overlapped):
            if any(cost.amount(f, k) < 0 for f, ids in enumerate(alive_ids(self.utilities)) for k in ids):
                raise UsageError(f"the cost {cost.name!r} overlaps, so its amounts must not be negative")

    def tables(self, budgets: Mapping[str, float], clock: TimeLimit) -> tuple[list[Table], Ints, float]:
        """Pareto labels of the parts in series at the top, and the limits of the budgeted costs, (M,).

        Where the time does not suffice, labels are left out; the last number bounds what utility that may cost.

        Ticks are those above every layer's least; of overlapped costs, all of them.

        Raises:
            UnknownName: a budget for a cost that does not exist.
            UsageError: no budget, one that is not a number, or ticks that do not fit in 62 bits.
        """
        given = by_name("budgets", budgets, [cost.name for cost in self.costs])
        if not given or any(math.isnan(budget) for budget in given.values()):
            raise UsageError("budgets must hold at least one number (math.inf for no limit)")
        costs = [cost for cost in self.costs if cost.name in given]
        ticks, limits = [], []
        for cost in costs:
            rows = [np.asarray(cost.ticks(layer, ids), dtype=np.int64) for layer, ids in
                    enumerate(alive_ids(self.utilities))]
            low = [0 if cost.name in self.overlapped else int(row.min()) for row in rows]
            span = sum(int(row.max()) - least for row, least in zip(rows, low, strict=True))
            if max(span, abs(sum(low))) >= UNLIMITED:
                raise UsageError(f"the cost {cost.name!r} has too many ticks for 62 bits: give a larger quantum")
            ticks.append([row - least for row, least in zip(rows, low, strict=True)])
            limits.append(max(min(cost.limit(given[cost.name]) - sum(low), span), -1))
        builder = _Labels(self, [np.column_stack(rows) for rows in zip(*ticks, strict=True)],
                          np.array([cost.name in self.overlapped for cost in costs]), np.array(limits), clock)
        parts = self.block.parts if isinstance(self.block, Series) else [self.block]
        return [builder.table(part) for part in parts], builder.limits, builder.loss

    @property
    def highest(self) -> float:
        """The highest sum of utilities, whatever it costs."""
        return sum(float(u.max()) for u in self.utilities)

    def totals(self, choice: Sequence[int]) -> dict[str, float]:
        """Total of every cost of a choice, in the unit given."""
        return {cost.name: float(self._total(cost, [cost.amount(f, k) for f, k in enumerate(choice)]))
                for cost in self.costs}

    def least(self, name: str) -> float:
        """Least achievable total of one cost, looking at it alone."""
        cost, alive = self._cost(name), alive_ids(self.utilities)
        return float(self._total(cost, [min(cost.amount(f, k) for k in ids) for f, ids in enumerate(alive)]))

    def in_unit(self, name: str, ticks: Ints) -> NDArray[Any]:
        """Ticks of a front, in the unit given: integers where all are whole."""
        cost = self._cost(name)
        low = 0 if name in self.overlapped else sum(
            int(min(cost.ticks(f, ids))) for f, ids in enumerate(alive_ids(self.utilities)))
        start = (cost.fixed or 0) + low * cost.quantum
        return in_unit(ticks, start=start, quantum=cost.quantum)

    def _cost(self, name: str) -> Cost:
        return next(cost for cost in self.costs if cost.name == name)

    def _total(self, cost: Cost, amounts: Sequence[Exact]) -> Exact:
        rest = iter(amounts)

        def of(block: Block) -> Exact:
            if isinstance(block, Layer):
                return next(rest)
            parts = [of(part) for part in block.parts]
            return max(parts) if isinstance(block, Parallel) and cost.name in self.overlapped else sum(parts)

        return of(self.block) + (cost.fixed or 0)


class _Labels:
    """Pareto labels of parts, taken in the order of the tree."""

    def __init__(
        self, tree: BlockTree, ticks: Sequence[Ints], peaks: NDArray[np.bool_], limits: Ints, clock: TimeLimit
    ) -> None:
        self.tree, self.ticks, self.peaks, self.limits, self.clock = tree, ticks, peaks, limits, clock
        self.alive, self.next, self.loss = alive_ids(tree.utilities), 0, 0.0

    def table(self, block: Block) -> Table:
        """Labels of a part, in the order of their choices."""
        found = self._pareto(block)
        return found.take(np.lexsort(found.picks.made().T[::-1]))

    def _pareto(self, block: Block) -> Table:
        if isinstance(block, Layer):
            return pareto(self._layer(), ())
        parts = [self._pareto(part) for part in block.parts]
        table = parts[0]
        for part in parts[1:]:
            together = self._in_series if isinstance(block, Series) else self._beside
            try:
                self.clock.check(len(table.utility) * len(part.utility) * (len(self.limits) + 2), GRACE)
                table = pareto(together(table, part), (), self.clock)
            except TimeIsUp:
                table = pareto(together(self._few(table), self._few(part)), ())
        return table

    def _few(self, table: Table) -> Table:
        """The cheapest label of every cost, and of the others those of the highest utility."""
        if len(table.utility) <= _FEW:
            return table
        best = np.argsort(-table.utility, kind="stable")[:_FEW]
        least = [int(np.lexsort((-table.utility, column))[0]) for column in table.ticks.T]
        # in the place of what goes stands the cheapest; of several costs none may be the cheapest in all
        self.loss += float(np.ptp(table.utility)) if len(self.limits) == 1 else np.inf
        return table.take(np.unique(np.concatenate([best, least])))

    def _in_series(self, a: Table, b: Table) -> Table:
        return join(a, b, (), self.limits)

    def _layer(self) -> Table:
        number, self.next = self.next, self.next + 1
        ids = np.array(self.alive[number])
        choices = np.zeros((len(ids), len(self.alive)), np.int16)
        choices[:, number] = ids
        fits = np.flatnonzero((self.ticks[number] <= self.limits).all(axis=1))
        table = Table((), np.zeros((len(ids), 0), np.int16), self.ticks[number], self.tree.utilities[number][ids],
                      Picks.of(choices))
        return table.take(fits)

    def _beside(self, a: Table, b: Table) -> Table:
        ia, ib = pairs(len(a.utility), len(b.utility))
        ticks = np.where(self.peaks, np.maximum(a.ticks[ia], b.ticks[ib]), a.ticks[ia] + b.ticks[ib])
        kept = np.flatnonzero((ticks <= self.limits).all(axis=1))
        ia, ib = ia[kept], ib[kept]
        picks = Picks(tuple((choices, which[i]) for part, i in ((a, ia), (b, ib)) for choices, which in
                            part.picks.parts))
        return Table((), np.zeros((len(kept), 0), np.int16), ticks[kept], a.utility[ia] + b.utility[ib], picks)


def _layers(block: Block) -> Iterator[Layer]:
    if isinstance(block, Layer):
        yield block
        return
    if not block.parts:
        raise UsageError(f"a {type(block).__name__} must have at least one part")
    for part in block.parts:
        yield from _layers(part)
