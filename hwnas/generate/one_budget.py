"""The best choice within one budget on one summed cost.

The linear relaxation gives a price per tick and an upper bound. At that price every operation that is not the best of
its layer loses something, and the losses of a choice add up to its distance from the bound: a choice that loses more
than bound - optimum is not optimal. So only operations within a guess of that distance are looked at, the core
(D. Pisinger, "A minimal algorithm for the multiple-choice knapsack problem", European J. of Operational Research 83(2),
1995), in two halves that are joined (`two_lists`). If the best they hold is within the guess it is proven optimal, else
the guess grows.

Utilities proportional to costs lose nothing anywhere: any choice that spends the whole budget is optimal. Where many
operations lose nothing, the totals of these are looked at as bits (`subset_sums`). Where a core has too many labels,
the best choice found is improved first, a few layers at a time, exactly; then the core is smaller.

Glossary
    L, K      layers, most operations of a layer
    u, c      utilities, -inf where a layer has no such operation, and ticks, (L, K)
    y         price, utility per tick: least d(y) = y b + sum over the layers of max_k (u - y c), the bound
    loss      max_k (u - y c) - (u - y c), (L, K), >= 0
    slack     the guess: most loss of interest

Complexity: O(L K) for each of about ten prices, and what the core takes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas.generate import subset_sums
from hwnas.generate.label_widening import Ranked
from hwnas.generate.problem import Floats, Ints, Problem, offsets, split
from hwnas.generate.time_limit import TimeIsUp, TimeLimit
from hwnas.generate.two_lists import Items, Partials, TooMany, pairs, partials

_FIRST_LABELS, _MORE_LABELS = 2000, 4
_FEW = 25  # operations beside the best of their layers in the first core
_LEAST_SHARE, _GROWTH = 1e-3, 4.0  # of the distance to the bound: the first guess at least; and how guesses grow
_FLAT, _MOSTLY_FLAT = 8, 2  # operations beside the best of their layers that lose nothing: so many; so many a layer
_BITS, _MOST_BITS = 1 << 21, 1 << 26  # bytes of totals shifted: where some operations lose nothing; where most do
_LISTED, _LISTED_AT_MOST = 1 << 12, 1 << 18  # labels of a half when a few layers are improved
_TRIES, _VAIN = 20, 6
_GOLDEN = 0.6180339887498949
_PRICES = 100
_EPSILON = 2.0**-52  # of float64


@dataclass(frozen=True)
class Core:
    """A problem of one cost at its best price; see the glossary of this file.

    Attributes:
        bound: upper bound on the utility of any choice within the limit.
        rounding: what sums of these utilities may be wrong by.
        top: max_k (u - y c), (L,).
        best: the operations there, (L,).
        within, beyond: best choices at the price, one within the limit and one beyond it, (L,).
    """

    utility: Floats
    cost: Ints
    limit: int
    price: float
    bound: float
    rounding: float
    loss: Floats
    top: Floats
    best: Ints
    within: Ints
    beyond: Ints

    def totals(self, choices: Ints) -> tuple[Floats, Ints]:
        """Utilities, summed layer by layer, and ticks of choices (n, L)."""
        layers = np.arange(len(self.top))
        return np.cumsum(self.utility[layers, choices], axis=1)[:, -1], self.cost[layers, choices].sum(axis=1)


def best_within(problem: Problem, max_labels: int, clock: TimeLimit) -> tuple[Ranked, float]:
    """The best choice, and how far its utility can be from the true best; the limit can be met.

    Ties go to the lower cost, then to the lexicographically smaller choice; but where the bound itself is met by
    more choices than can be looked through, to the first one found.
    """
    utility, cost = _padded(problem)
    limit = int(problem.limits[0])
    step = _step(cost)
    if step > 1:
        cost, limit = cost // step, limit // step
    core = _relaxed(utility, cost, limit)
    if isinstance(core, Core):
        search = _Search(core, clock)
        try:
            gap = search.run(max_labels)
        except TimeIsUp:
            gap = search.gap
        choice = search.choice
    else:
        choice, gap = core, 0.0
    total = np.cumsum(utility[np.arange(len(choice)), choice])[-1]
    return [(float(total), tuple(int(ids[k]) for ids, k in zip(problem.ids, choice, strict=True)))], gap


class _Search:
    """The best choice so far, and what is proven.

    Attributes:
        choice, utility: the best found.
        proven: no better choice loses less than that.
    """

    def __init__(self, core: Core, clock: TimeLimit) -> None:
        self.core, self.clock, self.proven, self.rounds = core, clock, 0.0, 0
        self.choice, self.utility = core.within, -np.inf
        self._learn(core.within)
        self._learn(_filled(core))

    @property
    def distance(self) -> float:
        """From the best found to the bound."""
        return max(self.core.bound - self.utility, 0.0)

    @property
    def gap(self) -> float:
        """How far the best found can be from the true best, above 0."""
        return max(self.distance - self.proven, self.core.rounding)

    def run(self, max_labels: int) -> float:
        """Search until the best is proven, or labels do not suffice; the gap that is left.

        Raises:
            TimeIsUp: before that.
        """
        core = self.core
        if self._sums():
            return 0.0
        slack, labels, listed = self._first_slack(), min(_FIRST_LABELS, max_labels), _LISTED
        while True:
            try:
                found = exchanged(core, core.best, None, slack, labels, self.clock)
            except TooMany:
                if self._improved(listed):
                    self._by_bits(_MOST_BITS)
                    return 0.0
                if self.distance > slack / 2 and slack > 4 * self.proven and slack > self.distance / 64:
                    slack = max(1.5 * self.proven, slack / 3)
                elif self.distance > slack / 2:
                    if labels == max_labels:
                        return self.gap
                    labels, listed = min(labels * _MORE_LABELS, max_labels), min(listed * 4, _LISTED_AT_MOST)
                slack = min(slack, self.distance)
                continue
            if found is not None:
                self._learn(found)
            if self.distance <= slack + core.rounding:
                return 0.0
            self.proven, slack = slack, min(self.distance, _GROWTH * slack)

    def _learn(self, choice: Ints) -> None:
        """Keep a choice that is at least as good."""
        utility = float(self.core.totals(choice[None])[0][0])
        if utility >= self.utility:
            self.choice, self.utility = choice, utility

    def _first_slack(self) -> float:
        """A guess that leaves few operations."""
        losses, far = self.core.loss.ravel(), self.distance
        some = losses[(losses > self.core.rounding) & (losses < far)]
        if len(some) <= _FEW:
            return far
        return max(float(np.partition(some, _FEW)[_FEW]), far * _LEAST_SHARE)

    def _sums(self) -> bool:
        """Look at the totals of operations that lose nothing; whether that ends the search."""
        core = self.core
        beside = int(np.count_nonzero(core.loss <= core.rounding)) - len(core.top)
        if beside < _FLAT:
            return False
        mostly = beside >= _MOSTLY_FLAT * len(core.top)
        if self._by_bits(_MOST_BITS if mostly else _BITS):
            return self.distance <= core.rounding
        return mostly and self._improved(_LISTED, core.rounding)

    def _by_bits(self, most: int) -> bool:
        """Learn the choice of the largest total among operations that lose nothing; False where that is too much."""
        core = self.core
        nothing = core.loss <= core.rounding
        if subset_sums.work(int(np.count_nonzero(nothing)), core.limit) > most:
            return False
        self.clock.check()
        places = [np.flatnonzero(row) for row in nothing]
        rows = [cost[some].tolist() for cost, some in zip(core.cost, places, strict=True)]
        found = subset_sums.largest(rows, core.limit)
        if found is not None:
            self._learn(np.array([some[i] for some, i in zip(places, found, strict=True)]))
        return True

    def _improved(self, labels: int, most_loss: float | None = None) -> bool:
        """Improve the best a few layers at a time, each time exactly; whether it meets the bound."""
        core, vain = self.core, 0
        for _ in range(_TRIES):
            if self.distance <= core.rounding:
                return True
            if vain == _VAIN:
                break
            before, self.rounds = self.utility, self.rounds + 1
            slack = self.distance if most_loss is None else most_loss
            layers = self._some_layers(labels, slack)
            try:
                found = exchanged(core, self.choice, layers, slack, 4 * labels, self.clock)
            except TooMany:
                found = None
            if found is not None:
                self._learn(found)
            vain = 0 if self.utility > before else vain + 1
        return self.distance <= core.rounding

    def _some_layers(self, labels: int, loss: float) -> NDArray[np.bool_]:
        """Layers, other ones every round, that have about `labels` squared combinations of items."""
        sizes = np.count_nonzero(self.core.loss <= loss, axis=1)
        order = np.argsort((np.arange(1, len(sizes) + 1) * _GOLDEN * self.rounds) % 1.0, kind="stable")
        order = order[sizes[order] > 1]
        count = int(np.searchsorted(np.cumsum(np.log(sizes[order])), 2 * np.log(labels), side="right"))
        some = np.zeros(len(sizes), dtype=bool)
        some[order[: max(count, 2)]] = True
        return some


def exchanged(
    core: Core, choice: Ints, layers: NDArray[np.bool_] | None, slack: float, max_labels: int, clock: TimeLimit
) -> Ints | None:
    """The best choice that loses at most `slack` and differs from `choice` in some layers only; None if there is none.

    Args:
        layers: which layers may differ; None for all that have more than one operation within the slack, of which
            `choice` must be one that loses nothing.

    Raises:
        TooMany: more than `max_labels` labels in a half.
        TimeIsUp: the time does not suffice.
    """
    every = np.arange(len(core.top))
    if layers is not None:
        slack = slack - float(core.loss[every, choice][~layers].sum())
        if slack < -core.rounding:
            return None
    slack += core.rounding
    near = core.loss <= slack
    sizes = np.count_nonzero(near, axis=1)
    free = np.flatnonzero(sizes > 1 if layers is None else layers)
    limit = core.limit - int(core.cost[every, choice].sum()) + int(core.cost[free, choice[free]].sum())
    if limit < 0 or (sizes[free] == 0).any():
        return None
    sides = _sides(core, near, free, sizes[free])
    least = [sum(items.least for items in side) for side in sides]
    a = partials(sides[0], core.price, slack, limit - least[1], max_labels, clock)
    b = partials(sides[1], core.price, slack, limit - least[0], max_labels, clock)
    return _first(core, choice, a, b, limit)


def _sides(
    core: Core, near: NDArray[np.bool_], free: Ints, sizes: Ints
) -> tuple[list[Items], list[Items]]:
    """The items of some layers, in two lists of about as many combinations."""
    sides: tuple[list[Items], list[Items]] = [], []
    if not len(free):
        return sides
    second = np.zeros(len(free), dtype=np.int64)
    by_size = np.argsort(-sizes, kind="stable")
    second[by_size[1::4]] = second[by_size[2::4]] = 1
    flat = np.flatnonzero(near[free])
    places, off = flat % near.shape[1], offsets(sizes.tolist())
    cost, utility = core.cost[free].ravel().take(flat), core.utility[free].ravel().take(flat)
    least = np.minimum.reduceat(cost, off[:-1]).tolist()
    columns = zip(free.tolist(), split(places, off), split(cost, off), split(utility, off), core.top[free].tolist(),
                  least, strict=True)
    for side, (layer, *rest) in zip(second.tolist(), columns, strict=True):
        sides[side].append(Items(layer, *rest))
    return sides


def _first(core: Core, choice: Ints, a: Partials, b: Partials, limit: int) -> Ints | None:
    """Of the best pairs of labels: highest utility, then lowest cost, then the lexicographically smallest choice."""
    in_a, in_b = pairs(a, b, limit, core.rounding)
    if not len(in_a):
        return None
    choices = np.repeat(choice[None], len(in_a), axis=0)
    a.write(in_a, choices)
    b.write(in_b, choices)
    if len(choices) > 1:
        utility, cost = core.totals(choices)
        choices, cost = choices[utility == utility.max()], cost[utility == utility.max()]
        choices = choices[cost == cost.min()]
        for layer in range(choices.shape[1]):
            if len(choices) == 1:
                break
            choices = choices[choices[:, layer] == choices[:, layer].min()]
    first: Ints = choices[0]
    return first


def _padded(problem: Problem) -> tuple[Floats, Ints]:
    """Utilities and ticks as (L, K)."""
    sizes = np.array([len(u) for u in problem.utilities])
    shape = len(sizes), int(sizes.max())
    utility, cost = np.concatenate(problem.utilities), np.concatenate(problem.ticks)[:, 0]
    if len(utility) == shape[0] * shape[1]:
        return utility.reshape(shape), cost.reshape(shape)
    there = np.arange(shape[1]) < sizes[:, None]
    wide, ticks = np.full(shape, -np.inf), np.zeros(shape, dtype=np.int64)
    wide[there], ticks[there] = utility, cost
    return wide, ticks


def _step(cost: Ints) -> int:
    """What every cost is a multiple of."""
    if int(np.gcd.reduce(cost[0])) == 1:
        return 1
    return int(np.gcd.reduce(cost, axis=None)) or 1


def _relaxed(utility: Floats, cost: Ints, limit: int) -> Core | Ints:
    """The relaxation at its best price; the best choice itself where the limit leaves it.

    A choice beyond the limit and one within it are two lines of d(y); the price where they meet either is the best or
    gives a better line.
    """
    layers = np.arange(len(utility))
    highest = utility.max(axis=1, keepdims=True)
    beyond: Ints = np.where(utility == highest, cost, np.iinfo(np.int64).max).argmin(axis=1)
    within: Ints = np.where(cost == 0, utility, -np.inf).argmax(axis=1)
    u, c = _sums(utility, cost, layers, np.array([beyond, within]))
    if c[0] <= limit:
        return beyond
    lines = [(float(u[0]), int(c[0])), (float(u[1]), int(c[1]))]
    for _ in range(_PRICES):
        price = (lines[0][0] - lines[1][0]) / (lines[0][1] - lines[1][1])
        values = utility - price * cost
        best = values.argmax(axis=1)
        u, c = _sums(utility, cost, layers, best[None])
        meeting = lines[1][0] - price * lines[1][1]
        if float(u[0]) - price * int(c[0]) <= meeting + 1e-13 * (abs(meeting) + abs(lines[1][0])):
            break
        if c[0] <= limit:
            within, lines[1] = best, (float(u[0]), int(c[0]))
        else:
            beyond, lines[0] = best, (float(u[0]), int(c[0]))
    top = values[layers, best]
    size = float(np.abs(highest).sum() + np.abs(top).sum()) + abs(price) * limit
    rounding = (len(layers) + 8) * _EPSILON * size
    bound = float(top.sum()) + price * limit
    return Core(utility, cost, limit, price, bound, rounding, top[:, None] - values, top, best, within, beyond)


def _sums(utility: Floats, cost: Ints, layers: Ints, choices: Ints) -> tuple[Floats, Ints]:
    return utility[layers, choices].sum(axis=1), cost[layers, choices].sum(axis=1)


def _filled(core: Core) -> Ints:
    """The choice within the limit, with layers taken from the one beyond it while there is room, largest first."""
    choice, layers = core.within.copy(), np.arange(len(core.top))
    more = core.cost[layers, core.beyond] - core.cost[layers, choice]
    room = core.limit - int(core.cost[layers, choice].sum())
    changed = np.flatnonzero(core.beyond != choice)
    for layer in changed[np.argsort(-more[changed], kind="stable")].tolist():
        if more[layer] <= room:
            choice[layer], room = core.beyond[layer], room - int(more[layer])
    return choice
