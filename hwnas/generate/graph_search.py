"""Label tables through the buckets of a graph: the best choice within limits, or every point of a front."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hwnas.generate.elimination import Bucket
from hwnas.generate.label_widening import Frame, Ranked, widen
from hwnas.generate.lagrangian import Model, Prices, cheapest, prices
from hwnas.generate.problem import Ints
from hwnas.generate.tables import Picks, Table, join, pareto, thinned
from hwnas.generate.time_limit import TimeIsUp, TimeLimit

_FIRST_PART = 0.6  # of the time, for a front without merging


def best(
    model: Model, max_labels: int, clock: TimeLimit, top: int = 1, min_distance: int = 0
) -> tuple[Ranked, float]:
    """The best choices within the limits, and how far the best utility can be from the true one.

    Greedy: going down from the best, a choice is taken if it differs from all taken in `min_distance` groups of
    variables.

    Args:
        top: how many.
        min_distance: 0 and 1 both ask for different choices.
    """
    found, gap = _best(model, max_labels, clock)
    while found and len(found) < top and model.sizes:
        distance = max(min_distance, 1)
        if distance > len(model.groups):
            break
        model = model.far_from(found[-1][1], distance)
        if clock.over:
            return found, max(gap, _tolerance(model))
        more, its_gap = _best(model, max_labels, clock)
        if its_gap > 0.0:  # the gap is that of the best choice; a later one only makes the answer unproven
            gap = max(gap, _tolerance(model))
        if not more:
            break
        found = found + more
    return found, gap


def _tolerance(model: Model) -> float:
    """Slack of comparisons with bounds."""
    return 1e-9 * (1.0 + sum(float(np.abs(worth[np.isfinite(worth)]).max()) for worth in model.worth))


def _best(model: Model, max_labels: int, clock: TimeLimit) -> tuple[Ranked, float]:
    """The best choice, and how far its utility can be from the true best; see `label_widening.widen`."""
    proven, leaves = prices(model, clock), dict[int, Table]()
    lowest = sum(float(worth[np.isfinite(worth)].min()) for worth in model.worth)
    tolerance = _tolerance(model)

    def attempt(width: int, floor: float) -> tuple[Ranked, float]:
        labels = _Pass(model, width, clock, leaves, proven, floor)
        table = labels.root()
        choices = table.picks.made()
        order = np.lexsort((*choices.T[::-1], *table.ticks.T[: model.ranked][::-1], -table.utility))[:1]
        return [(float(table.utility[i]), tuple(choices[i].tolist())) for i in order], labels.dropped

    known = _allowed(model, proven.choices)
    if not known:
        known = _allowed(model, np.array([cheapest(model, cost) for cost in range(model.ranked)]))
    frame = Frame(float(proven.bounds[0]), lowest - tolerance, tolerance, known)
    return widen(attempt, frame, 1, max_labels, clock)


def _allowed(model: Model, choices: Ints) -> dict[tuple[int, ...], float]:
    """Those of some choices that are within the limits, with their utilities."""
    if not len(choices):
        return {}
    utility, ticks = np.zeros(len(choices)), np.zeros((len(choices), len(model.limits)), np.int64)
    for scope, worth, spent in zip(model.scopes, model.worth, model.ticks, strict=True):
        entry = tuple(choices[:, v] for v in scope)
        utility, ticks = utility + worth[entry], ticks + spent[entry]
    fits = np.flatnonzero((ticks <= model.limits).all(axis=1) & np.isfinite(utility))
    return {tuple(choices[i].tolist()): float(utility[i]) for i in fits}


def points(model: Model, max_labels: int, clock: TimeLimit) -> tuple[Table, float]:
    """Every label of the front, cheapest first, and how much utility the merging of labels may have cost."""
    labels = _Pass(model, max_labels, clock.part(_FIRST_PART), {})
    try:
        return labels.root(), labels.loss
    except TimeIsUp:
        labels = _Pass(model, 1, TimeLimit(), {})
        return labels.root(), labels.loss


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
        self.decided: list[int] = []  # groups of variables that were compared with choices taken, below a bucket
        for bucket in model.buckets:
            compared = sum(f in model.counting for f in bucket.factors)
            self.decided.append(sum(self.decided[b] for b in bucket.children) + compared)

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
        if self.model.apart:
            table = self._far_enough(len(messages), table)
        return pareto(table, self.model.sizes, self.clock)

    def _far_enough(self, number: int, table: Table) -> Table:
        """Labels that differ enough already, whatever the others do, count as equal in that."""
        sure = self.decided[number] - np.array(self.model.apart)
        ticks, ranked = table.ticks.copy(), self.model.ranked
        ticks[:, ranked:] = np.maximum(ticks[:, ranked:], sure)
        return replace(table, ticks=ticks)

    def _joined(self, parts: list[Table]) -> Table:
        parts = sorted(parts, key=lambda table: len(table.utility))
        table = parts[0]
        for number, part in enumerate(parts[1:], 2):
            table = join(table, part, self.model.sizes, self.model.limits, self.clock)
            self.clock.made(len(table.utility))
            if number < len(parts):
                table = pareto(table, self.model.sizes, self.clock)
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
