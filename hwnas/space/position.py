"""What a space is made of: its positions, and how maps flow from one to the next.

Glossary
    node     holds a map: the sum of what the positions that write it give, or their maps side by side
    source   the node that a position reads       target   the node that it adds to
    edge     source, target and what is kept meanwhile, of one position
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal

from hwnas.errors import InputError
from hwnas.space.op import Op

INPUT = "input"
Merge = Literal["sum", "concat"]


@dataclass(frozen=True)
class Position:
    """A place in the network: its name and its candidate ops (one op: fixed).

    Args:
        name: unique within the space.
        ops: the candidates.
        reads: the node that it reads; empty: what the position before it writes.
        writes: the node that it adds its output to; empty: a node of its own.
        tie: positions with the same tie take the candidate of the same number, one choice for all of them.
        merge: how the node that it writes puts together what is written; all that write one say the same. In a
            concatenation the channels stand in the order of the positions, zeros where a position gives nothing.
    """

    name: str
    ops: tuple[Op, ...]
    reads: str = ""
    writes: str = ""
    tie: str = ""
    merge: Merge = "sum"

    @property
    def is_choice(self) -> bool:
        return len(self.ops) > 1

    @property
    def text(self) -> str:
        """Candidates and, in a space that is no chain, the wiring: what a fingerprint is made of."""
        ops = "|".join(op.signature for op in self.ops)
        wired = any((self.reads, self.writes, self.tie))
        text = f"{ops} {self.reads}>{self.writes} {self.tie}" if wired else ops
        return text if self.merge == "sum" else f"{text} {self.merge}"


@dataclass(frozen=True)
class Edge:
    """Where a position stands.

    Args:
        source, target: the nodes that it reads and adds to.
        frees: whether nothing behind it reads the source.
        beside: activation values on nodes other than the source that are kept while it runs.
        part: the first channel of its part of a target that is a concatenation, and the first behind it; None in a sum.
        joins: activation values alive while the target is put together, behind the last of its parts; else 0.
    """

    source: str
    target: str
    frees: bool
    beside: int
    part: tuple[int, int] | None = None
    joins: int = 0

    def peak_elements(self, op: Op) -> int:
        """Most activation values alive while `op` runs here.

        Every node is kept until the last position that can read it, whether or not an op there does: so the peak of
        a network is a maximum over its ops, and never less than what it needs.
        """
        alone = 0 if op.cuts else op.peak(keeps_input=not self.frees) + self.beside
        return max(alone, self.joins)


def edges(positions: Sequence[Position]) -> tuple[Edge, ...]:
    """The edge of every position; positions must be in topological order.

    Raises:
        InputError: positions that write one node put it together in different ways, or an output is a concatenation.
    """
    sources, targets, last = [], [], INPUT
    for position in positions:
        sources.append(position.reads or last)
        last = position.writes or position.name
        targets.append(last)
    parts = _parts(positions, targets)
    written: dict[str, list[tuple[int, int]]] = {}  # node -> (position, values) of what lies on it
    for i, (node, position) in enumerate(zip(targets, positions, strict=True)):
        found, values = written.setdefault(node, []), _elements_out(position.ops[0])
        if parts[i] or not found:
            found.append((i, values))
    last_read = {node: i for i, node in enumerate(sources)}
    last_read |= {n: len(targets) for n, p in zip(targets, positions, strict=True) if p.ops[0].last}  # an output stays

    def kept(now: int, without: str, until: int) -> int:
        """Values on the nodes that were begun before `now` and are read behind it."""
        return sum(values for node, found in written.items() if node != without and last_read.get(node, -1) > until
                   for begun, values in found if begun < now)

    wired = []
    for i, (source, target) in enumerate(zip(sources, targets, strict=True)):
        joins = 0
        if parts[i] and i == written[target][-1][0]:
            joins = 2 * sum(values for _, values in written[target]) + kept(i, target, i)
        wired.append(Edge(source, target, last_read[source] == i, kept(i, source, i), parts[i], joins))
    return tuple(wired)


def _parts(positions: Sequence[Position], targets: Sequence[str]) -> list[tuple[int, int] | None]:
    """The channels of every position's part of a concatenation, None in a sum."""
    filled: dict[str, int] = {}
    merges: dict[str, str] = {}
    found: list[tuple[int, int] | None] = []
    for position, node in zip(positions, targets, strict=True):
        if merges.setdefault(node, position.merge) != position.merge:
            raise InputError(f"the positions that write {node} say both sum and concat: say one of them")
        if position.merge == "sum":
            found.append(None)
            continue
        if position.ops[0].last:
            raise InputError(f"{position.name} ends the network, so its node cannot be a concatenation")
        begin = filled.get(node, 0)
        filled[node] = begin + position.ops[0].out_channels
        found.append((begin, filled[node]))
    return found


def concatenations(positions: Sequence[Position], edges: Sequence[Edge]) -> dict[str, Op]:
    """Node -> the op that stands in a table for putting it together, of every concatenation of two parts or more.

    It puts the first part beside as many channels as the others have, so it moves as many values.
    """
    parts: dict[str, list[Op]] = {}
    for position, edge in zip(positions, edges, strict=True):
        if edge.part is not None:
            parts.setdefault(edge.target, []).append(position.ops[0])
    return {node: Op("concat", ops[0].out_channels, sum(op.out_channels for op in ops), size=ops[0].out_size)
            for node, ops in parts.items() if len(ops) > 1}


def live_positions(edges: Sequence[Edge], ops: Sequence[Op]) -> tuple[bool, ...]:
    """Which positions are on a path from the input to an output; those that give an output count in any case."""
    reached, forward = {INPUT}, []
    for edge, op in zip(edges, ops, strict=True):
        forward.append(edge.source in reached and not op.cuts)
        if forward[-1]:
            reached.add(edge.target)
    outputs = output_positions(ops)
    live, needed = [False] * len(edges), set[str]()
    for i in reversed(range(len(edges))):
        live[i] = i in outputs or (forward[i] and edges[i].target in needed)
        if live[i]:
            needed.add(edges[i].source)
    return tuple(live)


def output_positions(ops: Sequence[Op]) -> tuple[int, ...]:
    """Numbers of the positions whose output leaves the network; the last one where no op says so."""
    return tuple(i for i, op in enumerate(ops) if op.last) or (len(ops) - 1,)


def _elements_out(op: Op) -> int:
    return op.out_channels * prod(op.out_size)
