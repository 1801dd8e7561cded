"""One convolution in the place of a unit, or of two neighbours, in closed form: what they do to first order.

A residual block of two convolutions and a join becomes one, and half of its time goes where a thinner one keeps nearly
all of it: on wide vector units 8 or 16 channels fewer change little. What it is fitted to is what the unit gives before
its last activation, which stays; around the identity, where the unit keeps shape, so that few images leave it near the
way past. That depth goes by merging is known (Kim et al., ICML 2023; LayerMerge, ICML 2024: layers whose activation was
taken out are trained so, then merged exactly); that nothing is trained before the fit is ours.

The symbols of `hwnas.surgery.moments` hold here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from hwnas.quantize.graph import attribute
from hwnas.quantize.layout import ACTIVATIONS
from hwnas.surgery.dataflow import Dataflow
from hwnas.surgery.moments import MOST_UNKNOWNS, Floats, Moments, Regression
from hwnas.surgery.plan import SPAN
from hwnas.surgery.splice import Fragment
from hwnas.surgery.unit import Cut, Unit

KERNELS = (3, 1)
ELEMENTWISE = (*ACTIVATIONS, "LeakyRelu", "Elu", "Sigmoid", "HardSigmoid", "Tanh")
MOST_WORK = 0.75  # of the unit's multiply-accumulates, that it is worth offering


@dataclass(frozen=True)
class Merge:
    """A convolution that may stand in a unit's place.

    Args:
        unit: what it stands for; two neighbours have the name of the second.
        spans: whether these are two.
        regression: maps, kernel, strides, pads.
        last: the activation at the end of the unit that stays, by its node; None for none.
    """

    unit: Unit
    spans: bool
    regression: Regression
    last: int | None

    @property
    def form(self) -> str:
        """`conv3`, `span3`."""
        return f"{SPAN if self.spans else 'conv'}{self.regression.kernel[0]}"

    @property
    def name(self) -> str:
        """Of the regression among others."""
        return f"{self.unit.name} {self.form}"


def merges_of(cut: Cut, only: frozenset[str] | None = None) -> list[Merge]:
    """All that may be fitted.

    Args:
        only: names of units; None for all.
    """
    units = [unit for unit in cut.units if only is None or unit.name in only]
    both = [cut.span(second) for second, first in cut.spans.items() if only is None or {first, second} <= only]
    every = [_merge(cut.flow, unit, unit in both, kernel) for unit in (*units, *both) for kernel in KERNELS]
    return [merge for merge in every if merge is not None]


def merge_regressions(merges: list[Merge]) -> dict[str, Regression]:
    """What has to be known of the images."""
    return {merge.name: merge.regression for merge in merges}


def merged_from(cut: Cut, merges: list[Merge], known: Mapping[str, Moments]) -> dict[tuple[str, str], Fragment]:
    """(unit, form) -> the convolution, of all that there are samples enough for."""
    return {(merge.unit.name, merge.form): _fragment(cut, merge, known[merge.name]) for merge in merges
            if known[merge.name].enough(merge.regression.unknowns(cut.flow))}


def _merge(flow: Dataflow, unit: Unit, spans: bool, kernel: int) -> Merge | None:
    last = flow.makers[unit.target]
    node = flow.nodes[last]
    keeps = node.op_type in ELEMENTWISE and node.output[0] == unit.target
    target = node.input[0] if keeps else unit.target
    before, after = unit.source_shape, flow.shapes.get(target, ())
    if len(before) != 4 or len(after) != 4 or after != unit.target_shape or target == unit.source:
        return None
    pads = _pads(flow, unit, kernel)
    if pads is None:
        return None
    stride = before[2] // after[2]
    one = Regression(unit.source, target, (kernel, kernel), (stride, stride), pads)
    work = after[1] * before[1] * kernel**2 * after[2] * after[3]
    if one.unknowns(flow) > MOST_UNKNOWNS or work > MOST_WORK * unit.region.work:
        return None
    return Merge(unit, spans, one, last if keeps else None)


def _pads(flow: Dataflow, unit: Unit, kernel: int) -> tuple[int, int, int, int] | None:
    """What puts the middle of the kernel where the unit's own strided convolution has its; None where nothing does."""
    (_, _, *before), (_, _, *after) = unit.source_shape, unit.target_shape
    if any(b % a or b // a != before[0] // after[0] for b, a in zip(before, after, strict=True)):
        return None
    stride, begin = before[0] // after[0], [(kernel - 1) // 2] * 2
    for i in unit.region.nodes:
        node = flow.nodes[i]
        if stride > 1 and node.op_type == "Conv" and attribute(node, "strides", [1, 1]) == [stride, stride]:
            own, pads = flow.shapes[node.input[1]][2:], attribute(node, "pads", [0, 0, 0, 0])
            begin = [(kernel - 1) // 2 - (own[a] - 1) // 2 + pads[a] for a in range(2)]
            break
    end = [(a - 1) * stride + kernel - b - p for a, b, p in zip(after, before, begin, strict=True)]
    if min(begin) < 0 or any(e < -stride + 1 for e in end):
        return None
    return begin[0], begin[1], max(0, end[0]), max(0, end[1])


def _fragment(cut: Cut, merge: Merge, found: Moments) -> Fragment:
    flow, one, unit = cut.flow, merge.regression, merge.unit
    channels, out, size = unit.source_shape[1], unit.target_shape[1], one.kernel[0] * one.kernel[1]
    solved = found.solved(around=_identity(channels, size) if unit.keeps_shape else None)
    weights = np.ascontiguousarray(solved[:-1].T.reshape(out, channels, *one.kernel), np.float32)
    bias = solved[-1].astype(np.float32)
    tensors = [numpy_helper.from_array(weights, "weight"), numpy_helper.from_array(bias, "bias")]
    nodes = [helper.make_node("Conv", ["x", "weight", "bias"], ["y" if merge.last is None else "inner"],
                              kernel_shape=list(one.kernel), strides=list(one.strides), pads=list(one.pads))]
    if merge.last is not None:
        node = type(nodes[0])()
        node.CopyFrom(flow.nodes[merge.last])
        node.input[0], node.output[0] = "inner", "y"
        nodes.append(node)
        read = set(node.input[1:])
        tensors += [tensor for tensor in flow.model.graph.initializer if tensor.name in read]
    ends = [helper.make_tensor_value_info(name, 1, shape)
            for name, shape in (("x", unit.source_shape), ("y", unit.target_shape))]
    graph = helper.make_graph(nodes, "merged", ends[:1], ends[1:], tensors)
    return Fragment(helper.make_model(graph, opset_imports=list(flow.model.opset_import),
                                      ir_version=flow.model.ir_version), merge.spans)


def _identity(channels: int, size: int) -> Floats:
    """W of a convolution that changes nothing: (channels * size + 1, channels)."""
    found: NDArray[np.float64] = np.zeros((channels * size + 1, channels))
    found[np.arange(channels) * size + size // 2, np.arange(channels)] = 1.0
    return found
