"""Spaces and their networks: what can be built, and one op index per choice (glossary: `hwnas.space.choices`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from hwnas.documents import brief
from hwnas.errors import HwnasError, InputError, UsageError
from hwnas.space.builders import describe
from hwnas.space.choices import Choices
from hwnas.space.config import SpaceConfig
from hwnas.space.execution import Execution, executions
from hwnas.space.graph import Graph, check_input, check_shapes
from hwnas.space.heads import check_outputs
from hwnas.space.op import Op
from hwnas.space.position import Position, live_positions
from hwnas.validation import MOST_OPS, Name, Schema, checked

SCHEMA = 1


@dataclass(frozen=True, repr=False)
class Space(Choices):
    """A family of networks: positions wired as a DAG, each fixed or a choice.

    Args:
        config: what rebuilds it; where no builder of the package does, see `as_data`.
        positions: in topological order; a chain unless they say what they read and write.

    Raises:
        InputError: if shapes of neighbouring positions do not fit, tied positions differ in their candidates, or the
            positions or the reference are not those of the config's graph.
    """

    config: SpaceConfig
    positions: tuple[Position, ...]

    def __repr__(self) -> str:
        c = self.config
        return (f"<Space {c.name}: {c.width or c.imgsz}x{c.imgsz}, {len(self.choices)} choices, "
                f"{self.size:,} architectures>")

    def __post_init__(self) -> None:
        graph = self.config.graph
        if graph is not None and graph.positions != self.positions:
            raise InputError(f"the config of space {self.name} holds other positions than the space: give it none")
        check_shapes(self.positions, self.edges)
        for choice, tied in zip(self.choices, self.tied, strict=True):
            if len({tuple(op.label for op in p.ops) for p in tied}) != 1:
                raise InputError(f"positions tied as {choice.name} must have the same candidates in the same order")
        if graph is not None and graph.reference is not None:
            self.architecture(graph.reference)

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(channels, height, width) of the input image; what the first position reads where that is no image."""
        first = self.positions[0].ops[0]
        size = self.config.size if len(first.size) == 2 else first.size
        return (self.config.in_channels, *size)

    def architecture(self, ops: Sequence[int]) -> Architecture:
        """The architecture that takes candidate ops[i] at choice i.

        Raises:
            InputError: wrong length or an index out of range.
        """
        return Architecture(self, tuple(int(i) for i in ops))

    def sample(self, rng: np.random.Generator) -> Architecture:
        """A uniformly random architecture."""
        return self.architecture([int(rng.integers(n)) for n in self.sizes])

    @property
    def reference(self) -> Architecture:
        """What percentages are of, and the teacher: the network that the space names, else the largest."""
        named = self.config.graph.reference if self.config.graph is not None else None
        return self.largest() if named is None else self.architecture(named)

    def largest(self) -> Architecture:
        """At every choice the candidate with the most FLOPs."""
        return self.architecture([flops.index(max(flops)) for flops in self.counts("flops")[1]])

    def smallest(self) -> Architecture:
        """At every choice the candidate with the fewest FLOPs; `none` only if alone, or where it cannot cut the
        network since something that is no choice writes the node as well."""
        return self.architecture(self.cheapest(self.counts("flops")[1]))

    def cheapest(self, costs: Sequence[Sequence[float]]) -> list[int]:
        """Per choice the candidate that costs least, `none` left out where it may cut the network.

        It may not where it is alone, and where something that is no choice writes the node as well.

        Args:
            costs: per choice those of its candidates.
        """
        held = {edge.target for position, edge in zip(self.positions, self.edges, strict=True)
                if not position.is_choice and not position.ops[0].cuts}
        safe = [all(edge.target in held for edge, own in zip(self.edges, self.choice_of, strict=True) if own == i)
                for i in range(len(costs))]
        return [min(range(len(row)), key=lambda k, row=row, c=choice, s=s: (c.ops[k].cuts and not s, row[k]))  # type: ignore[misc]
                for choice, row, s in zip(self.choices, costs, safe, strict=True)]

    def as_data(self, reference: Sequence[int] | None = None) -> Space:
        """The same space, rebuilt from its own positions instead of by a builder.

        Args:
            reference: op index per choice of the reference; None keeps what the space names.

        Raises:
            InputError: positions that make no network (`Graph.from_json`), or a reference that is none of it.
        """
        config, known = self.config, self.config.graph
        named = tuple(reference) if reference is not None else known.reference if known is not None else None
        graph = Graph.from_json(Graph(self.positions, named).to_json(), f"space {self.name}")
        height, width = self.input_shape[1:][-2:][0], self.input_shape[-1]
        data = replace(config, graph=graph, imgsz=height, width=None if width == height else width, width_mult=1.0,
                       depth=None, head_width=None)
        return Space(data, self.positions)


class ArchitectureSchema(Schema):
    """What an architecture's JSON holds; its space as `SpaceSchema` has it."""

    space: dict[str, Any]
    choice: Annotated[list[Annotated[int, Field(ge=0, le=1023)]], Field(max_length=MOST_OPS)]
    ops: Annotated[list[Name], Field(max_length=MOST_OPS)]


@dataclass(frozen=True, repr=False)
class Architecture:
    """One op index per choice of a space.

    Raises:
        InputError: wrong length or an index out of range.
    """

    space: Space
    choice: tuple[int, ...]

    def __repr__(self) -> str:
        return f"<Architecture of {self.space!r}: choice {self.choice}>"

    def __post_init__(self) -> None:
        sizes = self.space.sizes
        if len(self.choice) != len(sizes):
            raise InputError(
                f"{self.space.name} has {len(sizes)} choices; got {len(self.choice)} op indices"
            )
        for i, (index, n) in enumerate(zip(self.choice, sizes, strict=True)):
            if not 0 <= index < n:
                raise InputError(f"choice {i} of {self.space.name} has ops 0..{n - 1}; got {index}")

    def __hash__(self) -> int:
        return hash((self.space.config, self.choice))

    def __iter__(self) -> Iterator[Op]:
        return iter(self.ops)

    @cached_property
    def path(self) -> tuple[int, ...]:
        """Which candidate every position takes; 0 at a fixed one."""
        return tuple(0 if choice is None else self.choice[choice] for choice in self.space.choice_of)

    @cached_property
    def ops(self) -> tuple[Op, ...]:
        """The op of every position in network order, `skip` and `none` included."""
        return tuple(p.ops[i] for p, i in zip(self.space.positions, self.path, strict=True))

    @cached_property
    def live(self) -> tuple[bool, ...]:
        """Whether the image reaches a position and the position reaches the output; the last one is always live.

        In a chain all are. In a cell an edge that is `none` can cut others off.
        """
        return live_positions(self.space.edges, self.ops)

    @cached_property
    def executions(self) -> tuple[Execution, ...]:
        """What the live positions do, in network order; what was computed before is not computed again."""
        return executions(self.space.edges, self.ops, self.live)

    @property
    def live_ops(self) -> tuple[Op, ...]:
        """The ops that the network is built of and runs: `ops` without the dead ones."""
        return tuple(op for op, live in zip(self.ops, self.live, strict=True) if live)

    @property
    def connected(self) -> bool:
        """Whether a path leads from the image to the output."""
        return any(self.live[:-1])

    @property
    def flops(self) -> int:
        """Multiply-accumulates for one image, dead ops included: it adds up over the choices, as in NAS-Bench-201."""
        return sum(op.flops for op in self.ops)

    @property
    def params(self) -> int:
        """Trainable parameters, dead ops included."""
        return sum(op.params for op in self.ops)

    def memory_bytes(self, bytes_per_value: int = 4) -> int:
        """Peak activation memory for one image: the maximum over the ops, not a sum."""
        placed = zip(self.space.edges, self.ops, strict=True)
        return bytes_per_value * max(edge.peak_elements(op) for edge, op in placed)

    @property
    def depth(self) -> int:
        """Number of choices that take an op which computes something."""
        return sum(bool(c.ops[i].steps) for c, i in zip(self.space.choices, self.choice, strict=True))

    def distance(self, other: Architecture) -> int:
        """In how many choices the two differ."""
        return sum(a != b for a, b in zip(self.choice, other.choice, strict=True))

    def to_json(self) -> dict[str, Any]:
        """What rebuilds it anywhere: a few kilobytes, and as many again where no builder of the package can."""
        return {
            "hwnas_architecture": SCHEMA,
            "space": self.space.config.to_json(),
            "fingerprint": self.space.fingerprint,
            "choice": list(self.choice),
            "ops": [op.signature for op in self.ops],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Architecture:
        """Rebuild from `to_json`.

        Raises:
            InputError: another schema, an unknown space, or signatures that this version builds differently.
        """
        if not isinstance(data, dict) or data.get("hwnas_architecture") != SCHEMA:
            raise InputError(f"not an architecture of schema {SCHEMA}: {brief(data)}")
        schema = checked(ArchitectureSchema, data, "the architecture", way_out="write it anew with `hwnas generate -o`")
        try:
            arch = build(SpaceConfig.from_json(data["space"], "the architecture's space")).architecture(schema.choice)
        except UsageError as err:
            raise InputError(f"the architecture's space cannot be built: {err}") from err
        if [op.signature for op in arch.ops] != schema.ops:
            raise InputError(
                "the stored op signatures differ from what this version of hwnas builds for "
                f"{arch.space.name}: the file was edited or comes from another version"
            )
        return arch


def build(config: SpaceConfig) -> Space:
    """Build a space from its config: of the graph that it holds, else by the builder of its name.

    Raises:
        UnknownName: no such space.
        UsageError: parameters out of range, or a builder that gives no such space.
        InputError: a graph that is no space, or that ends otherwise than its head says.
    """
    if config.graph is not None:
        space = Space(config, config.graph.positions)
        check_input(space.positions, space.input_shape, f"space {config.name}")
        check_outputs(config, space.positions)
        return space
    description = describe(config.name)
    config.check()
    return description.make(config) if description.packaged else made_by(description.make, config)


def made_by(builder: Callable[[SpaceConfig], object], config: SpaceConfig) -> Space:
    """What somebody else's builder gives, as data: wherever it goes, it is rebuilt without the builder.

    Raises:
        UsageError: parameters out of range, or the builder fails or gives something else than a space of `config`.
    """
    config.check()
    try:
        space = builder(config)
    except HwnasError:
        raise
    except Exception as err:  # a stranger's code
        raise UsageError(f"the builder of space {config.name} failed: {type(err).__name__}: {err}") from err
    if not isinstance(space, Space):
        raise UsageError(f"the builder of space {config.name} must give a hwnas.space.Space; it gave {brief(space)}")
    asked = ((config.in_channels, *config.size), config.classes, config.head)
    given = (space.input_shape, space.config.classes, space.config.head)
    if given != asked:
        raise UsageError(f"the builder of space {config.name} was asked for (input, classes, head) {asked} and gave "
                         f"{given}: let it build what its config says")
    try:
        data = replace(space, config=replace(space.config, name=config.name)).as_data()
        return build(data.config)
    except InputError as err:
        raise UsageError(f"the builder of space {config.name} gave a space that cannot be: {err}") from err
