"""A network that is a chain, position by position; the backbone of every space but the cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hwnas.space.config import SpaceConfig
from hwnas.space.heads import with_head
from hwnas.space.op import Op
from hwnas.space.position import Position
from hwnas.space.rounding import make_divisible
from hwnas.space.space import Space


@dataclass(frozen=True)
class Stage:
    """`layers` choices of one width; the first one carries the stride."""

    width: int
    layers: int
    stride: int
    act: str
    se: bool = False


class Chain:
    """Adds positions one behind the other and keeps track of the shape."""

    def __init__(self, config: SpaceConfig) -> None:
        self.config, self.channels = config, config.in_channels
        self.height, self.width = config.size
        self.positions: list[Position] = []

    def scale(self, width: int) -> int:
        """A channel count after the width multiplier."""
        return make_divisible(width * self.config.width_mult)

    def fixed(self, name: str, kind: str, out: int, *, kernel: int = 1, stride: int = 1, act: str = "none",
              se: bool = False, hidden: tuple[int, ...] = ()) -> None:
        """One op that is no choice."""
        op = Op(kind, self.channels, out, self.height, self.width, kernel=kernel, stride=stride, act=act, se=se,
                hidden=hidden)
        self._append(Position(name, (op,)))

    def stages(self, stages: Sequence[Stage], candidates: Callable[[Op], tuple[Op, ...]]) -> None:
        """A choice per layer; `candidates` makes its ops of an mbconv k3 e1 of its shape."""
        for s, stage in enumerate(stages, 1):
            for layer in range(stage.layers):
                blank = Op("mbconv", self.channels, self.scale(stage.width), self.height, self.width, kernel=3,
                           stride=stage.stride if layer == 0 else 1, act=stage.act, se=stage.se)
                self._append(Position(f"stage{s}.{layer + 1}", candidates(blank)))

    def finished(self, *, act: str, hidden: tuple[int, ...]) -> Space:
        """The space: with the config's head, or with a classifier of `hidden` widths.

        Raises:
            UsageError: the backbone has no maps of the strides that the head reads.
        """
        if self.config.head:
            return Space(self.config, with_head(self.config, self.positions))
        self.fixed("head", "head", self.config.classes, act=act, hidden=hidden)
        return Space(self.config, tuple(self.positions))

    def _append(self, position: Position) -> None:
        self.positions.append(position)
        op = position.ops[0]
        self.channels, (self.height, self.width) = op.out_channels, op.out_hw
