"""Source of our primitives."""

from example_kinds.maxpool import MaxPool
from example_kinds.patches import Patches
from hwnas.export.source import Source, source_of


@source_of.register
def _(step: MaxPool):
    return Source(f"nn.MaxPool2d({step.kernel}, {step.stride}, {step.pad})")


@source_of.register
def _(step: Patches):
    return Source(f"nn.PixelUnshuffle({step.side})")
