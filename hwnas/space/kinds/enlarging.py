"""Maps made `scale` times as large."""

from __future__ import annotations

from hwnas.space.fields import OpFields
from hwnas.space.kinds.kind import Kind
from hwnas.space.primitives import Primitive, Upsample


class Nearest(Kind):
    """Each place repeated."""

    name = "nearest"
    about = "each place repeated"
    same_channels = still = scales = True

    def steps(self, op: OpFields) -> tuple[Primitive, ...]:
        return (Upsample(op.in_channels, op.size, op.scale, bilinear=False),)

    def label(self, op: OpFields) -> str:
        return "up"


class Bilinear(Nearest):
    """Bilinear between pixel centres; as two matrix products since version 2 (ADR 0013)."""

    name = "bilinear"
    about = "bilinear between pixel centres"
    version = 2

    def steps(self, op: OpFields) -> tuple[Primitive, ...]:
        return (Upsample(op.in_channels, op.size, op.scale, bilinear=True),)


class Resize(Bilinear):
    """Bilinear, at the end of a network."""

    name = "resize"
    about = "bilinear, at the end of a network"
    last = True
