"""What ends a classifier."""

from __future__ import annotations

from hwnas.space.convolutions import Conv
from hwnas.space.fields import OpFields
from hwnas.space.kinds.kind import Kind
from hwnas.space.primitives import GlobalAvgPool, Linear, Norm, Primitive


class Head(Kind):
    """1x1 convolution to hidden[0], global average, a linear layer per further entry of `hidden`, the classifier.

    With no `hidden`, batch norm and activation take the place of the convolution.
    """

    name = "head"
    about = "global average and linear layers"
    last = True

    def steps(self, op: OpFields) -> tuple[Primitive, ...]:
        c, size = op.in_channels, op.size
        if not op.hidden:
            return Norm(c, size, op.act), GlobalAvgPool(c, size), Linear(c, op.out_channels)
        first, *rest = op.hidden
        found: list[Primitive] = [Conv(c, first, size, act=op.act), GlobalAvgPool(first, size)]
        found += [Linear(a, b, op.act) for a, b in zip(op.hidden, rest, strict=False)]
        return (*found, Linear(op.hidden[-1], op.out_channels))

    def label(self, op: OpFields) -> str:
        return "head"
