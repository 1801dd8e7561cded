"""What an op asks of a device: arithmetic, bytes and launches, by kind of work.

Glossary
    work      one kernel of a runtime: what it computes in one go
    macs      multiply-accumulates; for pooling and element-wise work the additions or element operations
    outputs   values that it writes, each of which could be computed by a lane of its own
    values    activations read and written; `weights` parameters read
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import singledispatch
from math import prod

from hwnas.space import (
    Act,
    AvgPool,
    Concat,
    Conv,
    Gate,
    GlobalAvgPool,
    Linear,
    Norm,
    Op,
    Parallel,
    Primitive,
    Shuffle,
    SplitAttention,
    SqueezeExcite,
    Upsample,
)
from hwnas.space.lowering import registered

KINDS = ("dense", "pointwise", "depthwise", "linear", "pool", "elementwise")


@dataclass(frozen=True)
class Work:
    """One kernel; counts for one image.

    Args:
        kind: one of `KINDS`.
        macs, outputs, values, weights: see the glossary.
    """

    kind: str
    macs: int
    outputs: int
    values: int
    weights: int = 0


def works(op: Op) -> tuple[Work, ...]:
    """The kernels of an op in order; none for an op that a runtime leaves out.

    Activations and batch norms behind a convolution and the addition of a residual block are part of its kernel, as
    TensorRT's layer fusion catalog, ONNX Runtime's graph optimisations and OpenVINO's all have it. An activation in
    front of a convolution is a kernel of its own, and so is the addition that an `identity` stands for.
    """
    found = [work for step in op.steps for work in works_of(step)]
    if op.residual:
        found[-1] = replace(found[-1], values=found[-1].values + op.in_channels * prod(op.size))
    return (addition(op),) if op.passes else tuple(found)


def addition(op: Op) -> Work:
    """Adding what an op gives to what its node holds already."""
    elements = op.out_channels * prod(op.out_size)
    return Work("elementwise", elements, elements, 3 * elements)


def zeroing(op: Op) -> Work:
    """Multiplying a map by zero, which is what a `none` does where nobody takes it out."""
    elements = op.in_channels * prod(op.size)
    return Work("elementwise", elements, elements, 2 * elements)


@singledispatch
def works_of(step: Primitive) -> Sequence[Work]:
    """The kernels of a primitive in order, none where it becomes part of the kernel before it.

    Others register their primitives with it (`hwnas.space.lowering`).

    Raises:
        UsageError: no one registered the primitive.
    """
    found: Sequence[Work] = registered("latency", works_of, step)(step)
    return found


@works_of.register
def _(step: Conv) -> Sequence[Work]:
    kind = "depthwise" if step.depthwise else "pointwise" if step.pointwise else "dense"
    return [Work(kind, step.flops, step.elements_out, _values(step), step.params)]


@works_of.register
def _(step: Linear) -> Sequence[Work]:
    return [Work("linear", step.flops, step.elements_out, _values(step), step.params)]


@works_of.register
def _(step: SqueezeExcite) -> Sequence[Work]:
    inner = [Work("linear", step.flops // 2, outputs, step.reduced + step.channels, step.params // 2)
             for outputs in (step.reduced, step.channels)]
    return [_average(step.elements_in, step.channels), *inner, _elementwise(step.elements_in)]


@works_of.register
def _(step: SplitAttention) -> Sequence[Work]:
    wide = step.splits * step.channels
    inner = [Work("linear", step.reduced * outputs, outputs, inputs + outputs, step.reduced * outputs)
             for inputs, outputs in ((step.channels, step.reduced), (step.reduced, wide))]
    return [_average(step.elements_in, wide), *inner, _elementwise(step.elements_in), _elementwise(step.elements_in)]


@works_of.register
def _(step: Gate) -> Sequence[Work]:
    weights = step.channels * step.out_channels
    scale = Work("linear", weights, step.out_channels, step.channels + step.out_channels, weights)
    return [*works_of(step.features), _average(step.elements_in, step.channels), scale, _elementwise(step.elements_out)]


@works_of.register
def _(step: Parallel) -> Sequence[Work]:
    """Every branch but the first one is added in the kernel of its last primitive, or in one of its own."""
    found: list[Work] = []
    for i, branch in enumerate(step.branches):
        works = [work for inner in branch for work in works_of(inner)]
        if i and works:
            works[-1] = replace(works[-1], values=works[-1].values + step.elements_out)
        elif i:
            works = [Work("elementwise", step.elements_out, step.elements_out, 3 * step.elements_out)]
        found += works
    return found


@works_of.register
def _(step: Concat) -> Sequence[Work]:
    return [Work("elementwise", step.elements_out, step.elements_out, 2 * step.elements_out)]


@works_of.register
def _(step: Upsample) -> Sequence[Work]:
    return [Work("elementwise", step.elements_out, step.elements_out, _values(step))]


@works_of.register
def _(step: AvgPool) -> Sequence[Work]:
    return [Work("pool", prod(step.kernel) * step.elements_out, step.elements_out, _values(step))]


@works_of.register
def _(step: GlobalAvgPool) -> Sequence[Work]:
    return [_average(step.elements_in, step.elements_out)]


@works_of.register(Act)
@works_of.register(Norm)
@works_of.register(Shuffle)
def _in_place(step: Primitive) -> Sequence[Work]:
    return [_elementwise(step.elements_in, step.params)]


def _values(step: Primitive) -> int:
    return step.elements_in + step.elements_out


def _average(elements: int, channels: int) -> Work:
    return Work("pool", elements, channels, elements + channels)


def _elementwise(elements: int, weights: int = 0) -> Work:
    return Work("elementwise", elements, elements, 2 * elements, weights)
