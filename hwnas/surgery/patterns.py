"""Operators that exporters spell out, as one node again: runtimes and the quantiser know them by their own name.

| spelled out                                   | becomes      |
|-----------------------------------------------|--------------|
| x * clip(x + 3, 0, 6) / 6, or times 1/6       | HardSwish(x) |
| x * HardSigmoid(x) of slope 1/6               | HardSwish(x) |
"""

from __future__ import annotations

import math

import onnx
from onnx import helper

from hwnas.quantize.graph import Lookup, attribute
from hwnas.surgery.dataflow import STANDARD, branches_of

LEAST_OPSET = 14  # of HardSwish
CLOSE = 1e-4


def with_patterns(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model itself, its spelled-out operators replaced."""
    opset = next((o.version for o in model.opset_import if o.domain in STANDARD), 0)
    if opset < LEAST_OPSET or any(branches_of(node) for node in model.graph.node):  # branches name what they read
        return model
    lookup = Lookup(model.graph)
    gone: set[str] = set()
    made: dict[str, onnx.NodeProto] = {}  # by the tensor that a node makes
    for node in model.graph.node:
        found = _hard_swish(node, lookup)
        if found is not None:
            source, others = found
            name = node.output[0]
            made[name] = helper.make_node("HardSwish", [source], [name], name=name)
            gone |= {other.output[0] for other in others}
    if not made:
        return model
    nodes = [made.get(node.output[0], node) for node in model.graph.node if node.output[0] not in gone]
    read = {name for node in nodes for name in node.input}
    kept = [t for t in model.graph.initializer if t.name in read]
    del model.graph.node[:]
    del model.graph.initializer[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(kept)
    return model


def _hard_swish(last: onnx.NodeProto, lookup: Lookup) -> tuple[str, list[onnx.NodeProto]] | None:
    """(x, nodes that are gone) where a node is the last of a hard swish and nothing else reads what is inside it."""
    product, scaled = last, []
    scale = _scale(last, lookup)
    if scale is not None:
        inner = lookup.makers.get(scale[0])
        if inner is None or inner.op_type != "Mul" or lookup.only_reader(inner.output[0]) is not last:
            return None
        product, scaled = inner, [inner]
    if product.op_type != "Mul":
        return None
    for x, gate in (tuple(product.input), tuple(reversed(product.input))):
        inside = _gate(x, lookup.makers.get(gate), lookup, 1.0 if scale is None else scale[1])
        if inside is not None and lookup.only_reader(gate) is product:
            return x, [*scaled, *inside]
    return None


def _gate(x: str, node: onnx.NodeProto | None, lookup: Lookup, factor: float) -> list[onnx.NodeProto] | None:
    """Nodes of clip(x + 3, 0, 6) with a factor of 1/6 behind it, or of a hard sigmoid with none."""
    if node is None:
        return None
    if node.op_type == "HardSigmoid" and node.input[0] == x and factor == 1.0:
        slope, offset = attribute(node, "alpha", 0.2), attribute(node, "beta", 0.5)
        return [node] if _close(slope, 1 / 6) and _close(offset, 0.5) else None
    if node.op_type != "Clip" or not _close(factor, 1 / 6) or len(node.input) < 3:
        return None
    low, high = (lookup.scalar(name, math.nan) for name in node.input[1:3])
    added = lookup.makers.get(node.input[0])
    if not (_close(low, 0) and _close(high, 6)) or added is None or added.op_type != "Add" or x not in added.input:
        return None
    other = next((name for name in added.input if name != x), "")
    if not _close(lookup.scalar(other, math.nan), 3) or lookup.only_reader(added.output[0]) is not node:
        return None
    return [node, added]


def _scale(node: onnx.NodeProto, lookup: Lookup) -> tuple[str, float] | None:
    """(what is scaled, by how much) of a node that multiplies or divides by one number."""
    if node.op_type == "Div":
        by = lookup.scalar(node.input[1], math.nan)
        return (node.input[0], 1 / by) if by and not math.isnan(by) else None
    if node.op_type == "Mul":
        for a, b in (tuple(node.input), tuple(reversed(node.input))):
            by = lookup.scalar(b, math.nan)
            if not math.isnan(by):
                return a, by
    return None


def _close(a: float, b: float) -> bool:
    return abs(a - b) < CLOSE
