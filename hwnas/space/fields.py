"""What an op states: the fields that its kind makes primitives of.

Glossary
    size      of the input map, one number an axis: (height, width), or (depth, height, width) of a volume
    kernels, strides    one number an axis; kernels are odd, padding is always k // 2
    e         expansion: hidden channels = e * in_channels
    dilation  distance of the taps along every axis; scale: how many times as large the output is along every axis
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hwnas.errors import InputError
from hwnas.space.primitives import Size, strided

RANKS = (1, 2, 3)  # axes of a map: a series, an image, a volume
ACTIVATIONS = ("none", "relu", "relu6", "hswish")


@dataclass(frozen=True, init=False)
class OpFields:
    """The fields of an op; hashable, comparable. `hwnas.space.op.Op` gives them a meaning."""

    kind: str
    in_channels: int
    out_channels: int
    size: Size
    kernels: Size
    expand: int
    strides: Size
    act: str
    se: bool
    groups: int
    hidden: tuple[int, ...]
    dilation: int
    scale: int
    own: tuple[tuple[str, int], ...]

    def __init__(
        self, kind: str, in_channels: int, out_channels: int, height: int | None = None, width: int | None = None,
        kernel: int | Sequence[int] | None = None, expand: int = 1, stride: int | Sequence[int] | None = None,
        act: str = "none", se: bool = False, groups: int = 1, hidden: Sequence[int] = (), dilation: int = 1,
        scale: int = 1, *, size: Sequence[int] = (), kernels: Sequence[int] = (), strides: Sequence[int] = (),
        own: Mapping[str, int] | Sequence[tuple[str, int]] = (),
    ) -> None:
        sides = _sides(tuple(size), height, width)
        found = {
            "kind": kind, "in_channels": in_channels, "out_channels": out_channels, "size": sides,
            "kernels": _per_axis("kernel", kernels if kernel is None else kernel, len(sides)), "expand": expand,
            "strides": _per_axis("stride", strides if stride is None else stride, len(sides)), "act": act, "se": se,
            "groups": groups, "hidden": tuple(hidden), "dilation": dilation, "scale": scale,
            "own": tuple(sorted(dict(own).items())),
        }
        for name, value in found.items():
            object.__setattr__(self, name, value)
        self._check()

    def _check(self) -> None:
        """What holds of the fields of every op."""
        if self.act not in ACTIVATIONS:
            raise InputError(f"activation must be one of {', '.join(ACTIVATIONS)}; got {self.act!r}")
        if len(self.size) not in RANKS:
            raise InputError(f"a map has one to three axes, e.g. height and width; got {self.size}")
        if any(k % 2 == 0 for k in self.kernels):
            raise InputError(f"kernel must be odd (padding is k // 2); got {text_of(self.kernels)}")
        channels = (self.in_channels, self.out_channels)
        sizes = (*channels, *self.size, *self.kernels, *self.strides, *self.hidden)
        if min(*sizes, self.expand, self.groups, self.dilation, self.scale) < 1:
            raise InputError(f"sizes of an op must be at least 1; got {self}")
        if any(n % self.groups for n in channels):
            raise InputError(f"groups must divide the channels in and out; got {self}")

    @property
    def height(self) -> int:
        """Of the input map: its last axis but one."""
        return self.size[-2]

    @property
    def width(self) -> int:
        """Of the input map: its last axis."""
        return self.size[-1]

    @property
    def kernel(self) -> int:
        """The largest side of the kernel; of most ops the only one."""
        return max(self.kernels)

    @property
    def stride(self) -> int:
        """The largest stride; of most ops the only one."""
        return max(self.strides)

    @property
    def out_size(self) -> Size:
        """Size of the output map."""
        return tuple(n * self.scale for n in strided(self.size, self.strides))

    @property
    def keeps_shape(self) -> bool:
        """Whether the output has the shape of the input."""
        return self.in_channels == self.out_channels and self.out_size == self.size


def text_of(axes: Sequence[int]) -> str:
    """'3' where every axis has it, else '1x3x3'."""
    return str(axes[0]) if len(set(axes)) == 1 else "x".join(map(str, axes))


def _sides(size: Size, height: int | None, width: int | None) -> Size:
    """The size of a map: what is given of its last two axes by name goes before `size`."""
    named = (height, width)
    if not size:
        return tuple(side for side in named if side is not None)
    kept = size[-2:]
    return (*size[:-2], *(n if given is None else given for n, given in zip(kept, named[-len(kept):], strict=True)))


def _per_axis(name: str, given: int | Sequence[int], rank: int) -> Size:
    """One number an axis.

    Raises:
        InputError: another number of axes.
    """
    axes = (given,) * rank if isinstance(given, int) else tuple(given) or (1,) * rank
    if len(axes) != rank:
        raise InputError(f"{name} must be one number, or one an axis of the map ({rank}); got {axes}")
    return axes
