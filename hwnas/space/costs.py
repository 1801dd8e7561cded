"""What the cost of a network is made of, choice by choice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from hwnas.space.op import Op
from hwnas.space.position import Edge, Position

Cost = Literal["flops", "params", "memory"]


def counts(cost: Cost, positions: Sequence[Position], edges: Sequence[Edge], choice_of: Sequence[int | None],
           sizes: Sequence[int]) -> tuple[int, tuple[tuple[int, ...], ...]]:
    """The amount of the fixed ops, and of every candidate of a choice: a sum over its positions, of memory a maximum.

    Args:
        choice_of: number of the choice that decides each position; None for a fixed one.
        sizes: candidates of every choice.
    """
    total = max if cost == "memory" else sum
    fixed, rows = [0], [[[0] for _ in range(size)] for size in sizes]
    for position, edge, choice in zip(positions, edges, choice_of, strict=True):
        amounts = [_amount(cost, op, edge) for op in position.ops]
        if choice is None:
            fixed += amounts
        else:
            for row, amount in zip(rows[choice], amounts, strict=True):
                row.append(amount)
    return total(fixed), tuple(tuple(total(op) for op in row) for row in rows)


def _amount(cost: Cost, op: Op, edge: Edge) -> int:
    return {"flops": op.flops, "params": op.params, "memory": edge.peak_elements(op)}[cost]
