"""The graph of a trained network: which node makes a tensor, which read it, shapes, work.

What a node of a control flow (If, Loop, Scan) reads from outside its branches counts as its input, so that no cut ever
separates the two.

symbol  meaning                                            shape
-       a tensor is its name; a node is its place in the graph
work    multiply-accumulates of convolutions and products  of one call
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from math import prod

import numpy as np
import onnx
from onnx import TensorProto, helper

from hwnas.quantize.graph import Lookup, attribute

STANDARD = ("", "ai.onnx")
"""Domains whose operators are ONNX's own."""
WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
Shape = tuple[int, ...]


class Dataflow:
    """One ONNX model, looked at; it must not change meanwhile.

    Args:
        model: with the shapes of its tensors, as `hwnas.surgery.canonical` leaves them.

    Attributes:
        nodes: in their order.
        shapes: tensor -> its shape, of those whose shape is known.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.nodes = list(model.graph.node)
        self.lookup = Lookup(model.graph)
        self.shapes: dict[str, Shape] = {}
        self._types: dict[str, int] = {}
        for value in (*model.graph.input, *model.graph.value_info, *model.graph.output):
            self._types[value.name] = value.type.tensor_type.elem_type
            if (shape := static_shape(value)) is not None:
                self.shapes[value.name] = shape
        for tensor in model.graph.initializer:
            self.shapes[tensor.name], self._types[tensor.name] = tuple(tensor.dims), tensor.data_type

    @property
    def inputs(self) -> tuple[str, ...]:
        """The tensors that a caller gives."""
        return self.lookup.inputs

    @property
    def outputs(self) -> tuple[str, ...]:
        """The tensors that a caller gets."""
        return tuple(value.name for value in self.model.graph.output)

    @cached_property
    def constants(self) -> frozenset[str]:
        """Names of the initialisers."""
        return frozenset(tensor.name for tensor in self.model.graph.initializer)

    @cached_property
    def reads(self) -> tuple[tuple[str, ...], ...]:
        """Of every node the tensors that it reads and that are no constants, each once."""
        return tuple(tuple(dict.fromkeys(name for name in read_by(node) if name and name not in self.constants))
                     for node in self.nodes)

    @cached_property
    def makers(self) -> dict[str, int]:
        """Tensor -> the node that makes it."""
        return {name: i for i, node in enumerate(self.nodes) for name in node.output if name}

    @cached_property
    def readers(self) -> dict[str, tuple[int, ...]]:
        """Tensor -> the nodes that read it."""
        found: dict[str, list[int]] = {}
        for i, names in enumerate(self.reads):
            for name in names:
                found.setdefault(name, []).append(i)
        return {name: tuple(places) for name, places in found.items()}

    def bytes_of(self, tensor: str) -> int:
        """Of one tensor; 0 where its shape is not known."""
        if tensor not in self.shapes:
            return 0
        try:
            size = np.dtype(helper.tensor_dtype_to_np_dtype(self._types[tensor])).itemsize
        except (KeyError, TypeError, ValueError):
            size = 4
        return prod(self.shapes[tensor]) * size

    def is_float(self, tensor: str) -> bool:
        """Whether a tensor holds float32."""
        return self._types.get(tensor) == TensorProto.FLOAT

    def is_weighted(self, place: int) -> bool:
        """Whether a node is a convolution or a product with constant weights."""
        node = self.nodes[place]
        return node.op_type in WEIGHTED and any(name in self.constants for name in node.input[:2])

    def work_of(self, place: int) -> int:
        """Multiply-accumulates of a node; 0 where it is no convolution or product, or shapes are not known."""
        node = self.nodes[place]
        if node.op_type not in WEIGHTED:
            return 0
        first, second, out = (self.shapes.get(name) for name in (node.input[0], node.input[1], node.output[0]))
        if first is None or second is None or out is None:
            return 0
        if node.op_type == "Conv":
            return prod(out) * prod(second[1:])
        if node.op_type == "ConvTranspose":
            return prod(first) * prod(second[1:])
        inner = first[-2] if node.op_type == "Gemm" and attribute(node, "transA", 0) else first[-1]
        return prod(out) * inner

    @cached_property
    def work(self) -> int:
        """Of the whole network."""
        return sum(self.work_of(i) for i in range(len(self.nodes)))


def static_shape(value: onnx.ValueInfoProto) -> Shape | None:
    """Of a tensor whose every dimension is a number; None otherwise."""
    if not value.type.HasField("tensor_type") or not value.type.tensor_type.HasField("shape"):
        return None
    dims = value.type.tensor_type.shape.dim
    if not all(d.HasField("dim_value") and d.dim_value >= 0 for d in dims):
        return None
    return tuple(d.dim_value for d in dims)


def branches_of(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """Graphs inside a node: of control flow."""
    return [graph for part in node.attribute
            for graph in ([part.g] if part.type == onnx.AttributeProto.GRAPH else part.graphs)]


def read_by(node: onnx.NodeProto) -> Iterator[str]:
    """Everything that a node reads, constants too, and what its branches read from outside; with repeats."""
    yield from node.input
    for graph in branches_of(node):
        yield from _from_outside(graph)


def _from_outside(graph: onnx.GraphProto) -> Iterator[str]:
    """What a branch reads that it does not make."""
    inside = {v.name for v in graph.input} | {t.name for t in graph.initializer}
    inside |= {name for node in graph.node for name in node.output}
    for node in graph.node:
        yield from (name for name in read_by(node) if name not in inside)
    yield from (value.name for value in graph.output if value.name not in inside)
