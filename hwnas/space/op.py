"""One candidate operation at one position, fully specified.

An `Op` expands once, in `Op.steps`, into primitive steps; the counts here, the torch module in
`hwnas.nets` and the ONNX graph in `hwnas.profile` all follow from those steps, so they cannot
drift apart. FLOPs means multiply-accumulates of convolutions and linear layers, everywhere.

Glossary
    k        kernel size, odd; padding is always k // 2
    e        expansion: hidden channels = e * in_channels
    H, W     height and width of the INPUT map; the output map is scale * ceil(H / stride)
    d        dilation of a depthwise convolution: its taps are d pixels apart
    steps    see `hwnas.space.steps`
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from hwnas.documents import brief
from hwnas.errors import InputError
from hwnas.space.steps import (
    Act,
    Average,
    Conv,
    Enlarge,
    Gate,
    Linear,
    Norm,
    Pool,
    Shuffle,
    SqueezeExcite,
    Step,
)

ACTIVATIONS = ("none", "relu", "relu6", "hswish")
KINDS = (
    "conv", "mbconv", "fbconv", "skip", "head",
    "preconv", "avgpool", "shortcut", "identity", "none",
    "predict", "classify", "nearest", "bilinear", "resize", "gate", "atrous",
)
ENLARGING = ("nearest", "bilinear", "resize")
UNCHANGED = ("skip", "identity", "avgpool", *ENLARGING)  # as many channels out as in
STILL = (*UNCHANGED, "none", "predict", "classify", "gate", "atrous")  # stride 1
FREE = ("skip", "none")  # a runtime executes nothing for them
LAST = ("head", "predict", "resize")  # what they give leaves the network
BUILT = {"bilinear": 2, "resize": 2}  # graphs changed since their first form: an entry of an older one is of another op


def make_divisible(value: float, divisor: int = 8) -> int:
    """Round to the nearest multiple of `divisor`, never losing more than 10 % (MobileNetV2's rule)."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


_LABELS = {
    "skip": "skip", "identity": "skip", "none": "none", "head": "head", "shortcut": "shortcut", "conv": "conv k{}",
    "preconv": "conv k{}", "avgpool": "pool k{}", "predict": "predict k{}", "nearest": "up", "bilinear": "up",
    "resize": "up", "gate": "gate", "classify": "classify",
}

_SIGNATURE = re.compile(
    r"^(?P<kind>[a-z]+) k(?P<kernel>#) e(?P<expand>#) s(?P<stride>#) "
    r"(?P<cin>#)-(?P<cout>#) (?P<h>#)x(?P<w>#) (?P<act>[a-z0-9]+)"
    r"(?P<se> se)?(?: g(?P<groups>#))?(?: d(?P<dilation>#))?(?: x(?P<scale>#))?"
    r"(?: m(?P<hidden>#(?:-#){0,7}))?(?: v#)?$".replace("#", "[0-9]{1,6}")
)
LARGEST = 10**18  # inputs, outputs, taps and expansion of an op multiplied: with it, every count fits into 64 bits


@dataclass(frozen=True)
class Op:
    """A candidate operation, fully specified; hashable, comparable, printable.

    Args:
        kind: one of `KINDS`. `conv`: convolution, batch norm, activation. `mbconv`: inverted residual
            (MobileNetV2), no expansion convolution when expand is 1. `fbconv`: FBNet's inverted residual,
            which always has the first 1x1 convolution, with `groups` on both 1x1 convolutions and a channel
            shuffle between. `skip`: nothing at all in a chain. `head`: 1x1 conv to hidden[0], global average
            pooling, a linear layer per further entry of `hidden`, the classifier; with no `hidden` batch norm and
            activation take the place of the convolution. Ops on the edges of cells, whose outputs are added up:
            `preconv` activation, convolution, batch norm; `avgpool` average pooling that leaves the padding out;
            `identity`, which costs an addition; `none`, an edge that is not there; `shortcut` average pooling over
            stride x stride, then a 1x1 convolution without batch norm. Ops of detectors and segmenters: `predict`
            depthwise convolution unless kernel is 1, then a 1x1 convolution with bias and neither batch norm nor
            activation; `classify` such a 1x1 convolution whose output stays in the network; `nearest` and `bilinear` a
            map `scale` times as large; `resize` the same as `bilinear`, at the end of a network; `gate` see
            `steps.Gate`; `atrous` depthwise convolution with `dilation`, then a 1x1.
        kernel, expand, stride, groups, act, se, dilation, scale: as in the signature.
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
    dilation: int = 1
    scale: int = 1

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"op kind must be one of {', '.join(KINDS)}; got {self.kind!r}")
        if self.act not in ACTIVATIONS:
            raise InputError(f"activation must be one of {', '.join(ACTIVATIONS)}; got {self.act!r}")
        if self.kernel % 2 == 0:
            raise InputError(f"kernel must be odd (padding is k // 2); got {self.kernel}")
        sizes = (self.in_channels, self.out_channels, self.height, self.width, self.expand)
        if min(*sizes, self.stride, self.groups, self.kernel, self.dilation, self.scale, *self.hidden) < 1:
            raise InputError(f"sizes of an op must be at least 1; got {self}")
        if any(channels % self.groups for channels in (self.in_channels, self.out_channels)):
            raise InputError(f"groups must divide the channels in and out; got {self}")
        unequal = self.kind in UNCHANGED and self.in_channels != self.out_channels
        if unequal or (self.kind in STILL and self.stride != 1):
            raise InputError(f"{self.kind} needs stride 1{' and equal channels' if unequal else ''}; got {self}")
        if (self.scale > 1 and self.kind not in ENLARGING) or (self.dilation > 1 and self.kind != "atrous"):
            raise InputError(f"only {', '.join(ENLARGING)} have a scale, only atrous has a dilation; got {self}")

    @property
    def signature(self) -> str:
        """Text form, the key of a latency table; `Op.parse` reads it back."""
        text = (
            f"{self.kind} k{self.kernel} e{self.expand} s{self.stride} "
            f"{self.in_channels}-{self.out_channels} {self.height}x{self.width} {self.act}"
        )
        text += " se" if self.se else ""
        text += f" g{self.groups}" if self.groups > 1 else ""
        text += f" d{self.dilation}" if self.dilation > 1 else ""
        text += f" x{self.scale}" if self.scale > 1 else ""
        text += f" m{'-'.join(map(str, self.hidden))}" if self.hidden else ""
        return text + (f" v{BUILT[self.kind]}" if self.kind in BUILT else "")

    @classmethod
    def parse(cls, signature: str) -> Op:
        """Read a signature.

        Raises:
            InputError: if the text is not a signature.
        """
        found = _SIGNATURE.fullmatch(signature)
        if found is None:
            raise InputError(f"not an op signature: {brief(signature)}; expected e.g. "
                             "'mbconv k5 e6 s2 24-40 56x56 relu6 se'")
        hidden = found["hidden"]
        op = cls(
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
            dilation=int(found["dilation"] or 1),
            scale=int(found["scale"] or 1),
            hidden=tuple(int(v) for v in hidden.split("-")) if hidden else (),
        )
        if op._extent > LARGEST:
            raise InputError(f"the op {signature!r} is larger than any that is run: check its sizes")
        return op

    @property
    def _extent(self) -> int:
        """Never less than a hundredth of what its counts come to."""
        inner = max((self.in_channels * self.expand, self.out_channels, *self.hidden))
        return self.height * self.width * self.scale**2 * self.kernel**2 * inner**2

    @property
    def label(self) -> str:
        """Short name inside a choice, e.g. 'k5 e6'."""
        if self.kind in _LABELS:
            return _LABELS[self.kind].format(self.kernel)
        if self.kind == "atrous":
            return f"k{self.kernel} d{self.dilation}"
        groups = f" g{self.groups}" if self.groups > 1 else ""
        return f"k{self.kernel} e{self.expand}{groups}"

    @property
    def timed(self) -> bool:
        """Whether a latency table has an entry for it: a runtime executes something."""
        return self.kind not in FREE

    @property
    def out_hw(self) -> tuple[int, int]:
        """Height and width of the output map."""
        return -(-self.height // self.stride) * self.scale, -(-self.width // self.stride) * self.scale

    @property
    def last(self) -> bool:
        """Whether what it gives leaves the network."""
        return self.kind in LAST

    @property
    def residual(self) -> bool:
        """Whether the input is added to the output of the last step."""
        blocks = self.kind in ("mbconv", "fbconv")
        return blocks and self.stride == 1 and self.in_channels == self.out_channels

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The primitive steps in order; none for `skip`, `identity` and `none`."""
        c, out, h, w = self.in_channels, self.out_channels, self.height, self.width
        match self.kind:
            case "conv":
                return (Conv(c, out, self.kernel, self.stride, self.groups, self.act, h, w),)
            case "preconv":
                return Act(c, h, w, self.act), Conv(c, out, self.kernel, self.stride, self.groups, "none", h, w)
            case "avgpool":
                return (Average(c, h, w, self.kernel, 1),)
            case "shortcut":
                return (Average(c, h, w, self.stride, self.stride),
                        Conv(c, out, 1, 1, 1, "none", *self.out_hw, norm=False))
            case "head":
                return tuple(self._head_steps())
            case "predict" | "atrous":
                return tuple(self._separable_steps())
            case "classify":
                return (Conv(c, out, 1, 1, 1, "none", h, w, norm=False, bias=True),)
            case "nearest" | "bilinear" | "resize":
                return (Enlarge(c, h, w, self.scale, self.kind != "nearest"),)
            case "gate":
                return (Gate(c, h, w, out),)
            case "mbconv" | "fbconv":
                return tuple(self._block_steps())
        return ()

    def _head_steps(self) -> list[Step]:
        c, h, w = self.in_channels, self.height, self.width
        if not self.hidden:
            return [Norm(c, h, w, self.act), Pool(c, h, w), Linear(c, self.out_channels, "none")]
        first, *rest = self.hidden
        steps: list[Step] = [Conv(c, first, 1, 1, 1, self.act, h, w), Pool(first, h, w)]
        steps += [Linear(a, b, self.act) for a, b in zip(self.hidden, rest, strict=False)]
        return [*steps, Linear(self.hidden[-1], self.out_channels, "none")]

    def _separable_steps(self) -> list[Step]:
        c, out, h, w, predicts = self.in_channels, self.out_channels, self.height, self.width, self.kind == "predict"
        depthwise = Conv(c, c, self.kernel, self.stride, c, self.act, h, w, dilation=self.dilation)
        act = "none" if predicts else self.act
        pointwise = Conv(c, out, 1, 1, 1, act, *self.out_hw, norm=not predicts, bias=predicts)
        return [pointwise] if predicts and self.kernel == 1 else [depthwise, pointwise]

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
        """Most activation values alive at once while this op runs on one image, its input not needed again."""
        return self.peak(keeps_input=False)

    def peak(self, keeps_input: bool) -> int:
        """Most activation values alive at once while this op runs on one image.

        A step holds its input and its output; batch norm and activations behind a convolution work in place; a
        residual block holds its own input as well until the addition, except in its first step, whose input it is.
        A skip or an identity holds its map, `none` nothing.

        Args:
            keeps_input: whether its input is needed afterwards.
        """
        size = self.in_channels * self.height * self.width
        if not self.steps:
            return 0 if self.kind == "none" else size
        held = size if self.residual or keeps_input else 0
        return max(
            step.elements_in + step.elements_out + (held if i else 0)
            for i, step in enumerate(self.steps)
        )
