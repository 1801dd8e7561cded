"""The primitive steps that ops are made of, with their counts for one image.

FLOPs are multiply-accumulates of convolutions and linear layers. `elements_in` and `elements_out` are the values of
the activations that a step takes and gives.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Conv:
    """Convolution + batch norm, unless `norm` is off, + activation on a map of `height` x `width`.

    A batch norm has the bias in it; `bias` gives one to a convolution without.
    """

    in_channels: int
    out_channels: int
    kernel: int
    stride: int
    groups: int
    act: str
    height: int
    width: int
    norm: bool = True
    bias: bool = False
    dilation: int = 1

    @property
    def pad(self) -> int:
        """Zeros at every edge, so that a map keeps its size at stride 1."""
        return self.dilation * (self.kernel // 2)

    @property
    def out_hw(self) -> tuple[int, int]:
        return -(-self.height // self.stride), -(-self.width // self.stride)

    @property
    def flops(self) -> int:
        h, w = self.out_hw
        return self.kernel**2 * (self.in_channels // self.groups) * self.out_channels * h * w

    @property
    def params(self) -> int:
        weights = self.kernel**2 * (self.in_channels // self.groups) * self.out_channels
        return weights + self.out_channels * (2 * self.norm + self.bias)  # batch norm has scale and shift

    @property
    def elements_in(self) -> int:
        return self.in_channels * self.height * self.width

    @property
    def elements_out(self) -> int:
        h, w = self.out_hw
        return self.out_channels * h * w


@dataclass(frozen=True)
class _OnMap:
    """A step on a map of `channels` x `height` x `width`; unless a kind says otherwise free, and keeping the shape."""

    channels: int
    height: int
    width: int

    @property
    def flops(self) -> int:
        return 0

    @property
    def params(self) -> int:
        return 0

    @property
    def elements_in(self) -> int:
        return self.channels * self.height * self.width

    @property
    def elements_out(self) -> int:
        return self.elements_in


@dataclass(frozen=True)
class SqueezeExcite(_OnMap):
    """Global average, 1x1 conv to `reduced`, ReLU, 1x1 conv back, hard sigmoid, scale."""

    reduced: int

    @property
    def flops(self) -> int:
        return 2 * self.channels * self.reduced

    @property
    def params(self) -> int:
        return 2 * self.channels * self.reduced + self.channels + self.reduced


@dataclass(frozen=True)
class Gate(_OnMap):
    """1x1 conv, batch norm, ReLU; scaled by sigmoid(1x1 conv of the global average) (LR-ASPP, Howard et al. 2019)."""

    out_channels: int

    @property
    def flops(self) -> int:
        return self.channels * self.out_channels * (self.height * self.width + 1)

    @property
    def params(self) -> int:
        return 2 * self.channels * self.out_channels + 2 * self.out_channels  # the second convolution has no bias

    @property
    def elements_out(self) -> int:
        return self.out_channels * self.height * self.width


@dataclass(frozen=True)
class Enlarge(_OnMap):
    """A map `scale` times as high and wide: each pixel repeated, or bilinear between pixel centres."""

    scale: int
    bilinear: bool

    @property
    def elements_out(self) -> int:
        return self.elements_in * self.scale**2


@dataclass(frozen=True)
class Shuffle(_OnMap):
    """Channel shuffle between grouped 1x1 convolutions (ShuffleNet)."""

    groups: int


@dataclass(frozen=True)
class Act(_OnMap):
    """An activation before anything else, out of place: its input belongs to others as well."""

    act: str


@dataclass(frozen=True)
class Norm(_OnMap):
    """Batch norm that no convolution comes before, then activation."""

    act: str

    @property
    def params(self) -> int:
        return 2 * self.channels


@dataclass(frozen=True)
class Average(_OnMap):
    """Average pooling over the pixels of each window that lie on the map; the map shrinks to ceil(size / stride)."""

    kernel: int
    stride: int

    @property
    def pad(self) -> int:
        return (self.kernel - 1) // 2

    @property
    def ragged(self) -> bool:
        """Whether windows at the far edges hang over it."""
        return self.kernel == self.stride and (self.height % self.stride > 0 or self.width % self.stride > 0)

    @property
    def elements_out(self) -> int:
        return self.channels * -(-self.height // self.stride) * -(-self.width // self.stride)


@dataclass(frozen=True)
class Pool(_OnMap):
    """Global average pooling to (channels,)."""

    @property
    def elements_out(self) -> int:
        return self.channels


@dataclass(frozen=True)
class Linear:
    """Fully connected layer with bias, then activation."""

    in_features: int
    out_features: int
    act: str

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


Step = Conv | SqueezeExcite | Gate | Enlarge | Shuffle | Act | Norm | Average | Pool | Linear
