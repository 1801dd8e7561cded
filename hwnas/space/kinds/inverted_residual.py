"""Inverted residuals: expand, convolve depthwise, project."""

from __future__ import annotations

from hwnas.space.convolutions import Conv
from hwnas.space.fields import OpFields, text_of
from hwnas.space.kinds.kind import Kind
from hwnas.space.primitives import Primitive, Shuffle, SqueezeExcite
from hwnas.space.rounding import make_divisible


class MbConv(Kind):
    """MobileNetV2's (Sandler et al., CVPR 2018): no expansion convolution where expand is 1."""

    name = "mbconv"
    about = "inverted residual of MobileNetV2, with squeeze-excite where `se`"

    def steps(self, op: OpFields) -> tuple[Primitive, ...]:
        mid = op.in_channels * op.expand
        found: list[Primitive] = []
        if self._expands(op):
            found.append(Conv(op.in_channels, mid, op.size, groups=op.groups, act=op.act))
        if op.groups > 1:
            found.append(Shuffle(mid, op.size, op.groups))
        found.append(Conv(mid, mid, op.size, op.kernels, op.strides, mid, op.act))
        if op.se:
            found.append(SqueezeExcite(mid, op.out_size, make_divisible(mid / 4)))
        found.append(Conv(mid, op.out_channels, op.out_size, groups=op.groups))
        return tuple(found)

    def label(self, op: OpFields) -> str:
        groups = f" g{op.groups}" if op.groups > 1 else ""
        return f"k{text_of(op.kernels)} e{op.expand}{groups}"

    def residual(self, op: OpFields) -> bool:
        return op.stride == 1 and op.in_channels == op.out_channels

    def elastic(self, op: OpFields) -> bool:
        return op.groups == 1 and self._expands(op)

    def _expands(self, op: OpFields) -> bool:
        return op.expand > 1


class FbConv(MbConv):
    """FBNet's (Wu et al., CVPR 2019): always with the first 1x1 convolution, and with groups and a channel shuffle."""

    name = "fbconv"
    about = "inverted residual of FBNet, with grouped 1x1 convolutions"

    def _expands(self, op: OpFields) -> bool:
        return True
