"""One candidate operation at one position, fully specified.

An `Op` expands once, in `Op.steps`, into primitive steps; the counts here, the torch module in
`hwnas.nets` and the ONNX graph in `hwnas.profile` all follow from those steps, so they cannot
drift apart. FLOPs means multiply-accumulates of convolutions and linear layers, everywhere.

Glossary
    k        kernel size, odd; padding is always k // 2
    e        expansion: hidden channels = e * in_channels
    H, W     height and width of the INPUT map; the output map is ceil(H / stride)
    steps    Conv (convolution without bias, batch norm, activation), SqueezeExcite, Shuffle,
             Pool (global average), Linear (with bias, activation)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from hwnas.errors import InputError

ACTIVATIONS = ("none", "relu", "relu6", "hswish")
KINDS = ("conv", "mbconv", "fbconv", "skip", "head")


def make_divisible(value: float, divisor: int = 8) -> int:
    """Round to the nearest multiple of `divisor`, never losing more than 10 % (MobileNetV2's rule)."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


@dataclass(frozen=True)
class Conv:
    """Convolution (no bias) + batch norm + activation on a map of `height` x `width`."""

    in_channels: int
    out_channels: int
    kernel: int
    stride: int
    groups: int
    act: str
    height: int
    width: int

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
        return weights + 2 * self.out_channels  # batch norm scale and shift

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
class Shuffle(_OnMap):
    """Channel shuffle between grouped 1x1 convolutions (ShuffleNet)."""

    groups: int


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


Step = Conv | SqueezeExcite | Shuffle | Pool | Linear

_SIGNATURE = re.compile(
    r"^(?P<kind>[a-z]+) k(?P<kernel>\d+) e(?P<expand>\d+) s(?P<stride>\d+) "
    r"(?P<cin>\d+)-(?P<cout>\d+) (?P<h>\d+)x(?P<w>\d+) (?P<act>[a-z0-9]+)"
    r"(?P<se> se)?(?: g(?P<groups>\d+))?(?: m(?P<hidden>\d+(?:-\d+)*))?$"
)


@dataclass(frozen=True)
class Op:
    """A candidate operation, fully specified; hashable, comparable, printable.

    Args:
        kind: one of `KINDS`. `conv`: convolution, batch norm, activation. `mbconv`: inverted residual
            (MobileNetV2), no expansion convolution when expand is 1. `fbconv`: FBNet's inverted residual,
            which always has the first 1x1 convolution, with `groups` on both 1x1 convolutions and a channel
            shuffle between. `skip`: identity. `head`: 1x1 conv to hidden[0], global average pooling, a linear
            layer per further entry of `hidden`, the classifier.
        kernel, expand, stride, groups, act, se: as in the signature.
        in_channels, out_channels: channels; for `head`, out_channels is the number of classes.
        height, width: of the input map.
        hidden: widths inside a head.

    Raises:
        InputError: if the values contradict each other.
    """

    kind: str
    in_channels: int
    out_channels: int
    height: int
    width: int
    kernel: int = 1
    expand: int = 1
    stride: int = 1
    act: str = "none"
    se: bool = False
    groups: int = 1
    hidden: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"op kind must be one of {', '.join(KINDS)}; got {self.kind!r}")
        if self.act not in ACTIVATIONS:
            raise InputError(f"activation must be one of {', '.join(ACTIVATIONS)}; got {self.act!r}")
        if self.kernel % 2 == 0:
            raise InputError(f"kernel must be odd (padding is k // 2); got {self.kernel}")
        sizes = (self.in_channels, self.out_channels, self.height, self.width, self.expand)
        if min(*sizes, self.stride, self.groups, self.kernel, *self.hidden) < 1:
            raise InputError(f"sizes of an op must be at least 1; got {self}")
        if any(channels % self.groups for channels in (self.in_channels, self.out_channels)):
            raise InputError(f"groups must divide the channels in and out; got {self}")
        if self.kind == "skip" and (self.stride != 1 or self.in_channels != self.out_channels):
            raise InputError(f"skip needs stride 1 and equal channels; got {self}")
        if self.kind == "head" and not self.hidden:
            raise InputError("head needs at least one hidden width")

    @property
    def signature(self) -> str:
        """Text form, the key of a latency table; `Op.parse` reads it back."""
        text = (
            f"{self.kind} k{self.kernel} e{self.expand} s{self.stride} "
            f"{self.in_channels}-{self.out_channels} {self.height}x{self.width} {self.act}"
        )
        text += " se" if self.se else ""
        text += f" g{self.groups}" if self.groups > 1 else ""
        return text + (f" m{'-'.join(map(str, self.hidden))}" if self.hidden else "")

    @classmethod
    def parse(cls, signature: str) -> Op:
        """Read a signature.

        Raises:
            InputError: if the text is not a signature.
        """
        found = _SIGNATURE.fullmatch(signature)
        if found is None:
            raise InputError(
                f"not an op signature: {signature!r}; expected e.g. "
                "'mbconv k5 e6 s2 24-40 56x56 relu6 se'"
            )
        hidden = found["hidden"]
        return cls(
            kind=found["kind"],
            kernel=int(found["kernel"]),
            expand=int(found["expand"]),
            stride=int(found["stride"]),
            in_channels=int(found["cin"]),
            out_channels=int(found["cout"]),
            height=int(found["h"]),
            width=int(found["w"]),
            act=found["act"],
            se=found["se"] is not None,
            groups=int(found["groups"] or 1),
            hidden=tuple(int(v) for v in hidden.split("-")) if hidden else (),
        )

    @property
    def label(self) -> str:
        """Short name inside a choice, e.g. 'k5 e6'."""
        if self.kind == "skip":
            return "skip"
        if self.kind == "conv":
            return f"conv k{self.kernel}"
        groups = f" g{self.groups}" if self.groups > 1 else ""
        return f"k{self.kernel} e{self.expand}{groups}" if self.kind != "head" else "head"

    @property
    def out_hw(self) -> tuple[int, int]:
        """Height and width of the output map."""
        return -(-self.height // self.stride), -(-self.width // self.stride)

    @property
    def residual(self) -> bool:
        """Whether the input is added to the output of the last step."""
        blocks = self.kind in ("mbconv", "fbconv")
        return blocks and self.stride == 1 and self.in_channels == self.out_channels

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The primitive steps in order; empty for `skip`."""
        if self.kind == "skip":
            return ()
        h, w = self.height, self.width
        if self.kind == "conv":
            return (
                Conv(self.in_channels, self.out_channels, self.kernel, self.stride, self.groups, self.act, h, w),
            )
        if self.kind == "head":
            first, *rest = self.hidden
            steps: list[Step] = [Conv(self.in_channels, first, 1, 1, 1, self.act, h, w), Pool(first, h, w)]
            for a, b in zip(self.hidden, rest, strict=False):
                steps.append(Linear(a, b, self.act))
            return (*steps, Linear(self.hidden[-1], self.out_channels, "none"))
        return tuple(self._block_steps())

    def _block_steps(self) -> list[Step]:
        h, w = self.height, self.width
        mid = self.in_channels * self.expand
        steps: list[Step] = []
        if self.expand > 1 or self.kind == "fbconv":
            steps.append(Conv(self.in_channels, mid, 1, 1, self.groups, self.act, h, w))
        if self.groups > 1:
            steps.append(Shuffle(mid, h, w, self.groups))
        steps.append(Conv(mid, mid, self.kernel, self.stride, mid, self.act, h, w))
        out_h, out_w = self.out_hw
        if self.se:
            steps.append(SqueezeExcite(mid, out_h, out_w, make_divisible(mid / 4)))
        steps.append(Conv(mid, self.out_channels, 1, 1, self.groups, "none", out_h, out_w))
        return steps

    @property
    def flops(self) -> int:
        """Multiply-accumulates for one image, exact."""
        return sum(step.flops for step in self.steps)

    @property
    def params(self) -> int:
        """Trainable parameters (weights, biases, batch norm scale and shift), exact."""
        return sum(step.params for step in self.steps)

    @property
    def peak_elements(self) -> int:
        """Most activation values alive at once while this op runs on one image.

        A step holds its input and its output; batch norm and activations work in place; a residual
        block holds its own input as well until the addition, except in its first step, whose input it is.
        A skip holds its map.
        """
        if not self.steps:
            return self.in_channels * self.height * self.width
        held = self.in_channels * self.height * self.width if self.residual else 0
        return max(
            step.elements_in + step.elements_out + (held if i else 0)
            for i, step in enumerate(self.steps)
        )
