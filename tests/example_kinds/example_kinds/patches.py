"""A kind that needs a primitive of its own: patches of pixels become channels."""

from dataclasses import dataclass
from math import prod

from hwnas.errors import InputError
from hwnas.space import Conv, Kind
from hwnas.space.primitives import OnMap


@dataclass(frozen=True)
class Patches(OnMap):
    """Every patch of `side` x `side` places becomes one place with side^2 times the channels."""

    side: int

    @property
    def elements_out(self):
        return self.elements_in


class Patchify(Kind):
    name = "patchify"
    about = "patches of stride x stride places become channels, then a 1x1 convolution"

    def steps(self, op):
        side = op.stride
        size = tuple(n // side for n in op.size)
        inner = op.in_channels * prod((side,) * len(op.size))
        return Patches(op.in_channels, op.size, side), Conv(inner, op.out_channels, size, act=op.act)

    def check(self, op):
        if len(op.size) != 2 or any(n % op.stride for n in op.size) or op.stride == 1:
            raise InputError(f"patches divide both sides of an image; got {op}")
