"""The k best choices of a chain under several costs.

Choices found at the prices of the relaxation give a utility to beat. An operation or a label whose upper bound is below
that is left out, so that what remains is a small core of the problem (the core idea for knapsacks: D. Pisinger,
European J. of Operational Research 83(2), 1995); runs with ever more labels do the rest (`label_widening`). Where the
prices gave no choice within the limits, spending least of one cost within the other limits comes first: it finds one,
or proves that there is none.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hwnas.generate.bounds import Bounds
from hwnas.generate.label_dp import reduced, run
from hwnas.generate.label_widening import Frame, Ranked, widen
from hwnas.generate.primal_heuristics import best_at, climb
from hwnas.generate.problem import Ints, Problem
from hwnas.generate.time_limit import TimeLimit


def search(problem: Problem, k: int, max_labels: int, clock: TimeLimit | None = None) -> tuple[Ranked, float]:
    """The `k` best choices, and how far the best utility can be from the true one; see `label_widening.widen`."""
    clock = clock or TimeLimit()
    return _search(reduced(problem, k, clock), k, max_labels, clock, np.inf)


def _search(problem: Problem, k: int, max_labels: int, clock: TimeLimit, enough: float) -> tuple[Ranked, float]:
    """The same; a choice of utility `enough` ends it, and lower ones are of no interest unless it is infinite."""
    bounds, tolerance = Bounds(problem, clock), problem.tolerance
    least = sum(float(u.min()) for u in problem.utilities)
    lowest = (least if enough == np.inf else max(least, enough)) - tolerance
    known = _climbed(problem, best_at(problem, bounds.multipliers), clock)
    if not known and len(problem.limits) > 1 and bounds.root >= lowest:
        start, unknown = _any(problem, bounds, max_labels, clock)
        if start is None and not unknown:
            return [], 0.0
        known = {} if start is None else _climbed(problem, start, clock)

    def attempt(width: int, floor: float) -> tuple[Ranked, float]:
        core = bounds.core(problem, floor)
        if core is None:
            return [], -np.inf
        outcome = run(core[0], k, width, core[1], floor, clock)
        return outcome.best(k), outcome.dropped

    return widen(attempt, Frame(bounds.root, lowest, tolerance, known, enough), k, max_labels, clock)


def _climbed(problem: Problem, places: Ints, clock: TimeLimit) -> dict[tuple[int, ...], float]:
    return {
        tuple(int(ids[i]) for ids, i in zip(problem.ids, choice, strict=True)): utility
        for choice, utility in climb(problem, places, clock).items()
    }


def _any(problem: Problem, bounds: Bounds, max_labels: int, clock: TimeLimit) -> tuple[Ints | None, bool]:
    """Some choice within the limits, as places, (1, L); or None, and whether there may be one all the same.

    One cost becomes the utility to be raised, and its limit the utility that is enough: one cost less.
    """
    cost = int(bounds.multipliers[0].argmax())
    easier = replace(
        problem,
        ids=tuple(np.arange(len(ids)) for ids in problem.ids),
        utilities=tuple(-c[:, cost].astype(np.float64) for c in problem.ticks),
        ticks=tuple(np.delete(c, cost, axis=1) for c in problem.ticks),
        limits=np.delete(problem.limits, cost),
        ranked=max(problem.ranked - (cost < problem.ranked), 0),
    )
    found, gap = _search(easier, 1, max_labels, clock, -float(problem.limits[cost]))
    return (np.array([found[0][1]]), False) if found else (None, gap > 0.0)
