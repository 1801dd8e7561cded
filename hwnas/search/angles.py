"""How far training has turned the weights of a network: the angle between the weights at a base time and now.

    symbol    meaning                                                                      shape
    p, k      a position and one of its candidates
    u, v      weights of a candidate at the base time and now, all its tensors in a row
    b, c      |u|^2, |v|^2                                                                 scalars per p and k
    d, s      |v - u|^2, (v - u)'(v + u); so u'v = (b + c - d) / 2 and s = c - b           scalars per p and k
    cell      what lies between two nodes that every way from image to answer passes
    m         ways through its cell, over the ops of an architecture, that a position lies on  scalar per position
    q         (D - S^2 / (sqrt B + sqrt C)^2) / (4 sqrt B sqrt C); B = sum m b over positions, and so on
    angle     2 arcsin sqrt q = arccos(sum m u'v / sqrt(B C)), radians

Source: Hu et al., Angle-based search space shrinking (ABS), ECCV 2020. Their vectors are the weights on every way
through a cell, one way after the other, so an op on several ways counts once for each: m does that without the vectors,
and exactly. A way over `none` is no way; a skip adds nothing; average pooling that has no weights has the constants
1 / k^2 of every channel at both times. Weights are those of convolutions and linear layers; biases and batch norm are
no part of it, as in the paper for chains (the authors' code for NAS-Bench-201 adds some). The form with q is ours:
arccos gives angles below 1e-8 as 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from hwnas.errors import InputError
from hwnas.search.distribution import FloatArray
from hwnas.search.strategy import Choice
from hwnas.space import Architecture, AvgPool, Op, Space

Weights = Sequence[Sequence[Sequence[FloatArray]]]
"""Of every candidate of every position, a tensor each."""


@dataclass(frozen=True, eq=False)
class Angles:
    """Angles of all architectures of a space.

    Args:
        space: theirs.
        rows: per position b, c, d and s of its candidates, (K, 4).
    """

    space: Space
    rows: Sequence[FloatArray]

    @classmethod
    def between(cls, base: Any, now: Any) -> Angles:
        """Of two `hwnas.nets.Supernet` of one space.

        Raises:
            InputError: their spaces differ.
        """
        return cls.of_weights(now.space, weights_of(base), weights_of(now))

    @classmethod
    def of_weights(cls, space: Space, base: Weights, now: Weights) -> Angles:
        """Of the weights of every candidate, as `weights_of` gives them.

        Raises:
            InputError: other shapes at the two times.
        """
        if [list(map(len, w)) for w in (base, now)] != [[len(p.ops) for p in space.positions]] * 2:
            raise InputError(f"weights before and after are of other positions or candidates than the "
                             f"{len(space.positions)} of {space.name}: angles are of two supernets of one space")
        rows = []
        for position, before, after in zip(space.positions, base, now, strict=True):
            rows.append(np.array([_products(u, v) if u else _pooled(op)
                                  for op, u, v in zip(position.ops, before, after, strict=True)]))
        return cls(space, rows)

    def of(self, choice: Choice) -> float:
        """The angle of one architecture; 0 where no way leads through it."""
        arch = self.space.architecture(choice)
        total = np.zeros(4)
        for row, index, count in zip(self.rows, arch.path, ways(arch), strict=True):
            total += count * row[index]
        return angle_of(*total)


def angle_of(b: float, c: float, d: float, s: float) -> float:
    """The angle between two vectors u and v by |u|^2, |v|^2, |v - u|^2 and (v - u)'(v + u); 0 where one is nothing."""
    if b <= 0 or c <= 0:
        return 0.0
    was, now = math.sqrt(b), math.sqrt(c)
    q = (d - (s / (was + now)) ** 2) / (4 * was * now)
    return 2 * math.asin(math.sqrt(min(1.0, max(0.0, q))))


def weights_of(supernet: Any) -> list[list[list[FloatArray]]]:
    """Copies, in float64, of the weights that every candidate of every position of a `hwnas.nets.Supernet` has."""
    return [[[value.detach().cpu().double().numpy() for name, value in sorted(candidates.state_of(k).items())
              if name.endswith("weight") and value.ndim > 1] for k in range(len(candidates.ops))]
            for candidates in supernet.candidates]


def ways(arch: Architecture) -> list[int]:
    """m of every position; 1 on a chain."""
    counts = [0] * len(arch.ops)
    edges = arch.space.edges
    for cell in _cells(arch.space):
        there: dict[str, int] = {cell.start: 1}
        for number in cell.positions:
            if not arch.ops[number].cuts:
                there[edges[number].target] = (there.get(edges[number].target, 0)
                                               + there.get(edges[number].source, 0))
        back: dict[str, int] = dict.fromkeys(cell.ends, 1)
        for number in reversed(cell.positions):
            edge = edges[number]
            if arch.ops[number].cuts:
                continue
            counts[number] = there.get(edge.source, 0) * back.get(edge.target, 0)
            back[edge.source] = back.get(edge.source, 0) + back.get(edge.target, 0)
    return counts


@dataclass(frozen=True)
class _Cell:
    start: str
    ends: tuple[str, ...]
    positions: tuple[int, ...]


@lru_cache(maxsize=8)
def _cells(space: Space) -> tuple[_Cell, ...]:
    """What lies between the nodes that every way passes, in network order."""
    edges = space.edges
    into = {edges[0].source: 1}
    for edge in edges:
        into[edge.target] = into.get(edge.target, 0) + into.get(edge.source, 0)
    sources = {edge.source for edge in edges}
    ends = [edge.target for edge in edges if edge.target not in sources]
    out = dict.fromkeys(ends, 1)
    for edge in reversed(edges):
        out[edge.source] = out.get(edge.source, 0) + out.get(edge.target, 0)
    total = sum(into[end] for end in dict.fromkeys(ends))
    order = list(dict.fromkeys([edges[0].source, *(edge.target for edge in edges)]))
    passed = [node for node in order if into.get(node, 0) * out.get(node, 0) == total]
    place = {node: i for i, node in enumerate(passed)}
    groups: dict[int, list[int]] = {}
    current = -1
    for number, edge in enumerate(edges):
        current = max(current, place.get(edge.source, current))
        groups.setdefault(current, []).append(number)
    found = []
    for group, numbers in groups.items():
        last = passed[group + 1] if group + 1 < len(passed) else ""
        reached = (last,) if last else tuple(dict.fromkeys(ends))
        found.append(_Cell(passed[group], reached, tuple(numbers)))
    return tuple(found)


def _products(u: Sequence[FloatArray], v: Sequence[FloatArray]) -> FloatArray:
    if [t.shape for t in u] != [t.shape for t in v]:
        raise InputError("angles are between weights of one network at two times; these have other shapes")
    total = np.zeros(4)
    for x, y in zip(u, v, strict=True):
        before, now = x.ravel(), y.ravel()
        step = now - before
        total += [p @ q for p, q in ((before, before), (now, now), (step, step), (step, before + now))]
    return total


def _pooled(op: Op) -> FloatArray:
    """What the constants of average pooling are; of a skip and of `none` nothing."""
    norm = sum(step.channels / math.prod(step.kernel) for step in op.steps if isinstance(step, AvgPool))
    return np.array([norm, norm, 0.0, 0.0])
