"""Side conditions: at least so much of a cost, at least so far from a choice, as one more cost with a limit.

A cost of at least `low` is a limit on what stays below the dearest choice; a distance of at least d from a choice is
a limit of L - d on the layers that agree with it. Neither breaks ties between choices (`Problem.ranked`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from hwnas.generate.integer_costs import UNLIMITED, Cost, Exact
from hwnas.generate.problem import Problem


def with_floor(problem: Problem, cost: Cost, low: Exact) -> Problem:
    """`problem` with a total of `cost` of at least `low`; a negative limit where no choice reaches it."""
    alive = [ids.tolist() for ids in problem.ids]
    if cost.is_max:
        below = [[int(cost.amount(layer, k) < low) for k in ids] for layer, ids in enumerate(alive)]
        reached = cost.fixed is not None and cost.fixed >= low
        return _with(problem, below, len(below) if reached else len(below) - 1)
    ticks = [np.asarray(cost.ticks_down(layer, ids), dtype=np.int64) for layer, ids in enumerate(alive)]
    most = [int(row.max()) for row in ticks]
    spare = sum(most) - cost.at_least(low)
    span = sum(top - int(row.min()) for top, row in zip(most, ticks, strict=True))
    return _with(problem, [top - row for top, row in zip(most, ticks, strict=True)], max(min(spare, span), -1))


def with_distance(problem: Problem, choice: Sequence[int], distance: int) -> Problem:
    """`problem` for choices that differ from `choice` in at least `distance` layers."""
    same = [ids == k for ids, k in zip(problem.ids, choice, strict=True)]
    return _with(problem, same, max(len(same) - distance, -1))


def _with(problem: Problem, rows: Sequence[ArrayLike], limit: int) -> Problem:
    columns = [np.asarray(row, dtype=np.int64)[:, None] for row in rows]
    return replace(
        problem,
        ticks=tuple(np.hstack([c, column]) for c, column in zip(problem.ticks, columns, strict=True)),
        limits=np.append(problem.limits, min(limit, UNLIMITED)),
    )
