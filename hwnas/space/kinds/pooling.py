"""Pooling over windows."""

from __future__ import annotations

from hwnas.space.convolutions import Conv
from hwnas.space.fields import OpFields, text_of
from hwnas.space.kinds.kind import Kind
from hwnas.space.primitives import AvgPool, MaxPool, Primitive


class Averaging(Kind):
    """An edge of a cell: average pooling that leaves the padding out."""

    name = "avgpool"
    about = "average pooling"
    same_channels = True
    in_row = 4

    def steps(self, op: OpFields) -> tuple[Primitive, ...]:
        return (AvgPool(op.in_channels, op.size, op.kernels, op.strides),)

    def label(self, op: OpFields) -> str:
        return f"pool k{text_of(op.kernels)}"


class Largest(Averaging):
    """An edge of a cell: the largest value of every window."""

    name = "max_pool"
    about = "the largest value of every window"

    def steps(self, op: OpFields) -> tuple[Primitive, ...]:
        return (MaxPool(op.in_channels, op.size, op.kernels, op.strides),)

    def label(self, op: OpFields) -> str:
        return f"max k{text_of(op.kernels)}"


class Shortcut(Kind):
    """Average pooling over windows of the stride, then a 1x1 convolution without batch norm (ResNet-D)."""

    name = "shortcut"
    about = "average pooling over stride x stride, then a 1x1 convolution"

    def steps(self, op: OpFields) -> tuple[Primitive, ...]:
        return (AvgPool(op.in_channels, op.size, op.strides, op.strides),
                Conv(op.in_channels, op.out_channels, op.out_size, norm=False))

    def label(self, op: OpFields) -> str:
        return "shortcut"
