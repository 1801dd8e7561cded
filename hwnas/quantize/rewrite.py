"""Float rewrites that make a graph quantisable; they change no result beyond rounding.

    ReduceMean over height and width -> GlobalAveragePool, which has an integer kernel
    HardSwish(x) -> x * HardSigmoid(LeakyRelu_1(x))   (not where activations are fused)

LeakyRelu with slope 1 is the identity. It is there because a runtime turns it into one table look-up from the eight
bits of x to the eight bits of x clipped to -3..3; read as 0..1, those are the hard sigmoid of x. Without it ONNX
Runtime goes through float and back (1.09 times as slow on blocks with hard swish).
"""

from __future__ import annotations

from collections.abc import Iterator, Set

import onnx
from onnx import helper

from hwnas.quantize.graph import Lookup, attribute
from hwnas.quantize.variants import Variant

HARD_SWISH = (1 / 6, 0.5)  # slope and offset of its hard sigmoid


def prepared(model: onnx.ModelProto, variant: Variant, within: Set[str] | None = None) -> onnx.ModelProto:
    """A float model that computes the same; the given one is not changed.

    Args:
        within: tensors; only nodes that make them are rewritten, as what stays in float gains nothing. None for all.
    """
    lookup = Lookup(model.graph)
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if within is not None and node.output[0] not in within:
            nodes.append(node)
        elif node.op_type == "ReduceMean" and _over_map(node, lookup):
            nodes += _pool(node)
        elif node.op_type == "HardSwish" and not variant.fused:
            nodes += _swish(node)
        else:
            nodes.append(node)
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    del changed.graph.node[:]
    del changed.graph.value_info[:]
    changed.graph.node.extend(nodes)
    return changed


def _over_map(node: onnx.NodeProto, lookup: Lookup) -> bool:
    axes = attribute(node, "axes", None)
    if axes is None and len(node.input) > 1 and node.input[1] in lookup.constants:
        axes = lookup.constants[node.input[1]].tolist()
    return axes is not None and sorted(axes) in ([2, 3], [-2, -1])


def _pool(node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    name = node.output[0]
    if attribute(node, "keepdims", 1):
        yield helper.make_node("GlobalAveragePool", node.input[:1], [name])
        return
    yield helper.make_node("GlobalAveragePool", node.input[:1], [f"{name}/map"])
    yield helper.make_node("Flatten", [f"{name}/map"], [name])


def _swish(node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    source, name = node.input[0], node.output[0]
    yield helper.make_node("LeakyRelu", [source], [f"{name}/clipped"], alpha=1.0)
    yield helper.make_node("HardSigmoid", [f"{name}/clipped"], [f"{name}/gate"], alpha=HARD_SWISH[0],
                           beta=HARD_SWISH[1])
    yield helper.make_node("Mul", [source, f"{name}/gate"], [name])
