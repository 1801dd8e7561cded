"""LR-ASPP's gate: features of a map, scaled by what its average says."""

from __future__ import annotations

from hwnas.space.convolutions import Gate
from hwnas.space.fields import OpFields
from hwnas.space.kinds.kind import Kind
from hwnas.space.primitives import Primitive


class GateKind(Kind):
    """See `hwnas.space.convolutions.Gate`."""

    name = "gate"
    about = "1x1 convolution scaled by a gate of the global average"
    still = True

    def steps(self, op: OpFields) -> tuple[Primitive, ...]:
        return (Gate(op.in_channels, op.size, op.out_channels),)

    def label(self, op: OpFields) -> str:
        return "gate"
