"""ONNX nodes of our primitives."""

from example_kinds.maxpool import MaxPool
from example_kinds.patches import Patches
from hwnas.profile.lowering import append


@append.register
def _(step: MaxPool, graph, name) -> None:
    graph.node("MaxPool", [graph.value], kernel_shape=list(step.kernel), strides=list(step.stride),
               pads=[*step.pad, *step.pad])


@append.register
def _(step: Patches, graph, name) -> None:
    """Channels stand as torch has them: those of a channel's patch together."""
    batch, channels, side = graph.shape[0], step.channels, step.side
    high, wide = (n // side for n in step.size)
    graph.node("Reshape", [graph.value, graph.integers((batch, channels, high, side, wide, side))])
    graph.node("Transpose", [graph.value], perm=[0, 1, 3, 5, 2, 4])
    graph.node("Reshape", [graph.value, graph.integers((batch, channels * side**2, high, wide))])
