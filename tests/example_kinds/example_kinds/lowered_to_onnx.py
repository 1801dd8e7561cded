"""ONNX nodes of our primitives."""

from example_kinds.maxpool import MaxPool
from hwnas.profile.lowering import append


@append.register
def _(step: MaxPool, graph, name) -> None:
    graph.node("MaxPool", [graph.value], kernel_shape=list(step.kernel), strides=list(step.stride),
               pads=[*step.pad, *step.pad])
