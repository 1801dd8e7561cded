"""DPNG: the best choice of one operation per layer under budgets, exactly, in numpy alone.

The problem is the multiple-choice knapsack: per layer `l` a utility `u_l[k]` and costs `c_l[k]`
for each operation `k`; maximise the sum of utilities while every cost stays within its budget.
`solve` answers one set of budgets (any number of costs, the k best, spread apart if asked);
`front` answers every budget on one cost in a single pass, `ranked_front` the k best of each.
`solve_uncertain` holds a budget with a probability; `explain` says what binds and what more would buy.
Beyond independent layers: `solve_graph` for choices that depend on each other, `solve_precisions` for ops and
precisions together, `solve_blocks` for branches in parallel, `solve_cell` for DARTS cells, `solve_for_devices` for one
network on several devices.

Everything takes `max_seconds`: the answer is then the best found, BOUNDED with its gap.
Costs become integer ticks, rounded up, and budgets are rounded down, so an answer is always
within its budgets; utilities are never rounded.

What is beyond independent layers is imported on use: `hwnas generate` answers in a moment and needs none of it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hwnas.generate.explain import Explanation, Words, explain
from hwnas.generate.knapsack import solve
from hwnas.generate.pareto import Front, Point, front
from hwnas.generate.solution import Candidate, Solution
from hwnas.generate.utilities import utilities_of

if TYPE_CHECKING:
    from hwnas.generate.block_tree import Layer, Parallel, Series
    from hwnas.generate.blocks import front_blocks, solve_blocks
    from hwnas.generate.cells import count_topologies, front_cell, solve_cell
    from hwnas.generate.chance_constraints import Confident, solve_uncertain
    from hwnas.generate.devices import ForDevices, solve_for_devices
    from hwnas.generate.graph import Factor, front_graph, solve_graph
    from hwnas.generate.precisions import front_precisions, solve_precisions
    from hwnas.generate.ranked import RankedFront, ranked_front

__all__ = [
    "Candidate", "Confident", "Explanation", "Factor", "ForDevices", "Front", "Layer", "Parallel", "Point",
    "RankedFront", "Series", "Solution", "Words", "count_topologies", "explain", "front", "front_blocks", "front_cell",
    "front_graph", "front_precisions", "ranked_front", "solve", "solve_blocks", "solve_cell", "solve_for_devices",
    "solve_graph", "solve_precisions", "solve_uncertain", "utilities_of",
]

_MODULES = {
    "block_tree": ("Layer", "Parallel", "Series"), "blocks": ("front_blocks", "solve_blocks"),
    "cells": ("count_topologies", "front_cell", "solve_cell"), "devices": ("ForDevices", "solve_for_devices"),
    "graph": ("Factor", "front_graph", "solve_graph"), "ranked": ("RankedFront", "ranked_front"),
    "chance_constraints": ("Confident", "solve_uncertain"), "precisions": ("front_precisions", "solve_precisions"),
}
_LATER = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(importlib.import_module(f"hwnas.generate.{_LATER[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
