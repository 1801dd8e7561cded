"""Budgets as bounds of what the solver adds up, and the best share of a budget of measured memory.

The memory of a process is a sum over weights beside a maximum over activations, which is no cost of the solver. But of
maxima there are few: for each that a network can have, the rest of the budget bounds the weights, and the best of these
problems is the best of all. Above `LEVELS` of them some in between are left out: the answer is the best of those that
were tried.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from hwnas.errors import BudgetInfeasible
from hwnas.pipeline.config.budget import COUNTED, THROUGHPUT
from hwnas.pipeline.run.reference import Limit
from hwnas.pipeline.run.spends import BASES, Bounds
from hwnas.runtime.spending import P99, PEAK_MEMORY

if TYPE_CHECKING:
    from hwnas.pipeline.selection.architecture_solver import ArchitectureSolver

LEVELS = 16


def bounds_within(solver: ArchitectureSolver, limits: Mapping[str, Limit], tighten: float = 1.0) -> Bounds:
    """Bounds of what is added up.

    Args:
        limits: what budgets come to.
        tighten: factor on what is left of latency.

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
            bounds.take("latency", value * solver.spends.batch, told)
        else:
            line, most = solver.spends.line(name), value * solver.spends.tightened.get(name, 1.0)
            if name == P99:
                bounds.take("latency", most, told)  # whatever the line says: no median is above a 99th percentile
            if name == PEAK_MEMORY:
                memory = most
            else:
                bounds.take(BASES[name], line.most(most), told)
    if "latency" in bounds:
        bounds["latency"] *= tighten
    return bounds if memory == math.inf else _shared(solver, bounds, memory, limits[PEAK_MEMORY].budget.text)


def _shared(solver: ArchitectureSolver, bounds: Bounds, most: float, text: str) -> Bounds:
    """With the share of activations and weights that leaves the best network."""
    line, told, refusal = solver.spends.line(PEAK_MEMORY), f"--peak-memory {text}", None
    best: tuple[float, Bounds] | None = None
    for level in _levels(solver, most):
        tried = Bounds(bounds, bounds.because)
        tried.take("memory", level, told)
        tried.take("params", line.most(most - level), told)
        try:
            score = solver.answers(tried)[0].predicted_score
        except BudgetInfeasible as err:
            refusal = err
            continue
        if best is None or score > best[0]:
            best = score, tried
    if best is not None:
        return best[1]
    raise refusal or BudgetInfeasible(
        f"{told}: even the smallest activations of this space take more: raise it or take another space", {}, {})


def _levels(solver: ArchitectureSolver, most: float) -> list[float]:
    """Activations in bytes that networks can have at most, within `most`; the largest last."""
    fixed, rows = solver.costs(("memory",))
    known = np.unique(np.concatenate([np.maximum(row, fixed["memory"]) for row in rows["memory"]]))
    found = known[known <= most]
    if len(found) > LEVELS:
        found = found[np.linspace(0, len(found) - 1, LEVELS).round().astype(int)]
    return [float(level) for level in found]
