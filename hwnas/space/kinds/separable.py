"""A depthwise convolution, then a 1x1 convolution."""

from __future__ import annotations

from hwnas.space.convolutions import Conv
from hwnas.space.fields import OpFields, text_of
from hwnas.space.kinds.kind import Kind
from hwnas.space.primitives import Act, Primitive


class Atrous(Kind):
    """With a dilated kernel: a branch of a segmenter's pyramid (DeepLab, Chen et al., ECCV 2018)."""

    name = "atrous"
    about = "dilated depthwise convolution, then a 1x1"
    still = True
    dilates = True

    def steps(self, op: OpFields) -> tuple[Primitive, ...]:
        return _depthwise(op), Conv(op.in_channels, op.out_channels, op.out_size, act=op.act)

    def label(self, op: OpFields) -> str:
        return f"k{text_of(op.kernels)} d{op.dilation}"


class Predict(Kind):
    """What a detector says of a map: no depthwise convolution where the kernel is 1, a bias, and no batch norm."""

    name = "predict"
    about = "depthwise convolution, then a 1x1 with bias whose output leaves the network"
    still = True
    last = True

    def steps(self, op: OpFields) -> tuple[Primitive, ...]:
        pointwise = Conv(op.in_channels, op.out_channels, op.out_size, norm=False, bias=True)
        return (pointwise,) if op.kernel == 1 else (_depthwise(op), pointwise)

    def label(self, op: OpFields) -> str:
        return f"predict k{text_of(op.kernels)}"


class DilatedConvolution(Kind):
    """An edge of a cell (DARTS): activation, a depthwise convolution without batch norm, a 1x1."""

    name = "dilconv"
    about = "activation, dilated depthwise convolution, 1x1"
    dilates = True

    def steps(self, op: OpFields) -> tuple[Primitive, ...]:
        c = op.in_channels
        return (Act(c, op.size, op.act),
                Conv(c, c, op.size, op.kernels, op.strides, c, norm=False, dilation=op.dilation),
                Conv(c, op.out_channels, op.out_size))

    def label(self, op: OpFields) -> str:
        return f"dil k{text_of(op.kernels)} d{op.dilation}"


class SeparableConvolution(Kind):
    """An edge of a cell (DARTS): twice an activation, a depthwise convolution without batch norm and a 1x1."""

    name = "sepconv"
    about = "activation, depthwise convolution, 1x1, twice"

    def steps(self, op: OpFields) -> tuple[Primitive, ...]:
        c = op.in_channels
        return (Act(c, op.size, op.act), Conv(c, c, op.size, op.kernels, op.strides, c, norm=False),
                Conv(c, c, op.out_size, act=op.act), Conv(c, c, op.out_size, op.kernels, groups=c, norm=False),
                Conv(c, op.out_channels, op.out_size))

    def label(self, op: OpFields) -> str:
        return f"sep k{text_of(op.kernels)}"


def _depthwise(op: OpFields) -> Conv:
    c = op.in_channels
    return Conv(c, c, op.size, op.kernels, op.strides, c, op.act, dilation=op.dilation)
