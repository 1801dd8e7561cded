"""DARTS: a normal and a reduction cell of 14 edges with eight ops each, stacked.

Source: Liu, Simonyan, Yang, DARTS, ICLR 2019, and its released code (quark0/darts): skeleton, edges, ops and their
order. Ours: every edge may be `none`, so a node takes any number of inputs, where theirs keeps two; a map is halved by
averages over 2 x 2 and a 1x1 convolution where theirs joins two strided ones; pools have no batch norm behind them.

Glossary
    node 0, 1     what the cell before the last and the last gave, in this cell's channels
    node 2..5     sums over all edges that lead there; what a cell gives are these four, side by side
    edge j_i      from node i to node j; the edges of all normal cells are one choice, and those of all reductions
"""

from __future__ import annotations

from typing import Any

from hwnas.errors import UsageError
from hwnas.space.config import SpaceConfig
from hwnas.space.nasbench201 import edge_name
from hwnas.space.op import Op
from hwnas.space.position import Position
from hwnas.space.primitives import Size, strided
from hwnas.space.rounding import make_divisible
from hwnas.space.space import Space

CHANNELS, CELLS, NODES, STEM = 16, 8, 4, 3


def darts(config: SpaceConfig) -> Space:
    """28 choices of 8 ops: `depth` (8) cells, those at a third and two thirds halve the map and double 16 channels.

    Raises:
        UsageError: a head of another task.
    """
    if config.head:
        raise UsageError(f"darts is a space of classifiers: take another one for {config.head}")
    cells = config.depth or CELLS
    plain, size = CHANNELS, config.size
    wide = make_divisible(STEM * CHANNELS * config.width_mult)
    stem = Op("conv", config.in_channels, wide, size=size, kernel=3)
    positions = [Position("stem", (stem,), writes="stem")]
    before: tuple[str, int, Size] = ("stem", wide, size)
    last = before
    for number in range(cells):
        halves = number in (cells // 3, 2 * cells // 3)
        plain *= 1 + halves
        channels = make_divisible(plain * config.width_mult)
        added = _cell(f"cell{number}", before, last, channels, halves)
        positions += added
        before, last = last, (f"cell{number}", NODES * channels, strided(last[2], (1 + halves,) * 2))
    head = Op("head", last[1], config.classes, size=last[2])
    return Space(config, (*positions, Position("head", (head,), reads=last[0])))


def _cell(name: str, before: tuple[str, int, Size], last: tuple[str, int, Size], channels: int,
          halves: bool) -> list[Position]:
    """The positions of a cell that reads two nodes, each of so many channels and such a size."""
    size = last[2]
    nodes = [f"{name}.node{i}" for i in range(NODES + 2)]
    found = []
    for i, (node, wide, own) in enumerate((before, last)):
        if own == size:
            fit = Op("preconv", wide, channels, size=own, act="relu")
        else:
            fit = Op("shortcut", wide, channels, size=own, stride=2)
        found.append(Position(f"{name}.fit{i}", (fit,), node, nodes[i]))
    small = strided(size, (1 + halves,) * 2)
    for j in range(2, NODES + 2):
        for i in range(j):
            own = size if i < 2 else small
            stride = 2 if halves and i < 2 else 1
            edge = edge_name(j, i)
            found.append(Position(f"{name}.{edge}", _ops(channels, own, stride), nodes[i], nodes[j],
                                  f"{'reduce' if halves else 'normal'}.{edge}"))
    part = Op("identity", channels, channels, size=small)
    return found + [Position(f"{name}.part{j}", (part,), nodes[j], name, merge="concat") for j in range(2, NODES + 2)]


def _ops(channels: int, size: Size, stride: int) -> tuple[Op, ...]:
    def op(kind: str, **more: Any) -> Op:
        return Op(kind, channels, channels, size=size, stride=stride, **more)

    passes = op("identity") if stride == 1 else op("shortcut")
    return (op("none"), op("max_pool", kernel=3), op("avgpool", kernel=3), passes,
            *(op("sepconv", kernel=k, act="relu") for k in (3, 5)),
            *(op("dilconv", kernel=k, dilation=2, act="relu") for k in (3, 5)))
