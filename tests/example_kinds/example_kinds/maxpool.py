"""A kind that needs a primitive of its own: the largest value of every window."""

from dataclasses import dataclass
from math import prod

from hwnas.space import Kind
from hwnas.space.primitives import OnMap, Size, strided


@dataclass(frozen=True)
class MaxPool(OnMap):
    """The largest of the places of each window that lie on the map; the map shrinks to ceil(size / stride)."""

    kernel: Size
    stride: Size
    sums_apart = True  # no runtime adds to a sum in the kernel of a pooling

    @property
    def pad(self):
        return tuple(k // 2 for k in self.kernel)

    @property
    def elements_out(self):
        return self.channels * prod(strided(self.size, self.stride))


class MaxPooling(Kind):
    name = "maxpool"
    about = "the largest value of every window"
    same_channels = True

    def steps(self, op):
        return (MaxPool(op.in_channels, op.size, op.kernels, op.strides),)
