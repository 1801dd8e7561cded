"""What (op, precision) costs at every place of a network, and what it costs that neighbours differ in precision.

A place has one precision: a choice with all its tied positions, or a fixed position. Its candidates are (op,
precision); a change between two places is a factor of their precisions. That is what
`hwnas.generate.solve_precisions` takes.

In a chain a sum over places and neighbours is exact. Where several positions write one node, a node is held in the
precision of the first live one (`hwnas.space.execution`), which a sum cannot know: it charges every pair of positions
that may stand so, each reader for itself, dead ones as well. So it is never less than what a network costs, and more
where maps are shared or positions dead.

An op without work, a `skip`, has a candidate in every precision as any other: it says in which one its map is held.
Nothing is gained or lost by that, since a map has to be changed once on its way, before it or behind it. One through
which nothing flows, `none`, has no precision.

Glossary
    P       precisions
    first   a position that may be the first live one to write its node
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import UsageError
from hwnas.space import Architecture, Op, Space
from hwnas.space.graph import shape_in, shape_out
from hwnas.space.position import INPUT
from hwnas.target import VALUE_BYTES, Precision

Ints = NDArray[np.int64]
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


@dataclass(frozen=True)
class MixedCosts:
    """One cost of every network of a space in several precisions, as `solve_precisions` takes it.

    Args:
        places: in network order.
        rows: per place, (ops, P).
        changes: (place, place) -> (P, P), the first place's precision before the second's.
        fixed: what every network has.
    """

    space: Space
    precisions: tuple[Precision, ...]
    places: tuple[Place, ...]
    rows: tuple[Ints, ...]
    changes: Mapping[tuple[int, int], Ints]
    fixed: int = 0

    @property
    def carries(self) -> list[NDArray[np.bool_]]:
        """Per place, (ops,)."""
        return [place.carries for place in self.places]

    def spread(self, rows: Sequence[Sequence[float]], fixed: float = 0.0) -> list[Floats]:
        """Rows of the space's choices as rows of its places; a fixed position gets `fixed`."""
        return [np.array([fixed] if p.choice is None else rows[p.choice], dtype=np.float64) for p in self.places]

    def plan(self, choice: Sequence[int]) -> tuple[Architecture, tuple[Precision, ...]]:
        """The architecture, and the precision of every position, that one candidate per place stand for.

        Args:
            choice: op * P + precision per place, as `solve_precisions` answers.
        """
        at = [divmod(int(candidate), len(self.precisions)) for candidate in choice]
        ops = [0] * len(self.space.sizes)
        precisions = [self.precisions[0]] * len(self.space.positions)
        for place, (op, p) in zip(self.places, at, strict=True):
            if place.choice is not None:
                ops[place.choice] = op
            for position in place.positions:
                precisions[position] = self.precisions[p]
        return self.space.architecture(ops), tuple(precisions)

    def candidates(self, arch: Architecture, precisions: Sequence[Precision]) -> tuple[int, ...]:
        """The way back from `plan`.

        Raises:
            UsageError: tied positions differ in precision, or one is none of these.
        """
        found = []
        for place in self.places:
            own = {precisions[position] for position in place.positions}
            if len(own) > 1 or not own <= set(self.precisions):
                raise UsageError(f"the positions of {place.name} must have one precision of "
                                 f"{', '.join(self.precisions)}; got {', '.join(sorted(own))}")
            op = 0 if place.choice is None else arch.choice[place.choice]
            at = self.precisions.index(own.pop()) if place.carries[op] else 0
            found.append(op * len(self.precisions) + at)
        return tuple(found)

    def total(self, choice: Sequence[int], most: bool = False) -> int:
        """The cost of one candidate per place: a sum, or the most of all."""
        at = [divmod(int(candidate), len(self.precisions)) for candidate in choice]
        parts = [self.fixed, *(int(row[k, p]) for row, (k, p) in zip(self.rows, at, strict=True))]
        for (a, b), grid in self.changes.items():
            if self.places[a].carries[at[a][0]] and self.places[b].carries[at[b][0]]:
                parts.append(int(grid[at[a][1], at[b][1]]))
        return max(parts) if most else sum(parts)


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


def memory_bytes(space: Space, precisions: Sequence[Precision]) -> MixedCosts:
    """Most bytes of activations alive at once: a maximum over places and changes, never less than a network needs.

    What lies on other nodes meanwhile may be of any precision and counts as the widest; in a chain there is nothing.
    """
    known, widest = tuple(precisions), max(VALUE_BYTES[p] for p in precisions)
    wide = np.array([VALUE_BYTES[p] for p in known], dtype=np.int64)
    places, wiring = places_of(space), Wiring(space)

    def at(position: int, op: Op) -> Ints:
        edge = space.edges[position]
        alone = np.zeros_like(wide) if op.cuts else op.peak(keeps_input=not edge.frees) * wide + edge.beside * widest
        return np.maximum(alone, edge.joins * widest)

    rows = tuple(np.array([np.max([at(i, space.positions[i].ops[k]) for i in place.positions], axis=0)
                           for k in range(len(place.carries))]) for place in places)

    def change(meeting: Meeting) -> Floats:
        where, edge = max(meeting.gives, meeting.takes), space.edges[max(meeting.gives, meeting.takes)]
        values, beside = int(np.prod(meeting.shape)), edge.beside * widest
        both = values * (wide[:, None] + wide) + beside
        if meeting.takes < meeting.gives:  # what the op read may be there still
            both = both + int(np.prod(shape_in(space.positions[where].ops[0]))) * widest
        elif not edge.frees:  # the map stays as it was for others, beside the changed one
            most = max(op.peak(keeps_input=True) for op in space.positions[where].ops)
            both = np.maximum(both, values * wide[:, None] + most * wide + beside)
        return both * (1.0 - np.eye(len(known)))

    changes = changes_between(space, places, wiring.meetings([((), True)] * len(space.positions)), change, most=True)
    return MixedCosts(space, known, places, rows, {pair: grid.astype(np.int64) for pair, grid in changes.items()})


def size_bytes(space: Space, precisions: Sequence[Precision]) -> MixedCosts:
    """Bytes of the weights, each as wide as the precision of its op; exact."""
    wide = np.array([VALUE_BYTES[p] for p in precisions], dtype=np.int64)
    places = places_of(space)
    rows = tuple(np.array([sum(space.positions[i].ops[k].params for i in place.positions) * wide
                           for k in range(len(place.carries))]) for place in places)
    return MixedCosts(space, tuple(precisions), places, rows, {})


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
