"""Budgets as bounds of what the solver adds up, and the best share of a budget of measured memory.

The memory of a process is a sum over weights beside a maximum over activations, which is no cost of the solver. But of
maxima there are few: for each that a network can have, the rest of the budget bounds the weights, and the best of these
problems is the best of all. Above `LEVELS` of them some in between are left out: the answer is the best of those that
were tried.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from hwnas.errors import BudgetInfeasible
from hwnas.pipeline.config.budget import COUNTED, THROUGHPUT
from hwnas.pipeline.run.reference import Limit
from hwnas.pipeline.run.spends import BASES, Bounds, Spends
from hwnas.runtime.spending import P99, PEAK_MEMORY

LEVELS = 16


def bounds_within(limits: Mapping[str, Limit], spends: Spends, tighten: float,
                  activations: Callable[[], tuple[float, Sequence[np.ndarray]]],
                  best: Callable[[Bounds], float]) -> Bounds:
    """Bounds of what is added up.

    Args:
        limits: what budgets come to.
        spends: what budgets leave that are on something else.
        tighten: factor on what is left of latency.
        activations: gives bytes of the fixed ops, and of every op a row a choice.
        best: gives the score of the best network within bounds, or raises BudgetInfeasible.

    Raises:
        UsageError: a budget needs what was not measured.
        BudgetInfeasible: no share of a budget of measured memory leaves a network.
    """
    bounds, memory = Bounds(), math.inf
    for name, limit in limits.items():
        told, value = f"--{name.replace('_', '-')} {limit.budget.text}", limit.value
        if name in COUNTED:
            bounds.take(name, value)
        elif name == THROUGHPUT:
            bounds.take("latency", value * spends.batch, told)
        else:
            line, most = spends.line(name), value * spends.tightened.get(name, 1.0)
            if name == P99:
                bounds.take("latency", most, told)  # whatever the line says: no median is above a 99th percentile
            if name == PEAK_MEMORY:
                memory = most
            else:
                bounds.take(BASES[name], line.most(most), told)
    if "latency" in bounds:
        bounds["latency"] *= tighten
    if memory == math.inf:
        return bounds
    told, line = f"--peak-memory {limits[PEAK_MEMORY].budget.text}", spends.line(PEAK_MEMORY)
    shares = []
    for level in _levels(*activations(), memory / spends.batch):  # activations are counted for one image
        shares.append(Bounds(bounds, bounds.because))
        shares[-1].take("memory", level, told)
        shares[-1].take("params", line.most(memory - spends.batch * level), told)
    return _best_of(shares, best, told)


def _best_of(shares: Sequence[Bounds], best: Callable[[Bounds], float], told: str) -> Bounds:
    """The share of activations and weights that leaves the best network; raises BudgetInfeasible where none does."""
    found, refusal = list[tuple[float, Bounds]](), None
    for tried in shares:
        try:
            found.append((best(tried), tried))
        except BudgetInfeasible as err:
            refusal = err
    if found:
        return max(found, key=lambda one: one[0])[1]
    raise refusal or BudgetInfeasible(
        f"{told}: even the smallest activations of this space take more: raise it or take another space", {}, {})


def _levels(fixed: float, rows: Sequence[np.ndarray], most: float) -> list[float]:
    """Activations in bytes that networks can have at most, within `most`; the largest last."""
    known = np.unique(np.concatenate([np.maximum(row, fixed) for row in rows]))
    found = known[known <= most]
    if len(found) > LEVELS:
        found = found[np.linspace(0, len(found) - 1, LEVELS).round().astype(int)]
    return [float(level) for level in found]
