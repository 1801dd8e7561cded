"""Inverted residuals: expand, convolve depthwise, project."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from hwnas.errors import InputError
from hwnas.space.convolutions import Conv
from hwnas.space.fields import OpFields, text_of
from hwnas.space.kinds.kind import Kind
from hwnas.space.primitives import Primitive, Shuffle, SplitAttention, SqueezeExcite
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


class MbSplit(MbConv):
    """MbConv whose depthwise convolution gives every channel several times, merged by attention over the splits.

    FP-NAS (Yan et al., CVPR 2021) searches their number in place of squeeze-excite, which is what one split is.
    """

    name = "mbsplit"
    about = "inverted residual with split attention; one split is squeeze-excite"
    own: ClassVar[Mapping[str, int]] = MappingProxyType({"splits": 2})

    def steps(self, op: OpFields) -> tuple[Primitive, ...]:
        mid, splits = op.in_channels * op.expand, self.value(op, "splits")
        reduced = make_divisible(mid / 4)
        found: list[Primitive] = []
        if self._expands(op):
            found.append(Conv(op.in_channels, mid, op.size, act=op.act))
        found.append(Conv(mid, splits * mid, op.size, op.kernels, op.strides, mid, op.act))
        found.append(SplitAttention(mid, op.out_size, splits, reduced) if splits > 1
                     else SqueezeExcite(mid, op.out_size, reduced))
        found.append(Conv(mid, op.out_channels, op.out_size))
        return tuple(found)

    def label(self, op: OpFields) -> str:
        return f"{super().label(op)} splits={self.value(op, 'splits')}"

    def check(self, op: OpFields) -> None:
        splits = self.value(op, "splits")
        if op.se or op.groups > 1 or not 1 <= splits <= 8:
            raise InputError(f"mbsplit takes 1 to 8 splits, no groups and no squeeze-excite beside them; got {splits} "
                             f"splits, {op.groups} groups{' and se' if op.se else ''}")


class MbBranch(MbConv):
    """An inverted residual that is one branch of a layer, so that what it adds to is not its own affair.

    Kernels of two sides are two depthwise convolutions, 1 x k and k x 1, as in NSE (Ci et al., ICCV 2021).
    """

    name = "mbbranch"
    about = "inverted residual without a residual, one of several branches; dilated, or of 1 x k and k x 1"
    dilates = True

    def steps(self, op: OpFields) -> tuple[Primitive, ...]:
        mid = op.in_channels * op.expand
        found = [Conv(op.in_channels, mid, op.size, act=op.act)] if self._expands(op) else []
        for kernels in dict.fromkeys((op.kernels, op.kernels[::-1])):
            first = len(found) == self._expands(op)
            found.append(Conv(mid, mid, op.size if first else op.out_size, kernels,
                              op.strides if first else (1,) * len(op.size), mid, op.act, dilation=op.dilation))
        found.append(Conv(mid, op.out_channels, op.out_size))
        return tuple(found)

    def label(self, op: OpFields) -> str:
        return f"k{text_of(op.kernels)} e{op.expand}{f' d{op.dilation}' if op.dilation > 1 else ''}"

    def residual(self, op: OpFields) -> bool:
        return False

    def elastic(self, op: OpFields) -> bool:
        return False

    def check(self, op: OpFields) -> None:
        if op.se or op.groups > 1:
            raise InputError(f"mbbranch takes no groups and no squeeze-excite; got {op.groups} groups"
                             f"{' and se' if op.se else ''}")
