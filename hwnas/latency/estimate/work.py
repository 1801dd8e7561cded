"""What an op asks of a device: arithmetic, bytes and launches, by kind of work.

Glossary
    work      one kernel of a runtime: what it computes in one go
    macs      multiply-accumulates; for pooling and element-wise work the additions or element operations
    outputs   values that it writes, each of which could be computed by a lane of its own
    values    activations read and written; `weights` parameters read
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from hwnas.space import Op
from hwnas.space.steps import (
    Act,
    Average,
    Conv,
    Enlarge,
    Gate,
    Linear,
    Norm,
    Pool,
    Shuffle,
    SqueezeExcite,
    Step,
)

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
    found = [work for step in op.steps for work in _of_step(step)]
    if op.residual:
        found[-1] = replace(found[-1], values=found[-1].values + op.in_channels * op.height * op.width)
    return (addition(op),) if op.kind == "identity" else tuple(found)


def addition(op: Op) -> Work:
    """Adding what an op gives to what its node holds already."""
    elements = op.out_channels * op.out_hw[0] * op.out_hw[1]
    return Work("elementwise", elements, elements, 3 * elements)


def _of_step(step: Step) -> Iterator[Work]:
    values = step.elements_in + step.elements_out
    if isinstance(step, Conv):
        yield Work(_conv_kind(step), step.flops, step.elements_out, values, step.params)
    elif isinstance(step, Linear):
        yield Work("linear", step.flops, step.elements_out, values, step.params)
    elif isinstance(step, SqueezeExcite):
        yield from _squeeze_excite(step)
    elif isinstance(step, Gate):
        yield from _gate(step)
    elif isinstance(step, Enlarge):
        yield Work("elementwise", step.elements_out, step.elements_out, values)
    elif isinstance(step, Average):
        yield Work("pool", step.kernel**2 * step.elements_out, step.elements_out, values)
    elif isinstance(step, Pool):
        yield Work("pool", step.elements_in, step.elements_out, values)
    elif isinstance(step, Act | Norm | Shuffle):
        yield _elementwise(step.elements_in, step.params)


def _squeeze_excite(step: SqueezeExcite) -> Iterator[Work]:
    yield Work("pool", step.elements_in, step.channels, step.elements_in + step.channels)
    for outputs in (step.reduced, step.channels):
        yield Work("linear", step.flops // 2, outputs, step.reduced + step.channels, step.params // 2)
    yield _elementwise(step.elements_in)


def _gate(step: Gate) -> Iterator[Work]:
    conv = Conv(step.channels, step.out_channels, 1, 1, 1, "relu", step.height, step.width)
    yield from _of_step(conv)
    yield Work("pool", step.elements_in, step.channels, step.elements_in + step.channels)
    yield Work("linear", step.channels * step.out_channels, step.out_channels, step.channels + step.out_channels,
               step.channels * step.out_channels)
    yield _elementwise(step.elements_out)


def _conv_kind(step: Conv) -> str:
    if step.groups == step.in_channels and step.groups > 1:
        return "depthwise"
    return "pointwise" if step.kernel == 1 else "dense"


def _elementwise(elements: int, weights: int = 0) -> Work:
    return Work("elementwise", elements, elements, 2 * elements, weights)
