"""Label tables through the buckets of a graph: the best choice within limits, or every point of a front."""

from __future__ import annotations

import numpy as np

from hwnas.generate.elimination import Bucket
from hwnas.generate.label_widening import Frame, Ranked, widen
from hwnas.generate.lagrangian import Model, Prices, prices
from hwnas.generate.problem import Ints
from hwnas.generate.tables import Picks, Table, join, pareto, thinned
from hwnas.generate.time_limit import TimeLimit


def best(model: Model, max_labels: int, clock: TimeLimit) -> tuple[Ranked, float]:
    """The best choice within the limits, and how far its utility can be from the true best; see
    `label_widening.widen`."""
    proven, leaves = prices(model), dict[int, Table]()
    span = sum(float(np.abs(worth[np.isfinite(worth)]).max()) for worth in model.worth)
    lowest = sum(float(worth[np.isfinite(worth)].min()) for worth in model.worth)
    tolerance = 1e-9 * (1.0 + span)

    def attempt(width: int, floor: float) -> tuple[Ranked, float]:
        labels = _Pass(model, width, clock, leaves, proven, floor)
        table = labels.root()
        order, choices = np.lexsort((*table.ticks.T[::-1], -table.utility))[:1], table.picks.made()
        return [(float(table.utility[i]), tuple(choices[i].tolist())) for i in order], labels.dropped

    frame = Frame(float(proven.bounds[0]), lowest - tolerance, tolerance, _allowed(model, proven.choices))
    return widen(attempt, frame, 1, max_labels, clock)


def _allowed(model: Model, choices: Ints) -> dict[tuple[int, ...], float]:
    """Those of some choices that are within the limits, with their utilities."""
    utility, ticks = np.zeros(len(choices)), np.zeros((len(choices), len(model.limits)), np.int64)
    for scope, worth, spent in zip(model.scopes, model.worth, model.ticks, strict=True):
        entry = tuple(choices[:, v] for v in scope)
        utility, ticks = utility + worth[entry], ticks + spent[entry]
    fits = np.flatnonzero((ticks <= model.limits).all(axis=1) & np.isfinite(utility))
    return {tuple(choices[i].tolist()): float(utility[i]) for i in fits}


def points(model: Model, max_labels: int, clock: TimeLimit) -> tuple[Table, float]:
    """Every label of the front, cheapest first, and how much utility the merging of labels may have cost."""
    labels = _Pass(model, max_labels, clock, {})
    table = labels.root()
    return table, labels.loss


class _Pass:
    """One elimination of all variables with label tables.

    Args:
        leaves: messages of buckets without children before anything is cut, kept from pass to pass.

    Attributes:
        dropped: highest upper bound among labels cut for want of room or time; -inf if none was.
        loss: how much utility the merging of labels may have cost.
    """

    def __init__(
        self, model: Model, width: int, clock: TimeLimit, leaves: dict[int, Table], proven: Prices | None = None,
        floor: float = -np.inf,
    ) -> None:
        self.model, self.width, self.clock, self.leaves = model, width, clock, leaves
        self.proven, self.floor = proven, floor
        self.dropped, self.loss = -np.inf, 0.0

    def root(self) -> Table:
        """The labels of whole choices."""
        messages: list[Table] = []
        for number, bucket in enumerate(self.model.buckets):
            message = self.leaves.get(number) or self._message(bucket, messages)
            if not bucket.children:
                self.leaves[number] = message
            messages.append(self._thinned(number, message))
        return messages[-1]

    def _message(self, bucket: Bucket, messages: list[Table]) -> Table:
        table = self._joined([self._factor(f) for f in bucket.factors] + [messages[b] for b in bucket.children])
        if bucket.variable >= 0:
            table = table.without(bucket.variable)
        return pareto(table, self.model.sizes)

    def _joined(self, parts: list[Table]) -> Table:
        parts = sorted(parts, key=lambda table: len(table.utility))
        table = parts[0]
        for number, part in enumerate(parts[1:], 2):
            table = join(table, part, self.model.sizes, self.model.limits)
            self.clock.made(len(table.utility))
            if number < len(parts):
                table = pareto(table, self.model.sizes)
        return table

    def _factor(self, f: int) -> Table:
        worth, ticks = self.model.worth[f], self.model.ticks[f]
        alive = np.isfinite(worth) & (ticks <= self.model.limits).all(axis=-1)
        states = np.argwhere(alive).astype(np.int16)
        nothing = np.zeros((len(states), len(self.model.sizes)), np.int16)
        return Table(self.model.scopes[f], states, ticks[alive], worth[alive], Picks.of(nothing))

    def _thinned(self, number: int, table: Table) -> Table:
        """Without what cannot reach the floor, and no more labels than there is room for."""
        room = self.clock.affordable(self.width, len(self.model.buckets) - number, max(self.model.sizes))
        if self.proven is None:
            thinner, lost = thinned(table, self.model.sizes, room)
            self.loss += lost
            return thinner
        states = [table.states[:, i] for i in range(len(table.scope))]
        upper = self.proven.upper(number, states, table.ticks, table.utility)
        kept = np.flatnonzero(upper >= self.floor)
        if len(kept) > room:
            split = np.argpartition(-upper[kept], room)
            self.dropped = max(self.dropped, float(upper[kept[split[room:]]].max()))
            kept = kept[np.sort(split[:room])]
        return table.take(kept)
