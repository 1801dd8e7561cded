"""Ops that compute nothing: a layer left out, an edge that passes its map on, an edge that is not there."""

from __future__ import annotations

from hwnas.space.fields import OpFields
from hwnas.space.kinds.kind import Kind
from hwnas.space.primitives import Primitive


class Skip(Kind):
    """Nothing at all in a chain."""

    name = "skip"
    about = "a layer that is left out"
    same_channels = still = True
    timed = False

    def steps(self, op: OpFields) -> tuple[Primitive, ...]:
        return ()

    def label(self, op: OpFields) -> str:
        return "skip"


class Identity(Skip):
    """An edge of a cell that adds its map to what its node holds, which costs the addition."""

    name = "identity"
    about = "an edge that passes its map on"
    timed = True
    passes = True
    in_row = 4


class Nothing(Skip):
    """An edge that is not there; channels and stride are those of what might be."""

    name = "none"
    about = "an edge that is not there"
    same_channels = still = False
    cuts = True

    def label(self, op: OpFields) -> str:
        return "none"
