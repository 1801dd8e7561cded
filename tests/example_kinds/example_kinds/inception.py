"""Branches of several kernels, summed; how many there are is a field of its own."""

from typing import ClassVar

from hwnas.errors import InputError
from hwnas.space import Conv, Kind, Parallel


class Inception(Kind):
    name = "inception"
    about = "a 1x1 convolution beside depthwise ones of kernels 3, 5, ..., summed"
    own: ClassVar = {"branches": 2}
    still = True

    def steps(self, op):
        c, rank = op.in_channels, len(op.size)
        ways = [(Conv(c, op.out_channels, op.size),)]
        for i in range(1, self.value(op, "branches")):
            ways.append((Conv(c, c, op.size, (2 * i + 1,) * rank, groups=c, act=op.act),
                         Conv(c, op.out_channels, op.size)))
        return (Parallel(tuple(ways), op.act),)

    def check(self, op):
        if self.value(op, "branches") < 2:
            raise InputError(f"an inception has two branches or more; got {op}")
