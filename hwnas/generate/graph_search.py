"""Label tables through the buckets of a graph: the best choice within limits, or every point of a front."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hwnas.generate.elimination import Bucket
from hwnas.generate.label_widening import Frame, Ranked, widen
from hwnas.generate.lagrangian import Model, Prices, cheapest, prices
from hwnas.generate.problem import Floats, Ints
from hwnas.generate.tables import Picks, Small, Table, join, pareto, thinned
from hwnas.generate.time_limit import TimeIsUp, TimeLimit

_FIRST_PART = 0.6  # of the time, for a front without merging
_RANKED, _WIDER, _RANKED_MOST = 2048, 6, 300_000  # labels that are kept though others beat them


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
    distance = max(min_distance, 1)
    if not found or top == 1 or not model.sizes or distance > len(model.groups):
        return found, gap
    if gap == 0.0:
        found, complete, ended = _ranked(model, found, max_labels, clock, top, distance)
        if complete or ended:
            return found, 0.0 if complete else _tolerance(model)
    for _, choice in found[:-1]:
        model = model.far_from(choice, distance)
    while len(found) < top:
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


def _ranked(
    model: Model, first: Ranked, max_labels: int, clock: TimeLimit, top: int, distance: int
) -> tuple[Ranked, bool, bool]:
    """The best choices far enough from each other.

    Labels are kept whether others beat them or not, those of the highest upper bounds; so every choice above the bound
    of what was cut is there, and going down among them needs no search for each. What that costs grows with how many
    choices lie above the last one taken, not with how many are taken.

    No choice below a floor is of interest: where `top` choices of at least its utility differ from each other in
    2 `distance` - 1 groups, no choice that is taken is closer than `distance` to two of them, so `top` are taken above.

    Args:
        first: the best choice.

    Returns:
        The choices, whether these are proven to be all that were asked for or that there are, and whether the time
        ended it: then they are what was found, proven or not, else those that are proven.
    """
    proven, width, floor = prices(model, clock), min(_RANKED, max_labels), -np.inf
    unproven, tolerance = first, _tolerance(model)
    while True:
        try:
            labels = _Pass(model, width, clock, {}, proven, floor, every=True)
            table = labels.root()
        except TimeIsUp:
            return unproven, False, True
        choices, utility = table.picks.made(), table.utility
        order = np.lexsort((*choices.T[::-1], *table.ticks.T[::-1], -utility))
        choices, utility = choices[order], utility[order]
        sure = int((utility > labels.dropped + tolerance).sum())
        taken = _far_apart(model, first, choices[:sure], utility[:sure], top, distance)
        complete = len(taken) >= top or (labels.dropped == -np.inf and floor == -np.inf)
        if complete or (width >= min(max_labels, _RANKED_MOST) and not clock.over):
            return taken, complete, False
        unproven = max(unproven, _far_apart(model, first, choices, utility, top, distance), key=len)
        if clock.over:
            return unproven, False, True
        spread = _far_apart(model, first, choices, utility, top, 2 * distance - 1)
        floor = max(floor, spread[-1][0] - tolerance) if len(spread) >= top else floor
        width = min(width * _WIDER, max_labels, _RANKED_MOST)


def _far_apart(model: Model, first: Ranked, choices: Small, utility: Floats, top: int, distance: int) -> Ranked:
    """Going down, choices that differ from each one taken in so many groups."""
    taken, left = list(first), np.ones(len(choices), dtype=bool)
    groups = [list(group) for group in model.groups]
    while True:
        last, differs = np.array(taken[-1][1]), np.zeros(len(choices), np.int64)
        for group in groups:
            differs += (choices[:, group] != last[group]).any(axis=1)
        left &= differs >= distance
        if len(taken) >= top or not left.any():
            return taken
        place = int(left.argmax())
        taken.append((float(utility[place]), tuple(choices[place].tolist())))


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
        every: keep labels that others beat.

    Attributes:
        dropped: highest upper bound among labels cut for want of room or time; -inf if none was.
        loss: how much utility the merging of labels may have cost.
    """

    def __init__(
        self, model: Model, width: int, clock: TimeLimit, leaves: dict[int, Table], proven: Prices | None = None,
        floor: float = -np.inf, every: bool = False,
    ) -> None:
        self.model, self.width, self.clock, self.leaves = model, width, clock, leaves
        self.proven, self.floor, self.every = proven, floor, every
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
        return self._unbeaten(table)

    def _unbeaten(self, table: Table) -> Table:
        if self.every:
            return replace(table, picks=Picks.of(table.picks.made()))
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
                table = self._unbeaten(table)
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
