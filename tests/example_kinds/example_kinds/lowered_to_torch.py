"""Torch modules of our primitives."""

from torch import nn

from example_kinds.maxpool import MaxPool
from example_kinds.patches import Patches
from hwnas.nets.modules import module_of

POOLS = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}


@module_of.register
def _(step: MaxPool) -> nn.Module:
    return POOLS[len(step.size)](step.kernel, step.stride, step.pad)


@module_of.register
def _(step: Patches) -> nn.Module:
    return nn.PixelUnshuffle(step.side)
