"""Maps side by side: what it costs to put together a node that is a concatenation."""

from __future__ import annotations

from hwnas.errors import InputError
from hwnas.space.fields import OpFields
from hwnas.space.kinds.kind import Kind
from hwnas.space.primitives import Concat, Primitive


class Concatenation(Kind):
    """The first part, of `in_channels`, beside as many channels as the others have: an entry of tables."""

    name = "concat"
    about = "maps side by side, as a node puts them together"
    still = True

    def steps(self, op: OpFields) -> tuple[Primitive, ...]:
        return (Concat(op.in_channels, op.size, op.out_channels),)

    def label(self, op: OpFields) -> str:
        return "concat"

    def check(self, op: OpFields) -> None:
        if op.out_channels <= op.in_channels:
            raise InputError(f"a concatenation has more channels than its first part; got {op}")
