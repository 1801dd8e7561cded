"""Spaces and their choices: what can be built.

Glossary
    position   a place in the network graph: one op, or a choice of ops
    choice     a position with two or more candidate ops, or all positions of one tie (the same edge of every cell);
               choices are numbered in network order
    op index   which candidate a choice takes
    instance   the op that a candidate is at one position: a tie has as many of each candidate as positions
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import networkx as nx
import numpy as np

from hwnas.errors import InputError
from hwnas.space.architecture import Architecture
from hwnas.space.op import Op
from hwnas.space.position import Position, SpaceConfig, Wire, wires

Cost = Literal["flops", "params", "memory"]


@dataclass(frozen=True, repr=False)
class Space:
    """A family of networks: positions wired as a DAG, each fixed or a choice.

    Args:
        config: what rebuilds it.
        positions: in topological order; a chain unless they say what they read and write.

    Raises:
        InputError: if shapes of neighbouring positions do not fit, or tied positions differ in their candidates.
    """

    config: SpaceConfig
    positions: tuple[Position, ...]

    def __repr__(self) -> str:
        c = self.config
        return (f"<Space {c.name}: {c.width or c.imgsz}x{c.imgsz}, {len(self.choices)} choices, "
                f"{self.size:,} architectures>")

    def __post_init__(self) -> None:
        for before, after in self._neighbours():
            outs = {(op.out_channels, *op.out_hw) for op in before.ops}
            ins = {(op.in_channels, op.height, op.width) for op in after.ops}
            if len(outs) != 1 or outs != ins:
                raise InputError(f"{before.name} gives {outs} but {after.name} takes {ins}")
        for choice, tied in zip(self.choices, self._tied, strict=True):
            if len({tuple(op.label for op in p.ops) for p in tied}) != 1:
                raise InputError(f"positions tied as {choice.name} must have the same candidates in the same order")

    def _neighbours(self) -> list[tuple[Position, Position]]:
        """Pairs of which the second reads what the first writes."""
        readers: dict[str, list[Position]] = {}
        for wire, position in zip(self.wires, self.positions, strict=True):
            readers.setdefault(wire.source, []).append(position)
        placed = zip(self.wires, self.positions, strict=True)
        return [(p, reader) for wire, p in placed for reader in readers.get(wire.target, [])]

    @cached_property
    def wires(self) -> tuple[Wire, ...]:
        """What every position reads, writes and keeps."""
        return wires(self.positions)

    @property
    def branches(self) -> bool:
        """Whether several positions write one node: a space of cells, no chain."""
        return len({wire.target for wire in self.wires}) < len(self.wires)

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of the input image."""
        return (self.config.in_channels, *self.config.size)

    @cached_property
    def graph(self) -> nx.DiGraph:
        """The wiring: nodes are position names with attribute `position`, edges carry maps (or parts of a sum)."""
        graph = nx.DiGraph()
        for position in self.positions:
            graph.add_node(position.name, position=position)
        graph.add_edges_from((before.name, after.name) for before, after in self._neighbours())
        return graph

    @cached_property
    def choices(self) -> tuple[Position, ...]:
        """What can be chosen, in network order; a tie is one choice, of its name and the ops of its first position."""
        return tuple(replace(tied[0], name=tied[0].tie) if tied[0].tie else tied[0] for tied in self._tied)

    @cached_property
    def _tied(self) -> tuple[tuple[Position, ...], ...]:
        """The positions of every choice."""
        found: dict[str, list[Position]] = {}
        for p in self.positions:
            if p.is_choice:
                found.setdefault(_choice_key(p), []).append(p)
        return tuple(tuple(tied) for tied in found.values())

    @cached_property
    def choice_of(self) -> tuple[int | None, ...]:
        """Number of the choice that decides each position; None for a fixed one."""
        numbers = {_choice_key(tied[0]): i for i, tied in enumerate(self._tied)}
        return tuple(numbers[_choice_key(p)] if p.is_choice else None for p in self.positions)

    def instances(self, choice: int, op: int) -> tuple[Op, ...]:
        """What candidate `op` of a choice stands for: in a chain itself, in a cell space one op per cell.

        What it costs adds over them (memory: the maximum). Ops that cost nothing, `skip` and `none`, are left out.
        """
        return tuple(p.ops[op] for p in self._tied[choice] if p.ops[op].timed)

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
        """Every distinct signature that any architecture can need, in network order; then additions.

        An addition has the signature of an identity of its shape (`hwnas.latency.executed_ops`).
        """
        found = [op.signature for p in self.positions for op in p.ops if op.timed]
        targets = [wire.target for wire in self.wires]
        summed = [p.ops[0] for p, node in zip(self.positions, targets, strict=True) if targets.count(node) > 1]
        sums = [Op("identity", op.out_channels, op.out_channels, *op.out_hw).signature for op in summed]
        return tuple(dict.fromkeys([*found, *sums]))

    @property
    def fixed_ops(self) -> tuple[Op, ...]:
        """Ops of the positions that are not choices."""
        return tuple(p.ops[0] for p in self.positions if not p.is_choice)

    @property
    def fingerprint(self) -> str:
        """Hash over every candidate's signature: two spaces with it equal build the same networks."""
        text = "\n".join(p.text for p in self.positions)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def architecture(self, ops: Sequence[int]) -> Architecture:
        """The architecture that takes candidate ops[i] at choice i.

        Raises:
            InputError: wrong length or an index out of range.
        """
        return Architecture(self, tuple(int(i) for i in ops))

    def sample(self, rng: np.random.Generator) -> Architecture:
        """A uniformly random architecture."""
        return self.architecture([int(rng.integers(n)) for n in self.sizes])

    def largest(self) -> Architecture:
        """The reference network: at every choice the candidate with the most FLOPs."""
        return self.architecture([flops.index(max(flops)) for flops in self.counts("flops")[1]])

    def smallest(self) -> Architecture:
        """At every choice the candidate with the fewest FLOPs; `none`, which may cut the network, only if alone."""
        rows = self.counts("flops")[1]
        return self.architecture([
            min(range(len(flops)), key=lambda k, f=flops, c=choice: (c.ops[k].kind == "none", f[k]))  # type: ignore[misc]
            for choice, flops in zip(self.choices, rows, strict=True)
        ])

    def counts(self, cost: Cost) -> tuple[int, tuple[tuple[int, ...], ...]]:
        """What an architecture's cost is made of: the amount of the fixed ops, and of every candidate of a choice.

        Args:
            cost: `flops` and `params` add up; of `memory` (activation values of one image) the maximum counts.
        """
        total = max if cost == "memory" else sum
        fixed, rows = [0], [[[0] for _ in choice.ops] for choice in self.choices]
        for position, wire, choice in zip(self.positions, self.wires, self.choice_of, strict=True):
            amounts = [_amount(cost, op, wire) for op in position.ops]
            if choice is None:
                fixed += amounts
            else:
                for row, amount in zip(rows[choice], amounts, strict=True):
                    row.append(amount)
        return total(fixed), tuple(tuple(total(op) for op in row) for row in rows)


def _choice_key(position: Position) -> str:
    return position.tie or position.name


def _amount(cost: Cost, op: Op, wire: Wire) -> int:
    return {"flops": op.flops, "params": op.params, "memory": wire.peak_elements(op)}[cost]
