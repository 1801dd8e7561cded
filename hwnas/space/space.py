"""Spaces, choices and architectures: what can be built.

Glossary
    position   a node of the network graph: one op, or a choice of ops
    choice     a position with two or more candidate ops; choices are numbered in network order
    op index   which candidate a choice takes
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import networkx as nx
import numpy as np

from hwnas.errors import InputError, UsageError
from hwnas.space.op import Op

SCHEMA = 1


@dataclass(frozen=True)
class SpaceConfig:
    """Everything that rebuilds a space: the name of its builder and the parameters.

    Args:
        name: a built-in space, see `hwnas spaces`.
        imgsz: height and width of the input in pixels.
        in_channels: channels of the input image, 1 or 3.
        classes: number of classes.
        width_mult: multiplies every channel count, rounded to multiples of 8.
        depth: layers per stage; None takes the space's own.
    """

    name: str
    imgsz: int
    in_channels: int = 3
    classes: int = 1000
    width_mult: float = 1.0
    depth: int | None = None


@dataclass(frozen=True)
class Position:
    """A node of the network: its name and its candidate ops (one op: fixed)."""

    name: str
    ops: tuple[Op, ...]

    @property
    def is_choice(self) -> bool:
        return len(self.ops) > 1


@dataclass(frozen=True)
class Space:
    """A family of networks: positions wired as a DAG, each fixed or a choice.

    Args:
        config: what rebuilds it.
        positions: in topological order; the built-in spaces are chains.

    Raises:
        InputError: if shapes of neighbouring positions do not fit.
    """

    config: SpaceConfig
    positions: tuple[Position, ...]

    def __post_init__(self) -> None:
        for before, after in zip(self.positions, self.positions[1:], strict=False):
            outs = {(op.out_channels, *op.out_hw) for op in before.ops}
            ins = {(op.in_channels, op.height, op.width) for op in after.ops}
            if len(outs) != 1 or outs != ins:
                raise InputError(f"{before.name} gives {outs} but {after.name} takes {ins}")

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of the input image."""
        return (self.config.in_channels, self.config.imgsz, self.config.imgsz)

    @cached_property
    def graph(self) -> nx.DiGraph:
        """The wiring: nodes are position names with attribute `position`, edges carry maps."""
        graph = nx.DiGraph()
        for position in self.positions:
            graph.add_node(position.name, position=position)
        nx.add_path(graph, [p.name for p in self.positions])
        return graph

    @cached_property
    def choices(self) -> tuple[Position, ...]:
        """Positions with two or more candidates, in network order."""
        return tuple(p for p in self.positions if p.is_choice)

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
        """Every distinct signature that any architecture can need, in network order."""
        return tuple(
            dict.fromkeys(op.signature for p in self.positions for op in p.ops if op.kind != "skip")
        )

    @property
    def fixed_ops(self) -> tuple[Op, ...]:
        """Ops of the positions that are not choices."""
        return tuple(p.ops[0] for p in self.positions if not p.is_choice)

    @property
    def fingerprint(self) -> str:
        """Hash over every candidate's signature: two spaces with it equal build the same networks."""
        text = "\n".join("|".join(op.signature for op in p.ops) for p in self.positions)
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
        return self.architecture([flops.index(max(flops)) for flops in self._flops()])

    def smallest(self) -> Architecture:
        """At every choice the candidate with the fewest FLOPs."""
        return self.architecture([flops.index(min(flops)) for flops in self._flops()])

    def _flops(self) -> list[list[int]]:
        return [[op.flops for op in choice.ops] for choice in self.choices]


@dataclass(frozen=True)
class Architecture:
    """One op index per choice of a space.

    Raises:
        InputError: wrong length or an index out of range.
    """

    space: Space
    choice: tuple[int, ...]

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
    def ops(self) -> tuple[Op, ...]:
        """The op of every position in network order, skips included."""
        picked = iter(self.choice)
        return tuple(p.ops[next(picked)] if p.is_choice else p.ops[0] for p in self.space.positions)

    @property
    def flops(self) -> int:
        """Multiply-accumulates for one image."""
        return sum(op.flops for op in self.ops)

    @property
    def params(self) -> int:
        """Trainable parameters."""
        return sum(op.params for op in self.ops)

    def memory_bytes(self, bytes_per_value: int = 4) -> int:
        """Peak activation memory for one image: the maximum over the ops, not a sum."""
        return bytes_per_value * max(op.peak_elements for op in self.ops)

    @property
    def depth(self) -> int:
        """Number of choices that are not skipped."""
        return sum(c.ops[i].kind != "skip" for c, i in zip(self.space.choices, self.choice, strict=True))

    def distance(self, other: Architecture) -> int:
        """In how many choices the two differ."""
        return sum(a != b for a, b in zip(self.choice, other.choice, strict=True))

    def to_json(self) -> dict[str, Any]:
        """A few hundred bytes that rebuild it anywhere."""
        return {
            "hwnas_architecture": SCHEMA,
            "space": asdict(self.space.config),
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
        from hwnas.space.builtin import build  # the registry imports this module

        if not isinstance(data, dict) or data.get("hwnas_architecture") != SCHEMA:
            raise InputError(
                f"not an architecture of schema {SCHEMA}: {json.dumps(data, default=str)[:80]}"
            )
        try:
            arch = build(SpaceConfig(**data["space"])).architecture(data["choice"])
            stored = data["ops"]
        except (KeyError, TypeError, ValueError, OverflowError, UsageError) as err:
            raise InputError(f"architecture file is incomplete or malformed: {err!r}") from err
        if [op.signature for op in arch.ops] != stored:
            raise InputError(
                "the stored op signatures differ from what this version of hwnas builds for "
                f"{arch.space.name}: the file was edited or comes from another version"
            )
        return arch
