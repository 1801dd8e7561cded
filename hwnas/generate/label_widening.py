"""Attempts with ever more labels, each cut by what the ones before have found, until the best is proven.

Used by every engine here: an attempt keeps so many labels and leaves out what cannot reach a floor. The floor is the
utility of a choice found before, or a guess closer to the upper bound, which leaves far fewer labels: if the best is
above the guess the attempt finds and proves it, else the bound has come down to the guess. An attempt is exact if it
had to drop nothing else, or only what its answers beat.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from hwnas.generate.time_limit import TimeIsUp, TimeLimit

Ranked: TypeAlias = list[tuple[float, tuple[int, ...]]]
Attempt: TypeAlias = Callable[[int, float], tuple[Ranked, float]]

_FIRST, _WIDER = 128, 6
_HARD = 4000  # labels that did not suffice, from which on guesses pay
_GUESS, _MORE = 0.4, 1.5


@dataclass(frozen=True)
class Frame:
    """What is known before the first attempt.

    Attributes:
        bound: upper bound on any utility.
        lowest: no utility of interest is below it.
        tolerance: slack of comparisons with bounds.
        known: choices within the limits, with their utilities.
        enough: a choice of this utility ends the search.
    """

    bound: float
    lowest: float
    tolerance: float
    known: dict[tuple[int, ...], float]
    enough: float = np.inf


def widen(attempt: Attempt, frame: Frame, k: int, max_labels: int, clock: TimeLimit) -> tuple[Ranked, float]:
    """The `k` best choices, and how far the best utility can be from the true one (0: all exact).

    The gap is infinite when too little room or time left no choice at all, and so nothing is known.

    Args:
        attempt: (labels to keep, floor) -> the k best choices found, the highest bound among what was dropped.
    """
    known, bound, width, guess = dict(frame.known), frame.bound, min(max(_FIRST, 4 * k), max_labels), np.inf
    while True:
        ranked = _best(known, k)
        proven = max(ranked[-1][0] - frame.tolerance if len(ranked) == k else -np.inf, frame.lowest)
        floor = max(proven, frame.bound - guess)
        if ranked and ranked[0][0] >= frame.enough:
            return ranked, max(bound - ranked[0][0], 0.0)
        try:
            found, dropped = attempt(width, floor)
        except TimeIsUp:
            return _unproven(known, k, bound, frame.tolerance)
        if dropped == -np.inf and (len(found) == k or floor == proven):
            return found, 0.0
        if len(found) == k and dropped < found[-1][0] - frame.tolerance:
            return found, 0.0
        known.update((choice, utility) for utility, choice in found)
        bound = min(bound, max(dropped, floor, found[0][0] if found else -np.inf))
        if clock.over or (width == max_labels and dropped > -np.inf):
            if not known and floor > proven and not clock.over:
                guess = np.inf
                continue
            return _unproven(known, k, bound, frame.tolerance)
        if dropped == -np.inf:
            guess *= _MORE
        else:
            if width >= _HARD and guess == np.inf:
                guess = (frame.bound - max(known.values(), default=frame.lowest)) * _GUESS
            else:
                width = min(width * _WIDER, max_labels)


def _unproven(known: dict[tuple[int, ...], float], k: int, bound: float, tolerance: float) -> tuple[Ranked, float]:
    best = _best(known, k)
    return best, (max(bound - best[0][0], 0.0) + tolerance if best else np.inf)


def _best(known: dict[tuple[int, ...], float], k: int) -> Ranked:
    return sorted(((utility, choice) for choice, utility in known.items()), key=lambda pair: -pair[0])[:k]
