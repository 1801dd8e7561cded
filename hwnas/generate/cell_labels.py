"""Labels of cells, node by node; see `hwnas.generate.cells`.

The first coordinate of a state is the number of plain inputs so far (0 where there is no rule), the others are the
heights of the nodes so far (none where there is no rule).
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import UsageError
from hwnas.generate.integer_costs import UNLIMITED, Cost
from hwnas.generate.pareto import in_unit
from hwnas.generate.problem import Floats, Ints
from hwnas.generate.tables import Picks, Table, pairs, pareto, thinned
from hwnas.generate.time_limit import TimeIsUp, TimeLimit

_FEWEST = 32  # labels that are always kept


@dataclass(frozen=True)
class CellRules:
    """Rules of a cell; see `cells.solve_cell`.

    Attributes:
        plain: operations without parameters.
        inputs: (fewest, most) plain inputs; None for no rule.
        height: most height; None for no rule.
    """

    plain: frozenset[int]
    inputs: tuple[int, int] | None
    height: int | None

    @classmethod
    def read(cls, plain: Collection[int], inputs: tuple[int, int] | None, height: int | None) -> CellRules:
        """Check the rules.

        Raises:
            UsageError: an empty range or a height below 1.
        """
        if inputs is not None and not 0 <= inputs[0] <= inputs[1]:
            raise UsageError(f"plain_inputs must be (fewest, most) with 0 <= fewest <= most, not {inputs!r}")
        if height is not None and height < 1:
            raise UsageError(f"max_height must be at least 1, not {height}")
        return cls(frozenset(plain), inputs, height)


class CellLabels:
    """The labels of all nodes under some budgets.

    Raises:
        UsageError: ticks that do not fit in 62 bits.
    """

    def __init__(
        self, nodes: int, values: Sequence[Floats], alive: Sequence[Sequence[int]], costs: Sequence[Cost],
        budgets: Sequence[float], rules: CellRules,
    ) -> None:
        self.nodes, self.rules, self.costs = nodes, rules, costs
        self.heights = rules.height is not None and rules.height < nodes
        raw = [[np.asarray(cost.ticks(e, ids), dtype=np.int64) for cost in costs] for e, ids in enumerate(alive)]
        for m, cost in enumerate(costs):
            if sum(int(np.abs(rows[m]).max()) for rows in raw) >= UNLIMITED:
                raise UsageError(f"the cost {cost.name!r} has too many ticks for 62 bits: give a larger quantum")
        self.items = [
            self._items(node, values, alive, [np.array(rows).reshape(len(costs), -1).T for rows in raw])
            for node in range(nodes)
        ]
        low = [np.min([ticks.min(axis=0) for _, ticks, _, _, _ in items], axis=0) for items in self.items]
        high = [np.max([ticks.max(axis=0) for _, ticks, _, _, _ in items], axis=0) for items in self.items]
        most = [max(float(utility.max()) for *_, utility, _ in items) for items in self.items]
        caps = np.array([cost.limit(budget) for cost, budget in zip(costs, budgets, strict=True)], dtype=np.int64)
        self.limits = np.minimum(caps, np.sum(high, axis=0, dtype=np.int64))
        self.low_after = np.cumsum([np.zeros(len(costs), np.int64), *low[::-1]], axis=0)[::-1]
        self.best_after = np.cumsum([0.0, *most[::-1]])[::-1]

    def final(self, max_labels: int, clock: TimeLimit) -> tuple[Table, float]:
        """Labels of whole cells, and the highest upper bound among those cut for want of room or time."""
        table, dropped = self._root(), -np.inf
        for node in range(self.nodes):
            room = clock.affordable(max_labels, self.nodes - node, self._width(node), fewest=_FEWEST)
            if len(table.utility) > room:
                split = np.argpartition(-table.utility, room)
                cut = float(table.utility[split[room:]].max()) + float(self.best_after[node])
                kept = np.unique(np.concatenate([split[:room], self._cheapest(node, table)]))
                table, dropped = table.take(kept), max(dropped, cut)
            table = self._pareto(self._extended(node, table), node + 1, clock)
            clock.made(len(table.utility))
        return self._pareto(self._finished(table), None, clock), dropped

    def front(self, max_labels: int, clock: TimeLimit) -> tuple[Table, float]:
        """Labels of the front, cheapest first, and how much utility the merging of labels may have cost."""
        table, loss = self._root(), 0.0
        for node in range(self.nodes):
            room = clock.affordable(max_labels, self.nodes - node, self._width(node), fewest=_FEWEST)
            if len(table.utility) > room:
                table, lost = thinned(table, self._sizes(node), room)
                loss += lost
            table = pareto(self._extended(node, table), self._sizes(node + 1))
            clock.made(len(table.utility))
        return pareto(self._finished(table), ()), loss

    def _width(self, node: int) -> int:
        """How many items a node can have."""
        return sum(len(item[3]) for item in self.items[node])

    def _pareto(self, table: Table, node: int | None, clock: TimeLimit) -> Table:
        """The labels that no other of the same state beats; all, sorted alike, where the time does not suffice."""
        try:
            return pareto(table, () if node is None else self._sizes(node), clock)
        except TimeIsUp:
            return table

    def _cheapest(self, node: int, table: Table) -> Ints:
        """Places of the labels of every state that spend least: one of them can be completed if any label can."""
        key = table.keys(table.scope, self._sizes(node))
        found = []
        for column in table.ticks.T:
            order = np.lexsort((column, key))
            found.append(order[np.flatnonzero(np.diff(key[order], prepend=-1))])
        return np.concatenate([np.zeros(0, np.int64), *found])

    def in_unit(self, ticks: Ints) -> NDArray[Any]:
        """Ticks of the only cost, in the unit given: integers where all are whole."""
        cost = self.costs[0]
        start = cost.fixed or 0
        return in_unit(ticks, start=start, quantum=cost.quantum)

    def _items(
        self, node: int, values: Sequence[Floats], alive: Sequence[Sequence[int]], ticks: Sequence[Ints]
    ) -> list[tuple[tuple[int, int], Ints, Ints, Floats, NDArray[np.int16]]]:
        """Per pair of inputs: the pair, ticks, plain inputs, utilities and choices of its Pareto items."""
        first, found = node * (node + 3) // 2, []
        for a, b in itertools.combinations(range(node + 2), 2):
            ia, ib = pairs(len(alive[first + a]), len(alive[first + b]))
            ops = np.array(alive[first + a])[ia], np.array(alive[first + b])[ib]
            plain = np.isin(ops, list(self.rules.plain)).sum(axis=0)
            choices = np.zeros((len(ia), 4 * self.nodes), np.int16)
            columns: tuple[int | Ints, ...] = (a, ops[0], b, ops[1])
            for place, column in enumerate(columns):
                choices[:, 4 * node + place] = column
            states = (plain if self.rules.inputs is not None else 0 * plain)[:, None].astype(np.int16)
            worth = values[first + a][ops[0]] + values[first + b][ops[1]]
            spent = ticks[first + a][ia] + ticks[first + b][ib]
            table = pareto(Table((0,), states, spent, worth, Picks.of(choices)), (3,))
            found.append(((a, b), table.ticks, table.states[:, 0].astype(np.int64), table.utility, table.picks.made()))
        return found

    def _root(self) -> Table:
        nothing = Picks.of(np.zeros((1, 4 * self.nodes), np.int16))
        return Table((0,), np.zeros((1, 1), np.int16), np.zeros((1, len(self.costs)), np.int64), np.zeros(1), nothing)

    def _sizes(self, nodes: int) -> list[int]:
        return [2 * self.nodes + 1, *([self.nodes + 1] * nodes)]

    def _extended(self, node: int, table: Table) -> Table:
        """Every label with every item of the node that rules and limits allow."""
        parts = [self._with(node, table, *item) for item in self.items[node]]
        scope = tuple(range(parts[0].states.shape[1]))
        pools = [part.picks.parts for part in parts]
        offset = np.cumsum([0, *(len(pool[1][0]) for pool in pools)])
        items = np.concatenate([pool[1][0] for pool in pools])
        which = np.concatenate([pool[1][1] + start for pool, start in zip(pools, offset[:-1], strict=True)])
        picks = Picks(((pools[0][0][0], np.concatenate([pool[0][1] for pool in pools])), (items, which)))
        states, ticks = np.concatenate([p.states for p in parts]), np.concatenate([p.ticks for p in parts])
        return Table(scope, states, ticks, np.concatenate([p.utility for p in parts]), picks)

    def _with(
        self, node: int, table: Table, pair: tuple[int, int], ticks: Ints, plain: Ints, utility: Floats,
        choices: NDArray[np.int16],
    ) -> Table:
        """Every label with every item of one pair of inputs."""
        il, ii = pairs(len(table.utility), len(utility))
        total, count = table.ticks[il] + ticks[ii], table.states[il, 0] + plain[ii]
        fits = (total + self.low_after[node + 1] <= self.limits).all(axis=1)
        states = count[:, None]
        if self.rules.inputs is not None:
            fewest, most = self.rules.inputs
            fits &= (count <= most) & (count + 2 * (self.nodes - node - 1) >= fewest)
        if self.heights:
            height = 1 + np.max([self._height(table, j) for j in pair], axis=0)[il]
            fits &= height <= (self.rules.height or 0)
            states = np.column_stack([states, table.states[il, 1:], height])
        kept = np.flatnonzero(fits)
        il, ii = il[kept], ii[kept]
        picks = Picks(((table.picks.parts[0][0], table.picks.parts[0][1][il]), (choices, ii)))
        return Table((), states[kept].astype(np.int16), total[kept], table.utility[il] + utility[ii], picks)

    def _height(self, table: Table, predecessor: int) -> NDArray[np.int16]:
        return table.states[:, predecessor - 1] if predecessor >= 2 else np.zeros(len(table.utility), np.int16)

    def _finished(self, table: Table) -> Table:
        return Table((), np.zeros((len(table.utility), 0), np.int16), table.ticks, table.utility, table.picks)
