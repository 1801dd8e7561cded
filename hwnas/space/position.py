"""What a space is made of: its positions, and how maps flow from one to the next.

Glossary
    node     holds a map: the sum of what the positions that write it give
    source   the node that a position reads       target   the node that it adds to
    wire     source, target and what is kept meanwhile, of one position
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from hwnas.space.op import Op

INPUT = "input"


@dataclass(frozen=True)
class Position:
    """A place in the network: its name and its candidate ops (one op: fixed).

    Args:
        name: unique within the space.
        ops: the candidates.
        reads: the node that it reads; empty: what the position before it writes.
        writes: the node that it adds its output to; empty: a node of its own.
        tie: positions with the same tie take the candidate of the same number, one choice for all of them.
    """

    name: str
    ops: tuple[Op, ...]
    reads: str = ""
    writes: str = ""
    tie: str = ""

    @property
    def is_choice(self) -> bool:
        return len(self.ops) > 1

    @property
    def text(self) -> str:
        """Candidates and, in a space that is no chain, the wiring: what a fingerprint is made of."""
        ops = "|".join(op.signature for op in self.ops)
        wired = any((self.reads, self.writes, self.tie))
        return f"{ops} {self.reads}>{self.writes} {self.tie}" if wired else ops


@dataclass(frozen=True)
class Wire:
    """Where a position stands.

    Args:
        source, target: the nodes that it reads and adds to.
        frees: whether nothing behind it reads the source.
        beside: activation values on nodes other than the source that are kept while it runs.
    """

    source: str
    target: str
    frees: bool
    beside: int

    def peak_elements(self, op: Op) -> int:
        """Most activation values alive while `op` runs here.

        Every node is kept until the last position that can read it, whether or not an op there does: so the peak of
        a network is a maximum over its ops, and never less than what it needs.
        """
        return 0 if op.cuts else op.peak(keeps_input=not self.frees) + self.beside


def wires(positions: Sequence[Position]) -> tuple[Wire, ...]:
    """The wire of every position; positions must be in topological order."""
    sources, targets, last = [], [], INPUT
    for position in positions:
        sources.append(position.reads or last)
        last = position.writes or position.name
        targets.append(last)
    size = {n: _elements_out(p.ops[0]) for n, p in zip(targets, positions, strict=True)}
    last_read = {node: i for i, node in enumerate(sources)}
    last_read |= {n: len(targets) for n, p in zip(targets, positions, strict=True) if p.ops[0].last}  # an output stays
    first_written = {node: i for i, node in reversed(list(enumerate(targets)))}
    found = []
    for i, (source, target) in enumerate(zip(sources, targets, strict=True)):
        kept = [n for n, begun in first_written.items() if begun < i < last_read.get(n, -1) and n != source]
        found.append(Wire(source, target, last_read[source] == i, sum(size[n] for n in kept)))
    return tuple(found)


def live_positions(wires: Sequence[Wire], ops: Sequence[Op]) -> tuple[bool, ...]:
    """Which positions are on a path from the input to an output; those that give an output count in any case."""
    reached, forward = {INPUT}, []
    for wire, op in zip(wires, ops, strict=True):
        forward.append(wire.source in reached and not op.cuts)
        if forward[-1]:
            reached.add(wire.target)
    outputs = output_positions(ops)
    live, needed = [False] * len(wires), set[str]()
    for i in reversed(range(len(wires))):
        live[i] = i in outputs or (forward[i] and wires[i].target in needed)
        if live[i]:
            needed.add(wires[i].source)
    return tuple(live)


def output_positions(ops: Sequence[Op]) -> tuple[int, ...]:
    """Numbers of the positions whose output leaves the network; the last one where no op says so."""
    return tuple(i for i, op in enumerate(ops) if op.last) or (len(ops) - 1,)


def _elements_out(op: Op) -> int:
    return op.out_channels * prod(op.out_size)
