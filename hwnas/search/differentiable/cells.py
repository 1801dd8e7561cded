"""What is derived of a cell: which edges of a node stay, and a law whose most probable network that is.

DARTS keeps the two strongest edges of every node with their best op, `none` left out (Liu, Simonyan, Yang, ICLR 2019).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hwnas.search.distribution import Rows
from hwnas.search.strategy import Choice
from hwnas.space import Space

INPUTS = 2  # edges that a node keeps

Kept = list[dict[int, float]]
"""Per choice the op that stays, with its strength; nothing where the edge goes."""


def nodes_of(space: Space) -> list[list[int]]:
    """The choices of the edges of every node; of tied ones the first cell says which node that is."""
    nodes: dict[str, list[int]] = {}
    for choice in range(len(space.sizes)):
        nodes.setdefault(space.edges[space.choice_of.index(choice)].target, []).append(choice)
    return list(nodes.values())


def nones_of(space: Space) -> list[int | None]:
    """Per choice which candidate is an edge that is not there."""
    return [next((k for k, op in enumerate(choice.ops) if op.cuts), None) for choice in space.choices]


def two_strongest(best: Sequence[Mapping[int, float]], nodes: Sequence[Sequence[int]]) -> Kept:
    """What stays of the best op of every edge."""
    kept = [dict(own) for own in best]
    for edges in nodes:
        for i in sorted(edges, key=lambda i: -max(best[i].values(), default=0.0))[INPUTS:]:
            kept[i] = {}
    return kept


def network_of(kept: Sequence[Mapping[int, float]], nones: Sequence[int | None]) -> Choice:
    """The architecture; where a choice has no `none`, the first candidate stands for an edge that goes."""
    return tuple(next(iter(own), none or 0) for own, none in zip(kept, nones, strict=True))


def law_of(probabilities: Rows, nones: Sequence[int | None], derived: Choice) -> Rows:
    """Probabilities in which `none` has as much as the best op of an edge that goes, and as little as the worst of one
    that stays: the most probable network is the derived one."""
    found = []
    for p, none, op in zip(probabilities, nones, derived, strict=True):
        row = np.array(p)
        if none is not None:
            others = np.delete(row, none)
            row[none] = others.max() if op == none else others.min()
        found.append(row / row.sum())
    return found
