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
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import UsageError
from hwnas.latency.places import Floats, Meeting, Place, Wiring, changes_between, places_of
from hwnas.space import Architecture, Op, Space
from hwnas.space.graph import shape_in
from hwnas.target import VALUE_BYTES, Precision

Ints = NDArray[np.int64]


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
