"""Primitives as ONNX nodes, in the form that the exporter gives the torch module once its batch norms are folded.

Convolution with bias, Relu / Clip / HardSwish, ReduceMean for averages, Reshape-Transpose-Reshape for shuffles, Gemm
with transB. A batch norm that no convolution comes before stays a BatchNormalization.
"""

from __future__ import annotations

from functools import singledispatch

import numpy as np

from hwnas.profile.node_builder import NodeBuilder
from hwnas.space import (
    Act,
    AvgPool,
    Concat,
    Conv,
    Gate,
    GlobalAvgPool,
    Linear,
    MaxPool,
    Norm,
    Parallel,
    Primitive,
    Shuffle,
    SplitAttention,
    SqueezeExcite,
    Upsample,
)
from hwnas.space.interpolation import interpolation
from hwnas.space.lowering import registered

NORM_EPSILON = 1e-5  # torch's


@singledispatch
def append(step: Primitive, graph: NodeBuilder, name: str) -> None:
    """Append the nodes of a primitive, which read `graph.value` and leave it at their output.

    Others register their primitives with it (`hwnas.space.lowering`).

    Args:
        name: what its initialisers start with.

    Raises:
        UsageError: no one registered the primitive.
    """
    registered("profile", append, step)(step, graph, name)


def activate(graph: NodeBuilder, act: str) -> None:
    """Append an activation; nothing for 'none'."""
    if act == "relu":
        graph.node("Relu", [graph.value])
    elif act == "relu6":
        graph.node("Clip", [graph.value, graph.scalar("zero", 0.0), graph.scalar("six", 6.0)])
    elif act == "hswish":
        graph.node("HardSwish", [graph.value])


def mean(graph: NodeBuilder, size: tuple[int, ...], *, keep: bool) -> None:
    """Append the mean over a map; its axes stay with one place each, or go."""
    axes = tuple(range(2, 2 + len(size)))
    graph.node("ReduceMean", [graph.value, graph.integers(axes)], keepdims=int(keep))


@append.register
def _(step: Conv, graph: NodeBuilder, name: str) -> None:
    shape = (step.out_channels, step.in_channels // step.groups, *step.kernel)
    inputs = [graph.value, graph.weight(f"{name}/weight", shape)]
    if step.norm or step.bias:
        inputs.append(graph.weight(f"{name}/bias", shape[:1]))
    graph.node("Conv", inputs, kernel_shape=list(step.kernel), strides=list(step.stride), pads=[*step.pad, *step.pad],
               dilations=[step.dilation] * len(step.size), group=step.groups)
    activate(graph, step.act)


@append.register
def _(step: Parallel, graph: NodeBuilder, name: str) -> None:
    source, total = graph.value, ""
    for i, branch in enumerate(step.branches):
        graph.value = source
        for j, inner in enumerate(branch):
            append(inner, graph, f"{name}/{i}/{j}")
        total = graph.node("Add", [total, graph.value]) if total else graph.value
    activate(graph, step.act)


@append.register
def _(step: Act, graph: NodeBuilder, name: str) -> None:
    activate(graph, step.act)


@append.register
def _(step: Norm, graph: NodeBuilder, name: str) -> None:
    weights = [graph.weight(f"{name}/{part}", (step.channels,)) for part in ("scale", "bias", "mean", "var")]
    graph.node("BatchNormalization", [graph.value, *weights], epsilon=NORM_EPSILON)
    activate(graph, step.act)


@append.register
def _(step: AvgPool, graph: NodeBuilder, name: str) -> None:
    graph.node("AveragePool", [graph.value], kernel_shape=list(step.kernel), strides=list(step.stride),
               pads=[*step.pad, *step.pad], ceil_mode=int(step.ragged), count_include_pad=0)


@append.register
def _(step: MaxPool, graph: NodeBuilder, name: str) -> None:
    graph.node("MaxPool", [graph.value], kernel_shape=list(step.kernel), strides=list(step.stride),
               pads=[*step.pad, *step.pad], ceil_mode=int(step.ragged), dilations=[1] * len(step.size), storage_order=0)


@append.register
def _(step: SqueezeExcite, graph: NodeBuilder, name: str) -> None:
    source, one = graph.value, (1,) * len(step.size)
    mean(graph, step.size, keep=True)
    append(Conv(step.channels, step.reduced, one, act="relu"), graph, f"{name}/reduce")
    append(Conv(step.reduced, step.channels, one), graph, f"{name}/expand")
    graph.node("HardSigmoid", [graph.value], alpha=1 / 6, beta=0.5)
    graph.node("Mul", [source, graph.value])


@append.register
def _(step: SplitAttention, graph: NodeBuilder, name: str) -> None:
    source, one, batch = graph.value, (1,) * len(step.size), graph.shape[0]
    each, wide = (batch, step.channels, step.splits), step.splits * step.channels
    mean(graph, step.size, keep=True)
    _split_sum(graph, (*each, *one))
    append(Conv(step.channels, step.reduced, one, act="relu"), graph, f"{name}/reduce")
    append(Conv(step.reduced, wide, one), graph, f"{name}/expand")
    graph.node("Reshape", [graph.value, graph.integers((*each, *one))])
    graph.node("Softmax", [graph.value], axis=2)
    graph.node("Reshape", [graph.value, graph.integers((batch, wide, *one))])
    graph.node("Mul", [source, graph.value])
    _split_sum(graph, (*each, *step.size))


def _split_sum(graph: NodeBuilder, shape: tuple[int, ...]) -> None:
    """Append the sum over the third axis of `shape`, which goes."""
    graph.node("Reshape", [graph.value, graph.integers(shape)])
    graph.node("ReduceSum", [graph.value, graph.integers((2,))], keepdims=0)


@append.register
def _(step: Gate, graph: NodeBuilder, name: str) -> None:
    source = graph.value
    append(step.features, graph, f"{name}/features")
    features, graph.value = graph.value, source
    mean(graph, step.size, keep=True)
    append(step.scale, graph, f"{name}/scale")
    graph.node("Sigmoid", [graph.value])
    graph.node("Mul", [features, graph.value])


@append.register
def _(step: Upsample, graph: NodeBuilder, name: str) -> None:
    """As torch exports it: sizes, not scales; bilinear as two products."""
    if step.bilinear:
        rows, columns = (interpolation(n, step.scale) for n in step.size)
        graph.node("MatMul", [graph.value, _blend(graph, columns.T)])
        graph.node("MatMul", [_blend(graph, rows), graph.value])
        return
    sizes = graph.integers((graph.shape[0], step.channels, *step.out_size))
    graph.node("Resize", [graph.value, "", "", sizes], mode="nearest", coordinate_transformation_mode="asymmetric",
               cubic_coeff_a=-0.75, nearest_mode="floor")


@append.register
def _(step: Concat, graph: NodeBuilder, name: str) -> None:
    """The zeros are a constant that runtimes read as they read another map."""
    shape = (graph.shape[0], step.out_channels - step.channels, *step.size)
    rest = graph.matrix("zeros_" + "_".join(map(str, shape)), np.zeros(shape, np.float32))
    graph.node("Concat", [graph.value, rest], axis=1)


@append.register
def _(step: Shuffle, graph: NodeBuilder, name: str) -> None:
    batch, inner = graph.shape[0], step.channels // step.groups
    graph.node("Reshape", [graph.value, graph.integers((batch, step.groups, inner, *step.size))])
    graph.node("Transpose", [graph.value], perm=[0, 2, 1, *range(3, 3 + len(step.size))])
    graph.node("Reshape", [graph.value, graph.integers((batch, step.channels, *step.size))])


@append.register
def _(step: GlobalAvgPool, graph: NodeBuilder, name: str) -> None:
    mean(graph, step.size, keep=False)


@append.register
def _(step: Linear, graph: NodeBuilder, name: str) -> None:
    weight = graph.weight(f"{name}/weight", (step.out_features, step.in_features))
    bias = graph.weight(f"{name}/bias", (step.out_features,))
    graph.node("Gemm", [graph.value, weight, bias], alpha=1.0, beta=1.0, transB=1)
    activate(graph, step.act)


def _blend(graph: NodeBuilder, values: np.ndarray) -> str:
    return graph.matrix(f"blend_{values.shape[0]}_{values.shape[1]}", values)
