"""Positions as a network graph, and what can be chosen at them.

Glossary
    position   a place in the network graph: one op, or a choice of ops
    choice     a position with two or more candidate ops, or all positions of one tie (the same edge of every cell);
               choices are numbered in network order
    op index   which candidate a choice takes
    instance   the op that a candidate is at one position: a tie has as many of each candidate as positions
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from hwnas.space.costs import Cost, counts
from hwnas.space.graph import neighbours
from hwnas.space.op import Op
from hwnas.space.position import Edge, Position, concatenations, edges

if TYPE_CHECKING:
    import networkx as nx


class Choices:
    """What follows from the positions of a space alone: its wiring, its choices and what their candidates cost.

    Args:
        positions: in topological order.
    """

    positions: tuple[Position, ...]

    @cached_property
    def edges(self) -> tuple[Edge, ...]:
        """What every position reads, writes and keeps."""
        return edges(self.positions)

    @property
    def wires(self) -> tuple[Edge, ...]:
        """`edges` under its name of 0.1, for one version more."""
        return self.edges

    @property
    def branches(self) -> bool:
        """Whether several positions write one node: a space of cells, no chain."""
        return len({edge.target for edge in self.edges}) < len(self.edges)

    @cached_property
    def graph(self) -> nx.DiGraph:
        """The wiring: nodes are position names with attribute `position`, edges carry maps (or parts of a sum)."""
        import networkx as nx  # half of what the package takes to import; few commands ask for the graph

        graph = nx.DiGraph()
        for position in self.positions:
            graph.add_node(position.name, position=position)
        graph.add_edges_from((before.name, after.name) for before, after in neighbours(self.positions, self.edges))
        return graph

    @cached_property
    def choices(self) -> tuple[Position, ...]:
        """What can be chosen, in network order; a tie is one choice, of its name and the ops of its first position."""
        return tuple(replace(tied[0], name=tied[0].tie) if tied[0].tie else tied[0] for tied in self.tied)

    @cached_property
    def tied(self) -> tuple[tuple[Position, ...], ...]:
        """The positions of every choice."""
        found: dict[str, list[Position]] = {}
        for p in self.positions:
            if p.is_choice:
                found.setdefault(_choice_key(p), []).append(p)
        return tuple(tuple(tied) for tied in found.values())

    @cached_property
    def choice_of(self) -> tuple[int | None, ...]:
        """Number of the choice that decides each position; None for a fixed one."""
        numbers = {_choice_key(tied[0]): i for i, tied in enumerate(self.tied)}
        return tuple(numbers[_choice_key(p)] if p.is_choice else None for p in self.positions)

    def instances(self, choice: int, op: int) -> tuple[Op, ...]:
        """What candidate `op` of a choice stands for: in a chain itself, in a cell space one op per cell.

        What it costs adds over them (memory: the maximum). Ops that cost nothing, `skip` and `none`, are left out.
        """
        return tuple(p.ops[op] for p in self.tied[choice] if p.ops[op].timed)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of candidate ops of every choice."""
        return tuple(len(c.ops) for c in self.choices)

    @property
    def size(self) -> int:
        """Number of architectures."""
        total = 1
        for n in self.sizes:
            total *= n
        return total

    @cached_property
    def signatures(self) -> tuple[str, ...]:
        """Every distinct signature that any architecture can need, in network order; then additions and concatenations.

        An addition has the signature of an identity of its shape (`hwnas.latency.executed_ops`).
        """
        found = [op.signature for p in self.positions for op in p.ops if op.timed]
        targets = [edge.target for edge in self.edges]
        summed = [p.ops[0] for p, edge in zip(self.positions, self.edges, strict=True)
                  if edge.part is None and targets.count(edge.target) > 1]
        sums = [Op("identity", op.out_channels, op.out_channels, size=op.out_size).signature for op in summed]
        return tuple(dict.fromkeys([*found, *sums, *(op.signature for op in self.concatenations.values())]))

    @cached_property
    def concatenations(self) -> dict[str, Op]:
        """Node -> the op that stands in a table for putting it together, of every node that is a concatenation."""
        return concatenations(self.positions, self.edges)

    @property
    def fixed_ops(self) -> tuple[Op, ...]:
        """Ops of the positions that are not choices."""
        return tuple(p.ops[0] for p in self.positions if not p.is_choice)

    @property
    def fingerprint(self) -> str:
        """Hash over every candidate's signature: two spaces with it equal build the same networks."""
        text = "\n".join(p.text for p in self.positions)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def counts(self, cost: Cost) -> tuple[int, tuple[tuple[int, ...], ...]]:
        """What an architecture's cost is made of: the amount of the fixed ops, and of every candidate of a choice.

        Args:
            cost: `flops` and `params` add up; of `memory` (activation values of one image) the maximum counts.
        """
        return counts(cost, self.positions, self.edges, self.choice_of, self.sizes)


def _choice_key(position: Position) -> str:
    return position.tie or position.name
