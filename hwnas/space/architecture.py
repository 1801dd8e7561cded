"""One network of a space: an op index per choice, and the JSON that rebuilds it anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from hwnas.documents import brief
from hwnas.errors import InputError, UsageError
from hwnas.space.op import Op
from hwnas.space.position import SpaceConfig, live_positions
from hwnas.space.values import Step, steps
from hwnas.validation import MOST_OPS, Name, Schema, checked

if TYPE_CHECKING:
    from hwnas.space.space import Space

SCHEMA = 1


class ArchitectureSchema(Schema):
    """What an architecture's JSON holds beside its space."""

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
        return live_positions(self.space.wires, self.ops)

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """What the live positions do, in network order; what was computed before is not computed again."""
        return steps(self.space.wires, self.ops, self.live)

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
        placed = zip(self.space.wires, self.ops, strict=True)
        return bytes_per_value * max(wire.peak_elements(op) for wire, op in placed)

    @property
    def depth(self) -> int:
        """Number of choices that take an op which computes something."""
        return sum(bool(c.ops[i].steps) for c, i in zip(self.space.choices, self.choice, strict=True))

    def distance(self, other: Architecture) -> int:
        """In how many choices the two differ."""
        return sum(a != b for a, b in zip(self.choice, other.choice, strict=True))

    def to_json(self) -> dict[str, Any]:
        """A few kilobytes at most that rebuild it anywhere."""
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
        from hwnas.space.builtin import build  # the registry imports this module, by way of the space

        if not isinstance(data, dict) or data.get("hwnas_architecture") != SCHEMA:
            raise InputError(f"not an architecture of schema {SCHEMA}: {brief(data)}")
        found = checked(ArchitectureSchema, data, "the architecture", way_out="write it anew with `hwnas generate -o`")
        try:
            arch = build(SpaceConfig.from_json(data["space"], "the architecture's space")).architecture(found.choice)
        except UsageError as err:
            raise InputError(f"the architecture's space cannot be built: {err}") from err
        if [op.signature for op in arch.ops] != found.ops:
            raise InputError(
                "the stored op signatures differ from what this version of hwnas builds for "
                f"{arch.space.name}: the file was edited or comes from another version"
            )
        return arch
