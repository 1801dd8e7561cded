"""Every path of DPNG that takes `max_seconds`, on instances that take seconds to hours to be solved to the end.

Used by tests/generate/test_time_limits.py and benchmarks/dpng_hard.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hwnas.generate import (
    Factor,
    Layer,
    Parallel,
    Series,
    explain,
    front,
    front_blocks,
    front_cell,
    front_graph,
    ranked_front,
    solve,
    solve_blocks,
    solve_cell,
    solve_for_devices,
    solve_graph,
    solve_precisions,
    solve_uncertain,
)

Rows = list[np.ndarray]


def proportional(layers: int, width: int, most: int = 10**9, seed: int = 0) -> tuple[Rows, Rows]:
    """Utilities nearly proportional to costs: no bound tells choices apart."""
    rng = np.random.default_rng([layers, width, seed])
    costs = [rng.integers(1, most, width) for _ in range(layers)]
    return [row / most * (1 + 1e-7 * rng.normal(size=width)) for row in costs], costs


def one_cost(layers: int = 60, width: int = 20) -> dict[str, Any]:
    utilities, costs = proportional(layers, width)
    return {"utilities": utilities, "costs": costs, "budgets": sum(int(row.max()) for row in costs) // 2}


def several(layers: int, width: int, count: int) -> dict[str, Any]:
    utilities, costs = proportional(layers, width)
    rows = {"a": costs, **{f"c{i}": proportional(layers, width, seed=i)[1] for i in range(1, count)}}
    return {"utilities": utilities, "costs": rows,
            "budgets": {name: sum(int(row.max()) for row in given) // 2 for name, given in rows.items()}}


def graph(variables: int = 24, options: int = 10) -> dict[str, Any]:
    rng = np.random.default_rng(4)
    names = [f"v{i}" for i in range(variables)]
    factors = []
    for i in range(variables - 2):
        cost = rng.integers(1, 10**9, (options,) * 3)
        worth = cost / 1e9 * (1 + 1e-6 * rng.normal(size=cost.shape))
        factors.append(Factor(tuple(names[i : i + 3]), worth, {"ms": cost}))
    return {"options": dict.fromkeys(names, options), "factors": factors}


def blocks() -> Series:
    def branch(seed: int) -> Series:
        return Series([Layer(u, {"ms": c}) for u, c in zip(*proportional(5, 9, seed=seed), strict=True)])

    return Series([Parallel([branch(3 * i), branch(3 * i + 1), branch(3 * i + 2)]) for i in range(6)])


def cell(operations: int = 8) -> tuple[list[list[np.ndarray]], list[list[np.ndarray]]]:
    rng = np.random.default_rng(5)
    costs = [[rng.integers(1, 10**9, operations) for _ in range(node + 2)] for node in range(5)]
    return [[row / 1e9 * (1 + 1e-6 * rng.normal(size=operations)) for row in node] for node in costs], costs


def uncertain() -> dict[str, Any]:
    utilities, costs = proportional(40, 12)
    rng = np.random.default_rng(6)
    mean = [row / 1e9 for row in costs]
    return {"utilities": utilities, "mean": mean, "variance": [rng.uniform(0, 1e-3, len(row)) for row in mean],
            "budget": 0.5 * sum(float(row.max()) for row in mean), "z": 1.6}


def precisions(layers: int = 60, ops: int = 8, count: int = 3) -> dict[str, Any]:
    """Ops in several precisions, utilities nearly proportional to costs; arguments of `solve_precisions`."""
    rng = np.random.default_rng([layers, ops, 7])
    costs = [rng.integers(1, 10**9, (ops, count)) for _ in range(layers)]
    changes = {(i, i + 1): rng.integers(1, 10**8, (count, count)) * (1 - np.eye(count, dtype=int))
               for i in range(layers - 1)}
    worth = [row[:, 0] / 1e9 * (1 + 1e-7 * rng.normal(size=ops)) for row in costs]
    return {"utilities": worth, "costs": {"ns": costs}, "changes": {"ns": changes},
            "penalties": [np.abs(row[:, :1] - row) / 1e9 for row in costs],
            "budgets": {"ns": sum(int(row.max()) for row in costs) // 2}}


PATHS: dict[str, Callable[[float], Any]] = {
    "one budget": lambda s: solve(**one_cost(), max_seconds=s),
    "one budget, 20 best": lambda s: solve(**one_cost(30, 12), top=20, max_seconds=s),
    "one budget, 5 apart": lambda s: solve(**one_cost(30, 12), top=5, min_distance=4, max_seconds=s),
    "two budgets": lambda s: solve(**several(40, 12, 2), max_seconds=s),
    "three budgets, large": lambda s: solve(**several(120, 60, 3), max_seconds=s),
    "a range": lambda s: solve(*proportional(40, 12), budgets=(9 * 10**9, 10**10), max_seconds=s),
    "front": lambda s: front(*proportional(60, 20), max_seconds=s),
    "ranked front": lambda s: ranked_front(*proportional(30, 12), 8, max_seconds=s),
    "graph": lambda s: solve_graph(**graph(), budgets={"ms": 10**10}, max_seconds=s),
    "graph, 3 apart": lambda s: solve_graph(**graph(), budgets={"ms": 10**10}, top=3, min_distance=2, max_seconds=s),
    "front of a graph": lambda s: front_graph(**graph(12, 6), cost="ms", max_seconds=s),
    "precisions": lambda s: solve_precisions(**precisions(), max_seconds=s),
    "precisions, 32 apart": lambda s: solve_precisions(**precisions(), top=32, min_distance=2, max_seconds=s),
    "blocks": lambda s: solve_blocks(blocks(), {"ms": 4 * 10**10}, max_seconds=s),
    "front of blocks": lambda s: front_blocks(blocks(), "ms", max_seconds=s),
    "cell": lambda s: solve_cell(cell()[0], {"ms": cell()[1]}, {"ms": 5 * 10**9}, max_seconds=s),
    "front of cells": lambda s: front_cell(*cell(), max_seconds=s),
    "devices": lambda s: solve_for_devices(**several(30, 12, 2), spread=["a", "c1"], max_seconds=s),
    "uncertain": lambda s: solve_uncertain(**uncertain(), max_seconds=s),
    "explain": lambda s: explain(**several(30, 12, 2), max_seconds=s),
}
