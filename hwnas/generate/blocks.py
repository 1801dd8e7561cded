"""Networks with branches: layers one after the other and side by side.

Side by side, utilities and costs add up, but of a cost that overlaps (the latency of branches that run at the same
time) the largest branch counts. Both are monotone, so a block may be replaced by its Pareto labels, with every cost a
coordinate of its own (Rollon and Larrosa, Journal of Heuristics 12, 2006): a parallel part becomes one layer whose
operations are its labels, and what is left is a chain, solved as such.

Complexity: that of the chain; a parallel part has at most the product of its branches' labels.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import BudgetInfeasible, UsageError, WorkLimitReached
from hwnas.generate.block_tree import Block, BlockTree, Layer, Parallel, Series
from hwnas.generate.one_budget import best_within
from hwnas.generate.pareto import Front, chain_points
from hwnas.generate.problem import MAX_OPERATIONS, Ints, Problem
from hwnas.generate.search import search
from hwnas.generate.solution import Candidate, Solution
from hwnas.generate.tables import Table
from hwnas.generate.time_limit import TimeLimit

__all__ = ["Block", "Layer", "Parallel", "Series", "front_blocks", "solve_blocks"]
_FIRST_PART = 0.7  # of the time, for labels of the parts


def solve_blocks(
    block: Block,
    budgets: Mapping[str, float],
    *,
    overlapped: Collection[str] = (),
    fixed: Mapping[str, float] | None = None,
    quantum: Mapping[str, float] | None = None,
    max_labels: int = 2_000_000,
    max_seconds: float | None = None,
) -> Solution:
    """Choose one operation per layer of a network with branches: highest sum of utilities within every budget.

    Ties go to the lower first cost of those with a budget, then the next; where an overlapped cost hides a difference
    between branches, not always to the lexicographically smaller choice.

    Args:
        block: a tree of `Series`, `Parallel` and `Layer`.
        budgets: most that the total of each cost may be; a cost without one is reported only.
        overlapped: costs of which parallel parts pay only the largest; their amounts must not be negative.
        fixed, quantum, max_labels, max_seconds: as in `hwnas.generate.solve`.

    Returns:
        A solution whose `choice` is one operation per layer, in the order of the tree.

    Raises:
        BudgetInfeasible: no choice meets the budgets; `least` holds the least of every budgeted cost, each alone.
        UsageError: names or numbers that do not fit together, a parallel part with too many labels, or a limit on
            work was reached before any choice within the budgets was found.
    """
    tree, clock = BlockTree.read(block, overlapped, fixed or {}, quantum or {}), TimeLimit(max_seconds)
    tables, limits, loss = tree.tables(budgets, clock.part(_FIRST_PART))
    if any(not len(table.utility) for table in tables) or (limits < 0).any():
        raise _infeasible(tree, budgets)
    problem = _chain(tables, limits)
    engine = best_within if len(problem.limits) == 1 else partial(search, k=1)
    found, gap = engine(problem, max_labels=max_labels, clock=clock)
    if not found and gap + loss > 0.0:
        raise WorkLimitReached(f"max_labels = {max_labels} or max_seconds ended it before any choice met the budgets")
    if not found:
        raise _infeasible(tree, budgets)
    choice = tuple(_expanded(tables, np.array([found[0][1]]))[0].tolist())
    gap = min(gap + loss, max(tree.highest - found[0][0], gap))
    return Solution.of([Candidate(choice, found[0][0], tree.totals(choice))], gap)


def front_blocks(
    block: Block,
    cost: str,
    *,
    overlapped: bool = False,
    fixed: float = 0,
    quantum: float | None = None,
    max_cost: float | None = None,
    max_labels: int = 2_000_000,
    max_seconds: float | None = None,
) -> Front:
    """The whole Pareto front of a network with branches against one cost; arguments as in `solve_blocks`.

    Args:
        overlapped: whether parallel parts pay only the largest.
        max_cost: leave out what costs more.

    Raises:
        BudgetInfeasible: the cheapest choice costs more than `max_cost`.
        UsageError: as in `solve_blocks`.
    """
    sizes = {} if quantum is None else {cost: quantum}
    tree = BlockTree.read(block, {cost} if overlapped else (), {cost: fixed}, sizes)
    budgets = {cost: math.inf if max_cost is None else max_cost}
    clock = TimeLimit(max_seconds)
    tables, limits, left_out = tree.tables(budgets, clock.part(_FIRST_PART))
    if any(not len(table.utility) for table in tables) or (limits < 0).any():
        raise _infeasible(tree, budgets)
    problem = _chain(tables, limits)
    if (problem.limits < 0).any():
        raise _infeasible(tree, budgets)
    ticks, worth, picks, loss = chain_points(problem, max_labels, clock)
    return Front(tree.in_unit(cost, ticks + problem.base[0]), worth, _expanded(tables, picks), loss + left_out)


def _chain(tables: list[Table], limits: Ints) -> Problem:
    """The chain whose layers are the parts and whose operations are their labels."""
    least = [table.ticks.min(axis=0) for table in tables]
    base = np.sum(least, axis=0)
    for table in tables:
        if len(table.utility) > MAX_OPERATIONS:
            raise UsageError(f"a part has {len(table.utility)} labels, the most is {MAX_OPERATIONS}: give a quantum")
    return Problem(
        ids=tuple(np.arange(len(table.utility)) for table in tables),
        utilities=tuple(table.utility for table in tables),
        ticks=tuple(table.ticks - low for table, low in zip(tables, least, strict=True)),
        limits=limits - base,
        base=tuple(base.tolist()),
        ranked=len(limits),
    )


def _expanded(tables: list[Table], labels: NDArray[np.integer]) -> NDArray[np.int16]:
    """The choice of every layer behind one label per part."""
    choices = sum((table.picks.take(labels[:, i].astype(np.int64)).made() for i, table in enumerate(tables)),
                  start=np.zeros((1, 1), np.int16))
    return np.asarray(choices, dtype=np.int16)


def _infeasible(tree: BlockTree, budgets: Mapping[str, float]) -> BudgetInfeasible:
    least = {name: tree.least(name) for name in budgets}
    said = "; ".join(f"{name}: least achievable {least[name]:.10g}, budget {budgets[name]:.10g}" for name in budgets)
    return BudgetInfeasible(f"no choice meets the budgets ({said}): raise one of them", least, dict(budgets))
