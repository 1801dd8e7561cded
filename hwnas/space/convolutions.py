"""Primitives that convolve, and what holds convolutions: with parallel branches, in branches that are summed, gated."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod

from hwnas.errors import InputError
from hwnas.space.primitives import OnMap, Primitive, Size, strided


@dataclass(frozen=True)
class Conv(Primitive):
    """Convolution + batch norm, unless `norm` is off, + activation.

    A batch norm has the bias in it; `bias` gives one to a convolution without.

    Args:
        in_channels, out_channels: channels.
        size: of the input map.
        kernel, stride: one number an axis; empty stands for ones.
        groups: of channels that do not see each other.
        act: activation.
        dilation: distance of the taps along every axis.

    Raises:
        InputError: kernel or stride has another number of axes than the map.
    """

    in_channels: int
    out_channels: int
    size: Size
    kernel: Size = ()
    stride: Size = ()
    groups: int = 1
    act: str = "none"
    norm: bool = True
    bias: bool = False
    dilation: int = 1

    def __post_init__(self) -> None:
        for name in ("kernel", "stride"):
            given = getattr(self, name) or (1,) * len(self.size)
            if len(given) != len(self.size):
                raise InputError(f"a convolution needs one {name} an axis of its map {self.size}; got {given}")
            object.__setattr__(self, name, tuple(given))

    @property
    def pad(self) -> Size:
        """Zeros at every edge, so that a map keeps its size at stride 1."""
        return tuple(self.dilation * (k // 2) for k in self.kernel)

    @cached_property
    def out_size(self) -> Size:
        """Size of the output map."""
        return strided(self.size, self.stride)

    @property
    def depthwise(self) -> bool:
        """Whether every channel is convolved by itself."""
        return self.groups == self.in_channels > 1

    @property
    def pointwise(self) -> bool:
        """Whether the kernel is a single place."""
        return prod(self.kernel) == 1

    @property
    def flops(self) -> int:
        return self.weights * prod(self.out_size)

    @property
    def weights(self) -> int:
        """Entries of the kernel."""
        return prod(self.kernel) * (self.in_channels // self.groups) * self.out_channels

    @property
    def params(self) -> int:
        return self.weights + self.out_channels * (2 * self.norm + self.bias)  # batch norm has scale and shift

    @property
    def elements_in(self) -> int:
        return self.in_channels * prod(self.size)

    @property
    def elements_out(self) -> int:
        return self.out_channels * prod(self.out_size)


@dataclass(frozen=True)
class RepConv(Conv):
    """A convolution with bias that was trained as parallel branches (RepVGG, Ding et al., CVPR 2021).

    Deployed, counted and timed as the one convolution; trained as the sum of convolutions with `branches` as kernels,
    each with its batch norm, and, where `identity`, of the batch norm of the input itself.

    Args:
        branches: kernels of the branches, none larger than `kernel` and all odd.
        identity: whether there is a branch without a convolution.

    Raises:
        InputError: the branches cannot be fused into one convolution of this kernel.
    """

    norm: bool = False
    bias: bool = True
    branches: tuple[Size, ...] = ()
    identity: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        fits = all(len(k) == len(self.kernel) and all(a <= b and (b - a) % 2 == 0
                   for a, b in zip(k, self.kernel, strict=True)) for k in self.branches)
        moves = self.in_channels != self.out_channels or prod(self.stride) > 1
        plain = self.bias and not self.norm and self.dilation == 1
        if not (fits and plain and self.branches) or (self.identity and moves):
            raise InputError(f"branches {self.branches}{' and an identity' * self.identity} cannot be fused into a "
                             f"convolution {self.in_channels}-{self.out_channels} of kernel {self.kernel}, stride "
                             f"{self.stride}: none may be larger, an identity keeps its shape")

    @property
    def parts(self) -> tuple[Conv, ...]:
        """The convolutions that are trained."""
        return tuple(Conv(self.in_channels, self.out_channels, self.size, k, self.stride, self.groups)
                     for k in self.branches)

    @property
    def deployed(self) -> Conv:
        """The convolution that they are fused into."""
        return Conv(self.in_channels, self.out_channels, self.size, self.kernel, self.stride, self.groups, self.act,
                    norm=False, bias=True)

    @property
    def trained_params(self) -> int:
        return sum(part.params for part in self.parts) + 2 * self.out_channels * self.identity


@dataclass(frozen=True)
class Parallel(Primitive):
    """Branches of one map, summed, + activation. An empty branch is the map itself.

    Args:
        branches: the primitives of every branch in order.
        act: activation of the sum.

    Raises:
        InputError: fewer than two branches, none of which computes anything, or they differ in what they take or give.
    """

    branches: tuple[tuple[Primitive, ...], ...]
    act: str = "none"

    def __post_init__(self) -> None:
        shapes = {(b[0].elements_in, b[-1].elements_out) for b in self.branches if b}
        fits = len(self.branches) > 1 and len(shapes) == 1
        if not fits or (() in self.branches and any(a != b for a, b in shapes)):
            raise InputError(f"branches that are summed must be two or more of one shape in and out; got {shapes}")

    @property
    def flops(self) -> int:
        return sum(p.flops for branch in self.branches for p in branch)

    @property
    def params(self) -> int:
        return sum(p.params for branch in self.branches for p in branch)

    @property
    def trained_params(self) -> int:
        return sum(p.trained_params for branch in self.branches for p in branch)

    @property
    def elements_in(self) -> int:
        return next(b for b in self.branches if b)[0].elements_in

    @property
    def elements_out(self) -> int:
        return next(b for b in self.branches if b)[-1].elements_out

    @property
    def peak_elements(self) -> int:
        """The map and the sum so far are held while a branch runs; the map counts once where a branch reads it."""
        found = [self.elements_in + 2 * self.elements_out]
        for i, branch in enumerate(self.branches):
            held = self.elements_out if i else 0
            found += [p.peak_elements + held + (self.elements_in if j else 0) for j, p in enumerate(branch)]
        return max(found)


@dataclass(frozen=True)
class Gate(OnMap):
    """1x1 conv, batch norm, ReLU; scaled by sigmoid(1x1 conv of the global average) (LR-ASPP, Howard et al. 2019)."""

    out_channels: int

    @property
    def features(self) -> Conv:
        """What is scaled."""
        return Conv(self.channels, self.out_channels, self.size, act="relu")

    @property
    def scale(self) -> Conv:
        """What makes the gate of the averages."""
        return Conv(self.channels, self.out_channels, (1,) * len(self.size), norm=False)

    @property
    def flops(self) -> int:
        return self.features.flops + self.scale.flops

    @property
    def params(self) -> int:
        return self.features.params + self.scale.params

    @property
    def elements_out(self) -> int:
        return self.features.elements_out
