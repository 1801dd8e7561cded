"""Where ops of several precisions meet: places that have one precision, and neighbours that may differ.

A place has one precision: a choice with all its tied positions, or a fixed position. Which positions may take each
other's maps is said whatever is chosen, so dead ones are among them.

Glossary
    P       precisions
    first   a position that may be the first live one to write its node, in whose precision the node is held
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hwnas.space import Op, Space
from hwnas.space.graph import shape_in, shape_out
from hwnas.space.position import INPUT

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Place:
    """What has one op and one precision.

    Args:
        choice: its number in the space; None for a fixed position.
        positions: of the space, by number.
        carries: per op, whether a map flows through it, (ops,).
    """

    name: str
    choice: int | None
    positions: tuple[int, ...]
    carries: NDArray[np.bool_]


@dataclass(frozen=True)
class Meeting:
    """Two positions of which one takes the other's map in its own precision.

    Args:
        gives, takes: their numbers.
        shape: of the map.
        adds: what is added for it, in the precision of what it is added to; () for a reader.
        only: whether no other meeting can stand for it, and each op of what gives is added, so that what it costs is
            exact.
    """

    gives: int
    takes: int
    shape: tuple[int, ...]
    adds: tuple[Op, ...] = ()
    only: bool = True


def places_of(space: Space) -> tuple[Place, ...]:
    """Choices and fixed positions of a space, in network order of their first positions."""
    found: dict[tuple[str, int], list[int]] = {}
    for i, choice in enumerate(space.choice_of):
        found.setdefault(("fixed", i) if choice is None else ("choice", choice), []).append(i)
    return tuple(_place(space, number if what == "choice" else None, at) for (what, number), at in found.items())


def _place(space: Space, choice: int | None, at: Sequence[int]) -> Place:
    first = space.positions[at[0]]
    return Place(first.tie or first.name, choice, tuple(at), np.array([not op.cuts for op in first.ops]))


class Wiring:
    """Which positions of a space meet, whatever is chosen."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.writers: dict[str, list[int]] = {}
        for i, edge in enumerate(space.edges):
            self.writers.setdefault(edge.target, []).append(i)

    @cached_property
    def sure(self) -> list[bool]:
        """Which positions an image always reaches and passes."""
        found: list[bool] = []
        for position, edge in zip(self.space.positions, self.space.edges, strict=True):
            reached = edge.source == INPUT or any(found[w] for w in self.writers[edge.source] if w < len(found))
            found.append(reached and not any(op.cuts for op in position.ops))
        return found

    def firsts(self, node: str) -> list[int]:
        """The positions that may be the first live one to write a node."""
        writers = self.writers[node]
        until = next((n for n, w in enumerate(writers) if self.sure[w]), len(writers) - 1)
        return writers[: until + 1]

    def meetings(self, additions: Sequence[tuple[tuple[Op, ...], bool]]) -> Iterator[Meeting]:
        """Every two positions of which one may take the other's map.

        Args:
            additions: per position, what is executed where it is added to its node, and whether that is so whichever
                its op.
        """
        edges, positions = self.space.edges, self.space.positions
        for i, edge in enumerate(edges):
            if edge.source != INPUT:
                firsts = self.firsts(edge.source)
                for first in firsts:
                    yield Meeting(first, i, shape_in(positions[i].ops[0]), only=len(firsts) == 1)
            firsts = self.firsts(edge.target)
            for first in firsts:
                if first < i:
                    added, always = additions[i]
                    yield Meeting(i, first, shape_out(positions[i].ops[0]), added, only=always and len(firsts) == 1)


def changes_between(
    space: Space, places: Sequence[Place], meetings: Iterator[Meeting], cost: Callable[[Meeting], Floats],
    most: bool = False,
) -> dict[tuple[int, int], Floats]:
    """(place, place) -> (P, P): what the meetings of their positions cost, added up or the most of them.

    Args:
        cost: of a meeting, (P, P), the precision of what gives first.
    """
    place_of = {position: number for number, place in enumerate(places) for position in place.positions}
    found: dict[tuple[int, int], Floats] = {}
    for meeting in meetings:
        a, b = place_of[meeting.gives], place_of[meeting.takes]
        if a == b:
            continue
        grid = cost(meeting)
        key, grid = ((a, b), grid) if a < b else ((b, a), grid.T)
        found[key] = grid if key not in found else np.maximum(found[key], grid) if most else found[key] + grid
    return found
