"""A space as data: positions, the nodes they read and write, their candidates, and which network is the reference.

What a builder makes, what a file holds and what a program writes down are the same; `Space` checks it and counts.

Glossary
    node        a map of the network; a position reads one and adds what it gives to another
    merge       how a node joins what several positions write to it: 'sum'
    reference   which candidate the reference network takes at every choice; nothing: the one with the most FLOPs
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

from pydantic import ConfigDict, Field, PositiveInt

from hwnas.errors import InputError
from hwnas.space.op import Op
from hwnas.space.position import INPUT, Edge, Merge, Position, edges, output_positions
from hwnas.validation import MOST_OPS, Name, Schema, checked

MOST_POSITIONS = 2048
MOST_CHOICES = 1024  # candidates of one position
MOST_FLOPS, MOST_PARAMS, MOST_VALUES = 10**15, 10**10, 10**10  # of the largest network; activation values of one map

OpIndex = Annotated[int, Field(ge=0, lt=MOST_CHOICES)]
NodeName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$")]


class PositionSchema(Schema):
    """A position in a file; `reads`, `writes` and `tie` as in `hwnas.space.Position`, left out where they are empty."""

    model_config = ConfigDict(extra="forbid")  # a key of a later version would build another network

    name: NodeName
    ops: Annotated[list[Name], Field(min_length=1, max_length=MOST_CHOICES)]
    reads: NodeName | None = None
    writes: NodeName | None = None
    tie: NodeName | None = None


class NodeSchema(Schema):
    """What a file says of a node: its shape without the batch, channels first, and how what is written is joined."""

    model_config = ConfigDict(extra="forbid")

    shape: Annotated[list[PositiveInt], Field(min_length=1, max_length=4)]
    merge: Merge = "sum"


class GraphSchema(Schema):
    """What a file says of a graph. Shapes follow from the ops; where nodes are said, they are compared."""

    model_config = ConfigDict(extra="forbid")

    positions: Annotated[list[PositionSchema], Field(min_length=1, max_length=MOST_POSITIONS)]
    nodes: Annotated[dict[NodeName, NodeSchema], Field(max_length=MOST_POSITIONS)] | None = None
    reference: Annotated[list[OpIndex], Field(max_length=MOST_POSITIONS)] | None = None


@dataclass(frozen=True)
class Graph:
    """The data of a space.

    Args:
        positions: in topological order.
        reference: op index per choice; None takes the candidates with the most FLOPs.
    """

    positions: tuple[Position, ...]
    reference: tuple[int, ...] | None = None

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        """Kept: an architecture is hashed with its space a hundred thousand times in a search."""
        return hash((self.positions, self.reference))

    def to_json(self) -> dict[str, Any]:
        """Plain values, as `GraphSchema` has them."""
        positions = [{"name": p.name, "ops": [op.signature for op in p.ops],
                      **{key: value for key in ("reads", "writes", "tie") if (value := getattr(p, key))}}
                     for p in self.positions]
        placed = edges(self.positions)
        joined = {edge.target for edge in placed if edge.part is not None}
        nodes = {node: {"shape": list(shape), **({"merge": "concat"} if node in joined else {})}
                 for node, shape in shapes_of(self.positions, placed).items()}
        named = {} if self.reference is None else {"reference": list(self.reference)}
        return {"positions": positions, "nodes": nodes, **named}

    @classmethod
    def from_json(cls, data: object, where: str = "the space") -> Graph:
        """Read `to_json`, from whomever it comes.

        Raises:
            InputError: keys, names or ops that cannot be, more than any network has, or a wiring that is no network.
        """
        schema = data if isinstance(data, GraphSchema) else checked(GraphSchema, data, where)
        if sum(len(p.ops) for p in schema.positions) > MOST_OPS:
            raise InputError(f"{where} has more than {MOST_OPS:,} candidates in all: leave some out")
        merges = {name: node.merge for name, node in (schema.nodes or {}).items()}
        positions = tuple(
            Position(p.name, tuple(Op.parse(text) for text in p.ops), p.reads or "", p.writes or "", p.tie or "",
                     merges.get(p.writes or p.name, "sum"))
            for p in schema.positions
        )
        placed = edges(positions)
        _check_names(positions, where)
        _check_wiring(positions, placed, where)
        _check_size(positions, where)
        _check_nodes(schema.nodes or {}, positions, placed, where)
        return cls(positions, None if schema.reference is None else tuple(schema.reference))


def neighbours(positions: Sequence[Position], placed: Sequence[Edge]) -> list[tuple[Position, Position]]:
    """Pairs of which the second reads what the first writes."""
    readers: dict[str, list[Position]] = {}
    for position, edge in zip(positions, placed, strict=True):
        readers.setdefault(edge.source, []).append(position)
    return [(p, reader) for p, edge in zip(positions, placed, strict=True) for reader in readers.get(edge.target, [])]


def check_shapes(positions: Sequence[Position], placed: Sequence[Edge]) -> None:
    """Raises InputError where a position reads a map of another shape than the node holds."""
    held = shapes_of(positions, placed)
    for before, after in neighbours(positions, placed):
        outs = {shape_out(op) for op in before.ops}
        ins = {shape_in(op) for op in after.ops}
        joined = before.merge == "concat"
        if len(outs) != 1 or (outs != ins and not joined):
            raise InputError(f"{before.name} gives {outs} but {after.name} takes {ins}")
        node = before.writes or before.name
        if joined and (ins != {held[node]} or {shape[1:] for shape in outs} != {held[node][1:]}):
            raise InputError(f"node {node} puts maps together to {held[node]}, {before.name} gives {outs} of it and "
                             f"{after.name} takes {ins}")


def shapes_of(positions: Sequence[Position], placed: Sequence[Edge]) -> dict[str, tuple[int, ...]]:
    """Node -> channels and size of the map that it holds, once all that write it have."""
    found: dict[str, tuple[int, ...]] = {}
    for position, edge in zip(positions, placed, strict=True):
        channels, *size = shape_out(position.ops[0])
        found[edge.target] = (channels if edge.part is None else edge.part[1], *size)
    return found


def check_input(positions: Sequence[Position], shape: Sequence[int], where: str) -> None:
    """Raises InputError where a position reads an image of another shape."""
    for position, edge in zip(positions, edges(positions), strict=True):
        for op in position.ops if edge.source == INPUT else ():
            if shape_in(op) != tuple(shape):
                raise InputError(f"{where} takes images of {_by(shape)}, and {position.name} reads "
                                 f"{_by(shape_in(op))}: correct one of them")


def shape_in(op: Op) -> tuple[int, ...]:
    """Channels and size of the map that an op takes."""
    return op.in_channels, *op.size


def shape_out(op: Op) -> tuple[int, ...]:
    """Channels and size of the map that an op gives."""
    return op.out_channels, *op.out_size


def _check_names(positions: Sequence[Position], where: str) -> None:
    seen: dict[str, str] = {}
    ties = {p.tie for p in positions}
    for p in positions:
        key = p.name.replace(".", "_")  # what torch calls its module
        if key in seen:
            raise InputError(f"{where}: the positions {seen[key]} and {p.name} have one name where dots are "
                             "underscores: rename one")
        seen[key] = p.name
        if len(set(p.ops)) < len(p.ops):
            raise InputError(f"{where}: position {p.name} has one candidate twice: leave it out")
        if p.is_choice and p.name in ties - {p.tie}:
            raise InputError(f"{where}: {p.name} is the name of a choice and of a tie: rename one")


def _check_wiring(positions: Sequence[Position], placed: Sequence[Edge], where: str) -> None:
    """Nodes are written before they are read and not after, and everything leads to an output."""
    written, read = {INPUT}, set[str]()
    for p, edge in zip(positions, placed, strict=True):
        if edge.source not in written:
            raise InputError(f"{where}: {p.name} reads node {edge.source}, which no position before it writes")
        if edge.target == INPUT or edge.target in read:
            raise InputError(f"{where}: {p.name} writes node {edge.target}, which "
                             f"{'is the image' if edge.target == INPUT else 'was read before'}: let it write another")
        read.add(edge.source)
        written.add(edge.target)
        if any(op.last != p.ops[0].last for op in p.ops):
            raise InputError(f"{where}: position {p.name} ends the network with some of its candidates only: take "
                             "candidates of one kind")
    outputs = output_positions([p.ops[0] for p in positions])
    for i, (p, edge) in enumerate(zip(positions, placed, strict=True)):
        if (edge.target in read) == (i in outputs):
            rule = "ends the network, and another position reads it" if i in outputs else "is read by no position"
            raise InputError(f"{where}: what {p.name} gives {rule}: connect it otherwise, or leave it out")


def _check_size(positions: Sequence[Position], where: str) -> None:
    for what, most, total in (
        ("FLOPs", MOST_FLOPS, sum(max(op.flops for op in p.ops) for p in positions)),
        ("parameters", MOST_PARAMS, sum(max(op.params for op in p.ops) for p in positions)),
        ("activation values at once", MOST_VALUES, max(op.peak(True) for p in positions for op in p.ops)),
    ):
        if total > most:
            raise InputError(f"{where}: its largest network has {total:.1e} {what}, more than {most:.0e}: check the "
                             "sizes of its ops")


def _check_nodes(nodes: Mapping[str, NodeSchema], positions: Sequence[Position], placed: Sequence[Edge],
                 where: str) -> None:
    writers = {edge.target: p for p, edge in zip(positions, placed, strict=True)}
    shapes = shapes_of(positions, placed)
    for name, node in nodes.items():
        if name not in writers:
            raise InputError(f"{where}: no position writes node {name}: leave it out")
        if tuple(node.shape) != shapes[name]:
            raise InputError(f"{where}: node {name} is said to be {_by(node.shape)}, and {writers[name].name} gives "
                             f"{_by(shapes[name])}: correct one of them")


def _by(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
