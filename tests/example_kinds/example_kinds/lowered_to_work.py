"""What our primitives ask of a device."""

from math import prod

from example_kinds.maxpool import MaxPool
from example_kinds.patches import Patches
from hwnas.latency.estimate.work import Work, works_of


@works_of.register
def _(step: MaxPool):
    values = step.elements_in + step.elements_out
    return [Work("pool", prod(step.kernel) * step.elements_out, step.elements_out, values)]


@works_of.register
def _(step: Patches):
    return [Work("elementwise", step.elements_in, step.elements_out, 2 * step.elements_in)]
