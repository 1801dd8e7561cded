"""Good choices before the search: the best at many prices, brought within the limits, then improved.

A choice that is the best at some prices is a knapsack's usual first answer. Where none is within the limits, changes
of one operation, or of two at once, lessen what is too much until nothing is; raising one operation after another
while there is room then brings it close to the optimum. Limits that leave little room (a range, a distance) let few
single changes through, so there two at once are tried as well.

Glossary
    R        number of starts, one per multiplier vector
    pick     operation per start and layer, (R, L)
    total    ticks of each start, (R, M)
    move     one change: layer * K + operation, L * K of them
"""

from __future__ import annotations

import numpy as np

from hwnas.generate.problem import Floats, Ints, Problem
from hwnas.generate.time_limit import TimeLimit

_TRIED = 3  # starts that are worth changes of two at once
_STEPS = 40
_AT_ONCE = 1 << 20  # ticks of moves that are worked out at once
_LARGE = 400  # moves above which changes of two at once are too many


def best_at(problem: Problem, multipliers: Floats) -> Ints:
    """The best operation of every layer at each multiplier vector, (R, L)."""
    layers = zip(problem.utilities, problem.ticks, strict=True)
    return np.array([(u[:, None] - c @ multipliers.T).argmax(axis=0) for u, c in layers]).T


def climb(problem: Problem, starts: Ints, clock: TimeLimit) -> dict[tuple[int, ...], float]:
    """Choices within the limits that come of the `starts` (places of operations, (R, L)); may be none.

    Returns:
        The choices, as places, with their utilities.
    """
    moves = _Moves(problem, clock)
    total = moves.totals(starts)
    fits = (total <= problem.limits).all(axis=1)
    pick = starts[fits]
    narrow = len(problem.limits) > problem.ranked
    if not len(pick) and len(problem.limits) > 1:
        least = np.argsort(moves.excess(total), kind="stable")[:_TRIED]
        repaired = [choice for i in least if (choice := moves.repaired(starts[i])) is not None]
        pick = np.array(repaired, dtype=np.int64).reshape(-1, starts.shape[1])
    pick = moves.raised(pick)
    found = {tuple(choice): _utility(problem, choice) for choice in pick.tolist()}
    if narrow:
        for promising in sorted(found, key=found.__getitem__)[-_TRIED:]:
            better = tuple(moves.raised_by_two(np.array(promising)).tolist())
            found[better] = _utility(problem, list(better))
    return found


class _Moves:
    """A problem as arrays of equal layers: values (L, K), -inf where there is no operation; ticks (L, K, M)."""

    def __init__(self, problem: Problem, clock: TimeLimit) -> None:
        depth, width = len(problem.utilities), max(map(len, problem.utilities))
        self.limits, self.rows, self.width, self.clock = problem.limits, np.arange(depth), width, clock
        self.values = np.full((depth, width), -np.inf)
        self.ticks = np.zeros((depth, width, len(problem.limits)), dtype=np.int64)
        for layer, (u, c) in enumerate(zip(problem.utilities, problem.ticks, strict=True)):
            self.values[layer, : len(u)], self.ticks[layer, : len(u)] = u, c
        self.scale = 1 / np.maximum(self.ticks.max(axis=(0, 1)), 1)

    def totals(self, pick: Ints) -> Ints:
        """Ticks of choices, (R, M)."""
        found: Ints = self.ticks[self.rows, pick].sum(axis=1)
        return found

    def excess(self, total: Ints) -> Floats:
        """How far totals are over the limits, (...,)."""
        found: Floats = (np.maximum(total - self.limits, 0) * self.scale).sum(axis=-1)
        return found

    def raised(self, pick: Ints) -> Ints:
        """Choices after the best single changes within the limits, while there are any."""
        pick, some = pick.copy(), max(_AT_ONCE // max(self.ticks.size, 1), 1)
        for first in range(0, len(pick), some):
            pick[first : first + some] = self._raised(pick[first : first + some])
        return pick

    def _raised(self, pick: Ints) -> Ints:
        total, active = self.totals(pick), np.arange(len(pick))
        while len(active) and not self.clock.over:
            gain, after = self._moves(pick[active], total[active])
            gain = np.where((after <= self.limits).all(axis=2), gain, -np.inf)
            best = gain.argmax(axis=1)
            rising = gain[np.arange(len(active)), best] > 0
            active, best = active[rising], best[rising]
            pick[active, best // self.width] = best % self.width
            total[active] = self.totals(pick[active])
        return pick

    def raised_by_two(self, pick: Ints) -> Ints:
        """One choice after the best changes of two operations within the limits, while there are any."""
        for _ in range(_STEPS if self.values.size <= _LARGE else 0):
            gain, excess = self._pairs(pick)
            gain = np.where(excess == 0, gain, -np.inf)
            best = int(gain.argmax())
            if not gain.flat[best] > 1e-12 or self.clock.over:
                break
            pick = self._changed(pick, best)
        return pick

    def repaired(self, pick: Ints) -> Ints | None:
        """One choice brought within the limits by changes that lessen the excess; None where that ends above 0."""
        for _ in range(_STEPS):
            total = self.totals(pick[None])
            now = float(self.excess(total)[0])
            if now == 0:
                return pick
            if self.clock.over:
                break
            gain, after = self._moves(pick[None], total)
            excess = np.where(np.isfinite(gain), self.excess(after), np.inf)[0]
            if excess.min() < now:
                pick = self._changed(pick, int(excess.argmin()) * (excess.size + 1))
                continue
            if self.values.size > _LARGE:
                break
            gain, excess = self._pairs(pick)
            excess = np.where(np.isfinite(gain), excess, np.inf)
            if not excess.min() < now:
                break
            pick = self._changed(pick, int(excess.argmin()))
        return None

    def _moves(self, pick: Ints, total: Ints) -> tuple[Floats, Ints]:
        """What every single change adds to the utility, (R, L * K), and the ticks after it, (R, L * K, M)."""
        gain = self.values - self.values[self.rows, pick][:, :, None]
        after = (total[:, None] - self.ticks[self.rows, pick])[:, :, None] + self.ticks
        return gain.reshape(len(pick), -1), after.reshape(len(pick), gain[0].size, -1)

    def _pairs(self, pick: Ints) -> tuple[Floats, Floats]:
        """What every two changes of different layers add, and the excess after them, (L * K, L * K)."""
        total = self.totals(pick[None])
        gain, after = self._moves(pick[None], total)
        step = after[0] - total[0]
        layer = np.arange(len(step)) // self.width
        both = gain[0][:, None] + gain[0]
        both[layer[:, None] == layer] = -np.inf
        over = np.zeros(both.shape)
        for m, room in enumerate((self.limits - total[0]).tolist()):
            over += np.maximum(step[:, m, None] + step[:, m] - room, 0) * self.scale[m]
        return both, over

    def _changed(self, pick: Ints, pair: int) -> Ints:
        """A choice after the two moves behind a place in (L * K, L * K)."""
        changed = pick.copy()
        for move in divmod(pair, self.values.size):
            changed[move // self.width] = move % self.width
        return changed


def _utility(problem: Problem, choice: list[int]) -> float:
    total = 0.0
    for u, k in zip(problem.utilities, choice, strict=True):
        total += float(u[k])
    return total
