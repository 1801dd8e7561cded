"""The primitives that ops are made of, with their counts for one image; those that convolve are in `convolutions`.

Every room lowers a primitive by `functools.singledispatch` (`hwnas.space.lowering`): a torch module in `hwnas.nets`,
ONNX nodes in `hwnas.profile`, work in `hwnas.latency`, readable source in `hwnas.export`. Sizes, kernels and strides
are tuples with one entry an axis of the map, so that two axes and three are one code.

Glossary
    size          (height, width) of a map, (depth, height, width) of a volume; a primitive states that of its input
    rank          number of axes of a map
    FLOPs         multiply-accumulates of convolutions and linear layers
    elements      values of an activation
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from hwnas.errors import InputError

Size = tuple[int, ...]


def strided(size: Sequence[int], stride: Sequence[int]) -> Size:
    """Size of a map of which every `stride`-th place is left along each axis, rounded up."""
    return tuple(-(-n // s) for n, s in zip(size, stride, strict=True))


class Primitive(ABC):
    """One thing that a runtime computes, fully specified; frozen, comparable.

    A new one states `elements_in`, `elements_out` and what it costs, and is registered with the lowering of every room
    that meets it.
    """

    @property
    def flops(self) -> int:
        """Multiply-accumulates for one image, exact."""
        return 0

    @property
    def params(self) -> int:
        """Parameters as deployed, batch norms counted with their scale and shift."""
        return 0

    @property
    def trained_params(self) -> int:
        """Parameters of the torch module; more than `params` where branches are fused after training."""
        return self.params

    @property
    @abstractmethod
    def elements_in(self) -> int:
        """Activation values that it takes."""

    @property
    @abstractmethod
    def elements_out(self) -> int:
        """Activation values that it gives."""

    @property
    def peak_elements(self) -> int:
        """Most activation values alive at once while it runs."""
        return self.elements_in + self.elements_out

    @property
    def flat(self) -> bool:
        """Whether it gives features alone, without the axes of a map."""
        return False

    @property
    def sums_apart(self) -> bool:
        """Whether a runtime adds what it gives to a sum in a kernel of its own; a convolution adds up in its own."""
        return False


@dataclass(frozen=True)
class OnMap(Primitive):
    """A primitive on a map of `channels` and `size`; unless a kind says otherwise free, and keeping the shape."""

    channels: int
    size: Size

    @property
    def elements_in(self) -> int:
        return self.channels * prod(self.size)

    @property
    def elements_out(self) -> int:
        return self.elements_in


@dataclass(frozen=True)
class SqueezeExcite(OnMap):
    """Global average, 1x1 conv to `reduced`, ReLU, 1x1 conv back, hard sigmoid, scale."""

    reduced: int

    @property
    def flops(self) -> int:
        return 2 * self.channels * self.reduced

    @property
    def params(self) -> int:
        return 2 * self.channels * self.reduced + self.channels + self.reduced


@dataclass(frozen=True)
class SplitAttention(OnMap):
    """A map whose channels stand `splits` times in a row, merged to one of each by weights from all of them.

    Global average, sum of the splits, 1x1 conv to `reduced`, ReLU, 1x1 conv back to all splits, softmax over the splits
    of a channel, weighted sum (Zhang et al., ResNeSt, arXiv 2004.08955, without their batch norm between the two).

    Args:
        channels: of what it gives.
        splits: two or more.
    """

    splits: int
    reduced: int

    @property
    def elements_in(self) -> int:
        return self.splits * self.channels * prod(self.size)

    @property
    def elements_out(self) -> int:
        return self.channels * prod(self.size)

    @property
    def flops(self) -> int:
        return (1 + self.splits) * self.channels * self.reduced

    @property
    def params(self) -> int:
        return (1 + self.splits) * self.channels * self.reduced + self.splits * self.channels + self.reduced

    @property
    def peak_elements(self) -> int:
        return 2 * self.elements_in  # all splits, and all of them weighted


@dataclass(frozen=True)
class Upsample(OnMap):
    """A map `scale` times as large along every axis: each place repeated, or bilinear between pixel centres.

    Raises:
        InputError: bilinear on a map that has not two axes.
    """

    scale: int
    bilinear: bool

    def __post_init__(self) -> None:
        if self.bilinear and len(self.size) != 2:
            raise InputError(f"only a map of two axes is enlarged bilinearly; got {self.size}: repeat its places")

    @property
    def out_size(self) -> Size:
        """Size of the output map."""
        return tuple(n * self.scale for n in self.size)

    @property
    def elements_out(self) -> int:
        return self.channels * prod(self.out_size)


@dataclass(frozen=True)
class Concat(OnMap):
    """A map beside zeros that fill it up to `out_channels`: what a concatenation of maps moves.

    Raises:
        InputError: nothing is left to fill up.
    """

    out_channels: int

    def __post_init__(self) -> None:
        if self.out_channels <= self.channels:
            raise InputError(f"a concatenation has more channels than its first part; got {self}")

    @property
    def elements_out(self) -> int:
        return self.out_channels * prod(self.size)


@dataclass(frozen=True)
class Shuffle(OnMap):
    """Channel shuffle between grouped 1x1 convolutions (ShuffleNet)."""

    groups: int


@dataclass(frozen=True)
class Act(OnMap):
    """An activation before anything else, out of place: its input belongs to others as well."""

    act: str


@dataclass(frozen=True)
class Norm(OnMap):
    """Batch norm that no convolution comes before, then activation."""

    act: str = "none"

    @property
    def params(self) -> int:
        return 2 * self.channels


@dataclass(frozen=True)
class AvgPool(OnMap):
    """Average pooling over the places of each window that lie on the map; the map shrinks to ceil(size / stride)."""

    kernel: Size
    stride: Size

    @property
    def sums_apart(self) -> bool:
        return True

    @property
    def pad(self) -> Size:
        """Places at every edge that a window may hang over."""
        return tuple((k - 1) // 2 for k in self.kernel)

    @property
    def ragged(self) -> bool:
        """Whether windows at the far edges hang over it."""
        return self.kernel == self.stride and any(n % s for n, s in zip(self.size, self.stride, strict=True))

    @property
    def out_size(self) -> Size:
        """Size of the output map."""
        return strided(self.size, self.stride)

    @property
    def elements_out(self) -> int:
        return self.channels * prod(self.out_size)


@dataclass(frozen=True)
class MaxPool(AvgPool):
    """The largest of the places of each window that lie on the map."""


@dataclass(frozen=True)
class GlobalAvgPool(OnMap):
    """Global average pooling to (channels,)."""

    @property
    def flat(self) -> bool:
        return True

    @property
    def elements_out(self) -> int:
        return self.channels


@dataclass(frozen=True)
class Linear(Primitive):
    """Fully connected layer with bias, then activation."""

    in_features: int
    out_features: int
    act: str = "none"

    @property
    def flops(self) -> int:
        return self.in_features * self.out_features

    @property
    def params(self) -> int:
        return self.in_features * self.out_features + self.out_features

    @property
    def elements_in(self) -> int:
        return self.in_features

    @property
    def elements_out(self) -> int:
        return self.out_features

    @property
    def flat(self) -> bool:
        return True
