"""Plain convolutions."""

from __future__ import annotations

from hwnas.space.convolutions import Conv
from hwnas.space.fields import OpFields, text_of
from hwnas.space.kinds.kind import Kind
from hwnas.space.primitives import Act, Primitive


class Convolution(Kind):
    """Convolution, batch norm, activation."""

    name = "conv"
    about = "convolution, batch norm, activation"

    def steps(self, op: OpFields) -> tuple[Primitive, ...]:
        return (Conv(op.in_channels, op.out_channels, op.size, op.kernels, op.strides, op.groups, op.act),)

    def label(self, op: OpFields) -> str:
        return f"conv k{text_of(op.kernels)}"


class PreConvolution(Kind):
    """Activation, convolution, batch norm: an edge of a cell, whose output is added to others."""

    name = "preconv"
    about = "activation, convolution, batch norm"
    in_row = 4

    def steps(self, op: OpFields) -> tuple[Primitive, ...]:
        conv = Conv(op.in_channels, op.out_channels, op.size, op.kernels, op.strides, op.groups)
        return Act(op.in_channels, op.size, op.act), conv

    def label(self, op: OpFields) -> str:
        return f"conv k{text_of(op.kernels)}"

    def elastic(self, op: OpFields) -> bool:
        return op.groups == 1


class Classify(Kind):
    """1x1 convolution with bias and neither batch norm nor activation, whose output stays in the network."""

    name = "classify"
    about = "1x1 convolution with bias"
    still = True

    def steps(self, op: OpFields) -> tuple[Primitive, ...]:
        return (Conv(op.in_channels, op.out_channels, op.size, norm=False, bias=True),)

    def label(self, op: OpFields) -> str:
        return "classify"
