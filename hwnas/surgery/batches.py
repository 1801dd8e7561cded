"""A network for several images a call: the canonical form has one, and here its batch is left open.

Where an exporter or the folding of constants wrote the one image into a shape, it is written out again; whether what
comes out is the same network is asked of the numbers it gives, `TrainedNetwork.check`.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from hwnas.quantize.graph import parse
from hwnas.surgery.dataflow import read_by, static_shape

OPEN = "batch"
SIZES = 3  # input of Resize that holds sizes; the one before it holds scales


def opened(model: bytes) -> bytes:
    """A model that takes one image, as one that takes any number of them.

    Args:
        model: one input, shapes fixed.
    """
    found: bytes = with_open_batch(parse(model), 1).SerializeToString()
    return found


def with_batch_of_one(model: onnx.ModelProto, name: str, batch: int) -> onnx.ModelProto:
    """A model that takes a number of images, as one that takes one."""
    found = with_open_batch(model, batch)
    value = next(v for v in found.graph.input if v.name == name)
    value.type.tensor_type.shape.dim[0].dim_value = 1
    return found


def with_open_batch(model: onnx.ModelProto, batch: int) -> onnx.ModelProto:
    """A copy of a model whose batch is open.

    Args:
        batch: that it was fixed at.
    """
    found = onnx.ModelProto()
    found.CopyFrom(model)
    graph = found.graph
    shapes = {v.name: static_shape(v) for v in (*graph.input, *graph.value_info)}
    constants = {t.name: t for t in graph.initializer} | {
        node.output[0]: part.t for node in graph.node if node.op_type == "Constant" for part in node.attribute
        if part.name == "value"}
    for value in graph.input:
        if value.name not in constants:
            _open(value, batch)
    for value in graph.output:
        _open(value, batch)
    del graph.value_info[:]
    for node in graph.node:
        if node.op_type == "Reshape":
            _reshaped(graph, node, constants, batch)
        elif node.op_type == "Resize":
            _resized(graph, node, constants, shapes.get(node.input[0]), batch)
    read = {name for node in graph.node for name in read_by(node)} | {v.name for v in graph.output}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return found


def _open(value: onnx.ValueInfoProto, batch: int) -> None:
    dims = value.type.tensor_type.shape.dim
    if dims and dims[0].dim_value == batch:
        dims[0].Clear()
        dims[0].dim_param = OPEN


def _reshaped(graph: onnx.GraphProto, node: onnx.NodeProto, constants: dict[str, onnx.TensorProto], batch: int) -> None:
    """The first of the new sizes is the first of the old ones."""
    if node.input[1] not in constants or any(a.name == "allowzero" and a.i for a in node.attribute):
        return
    sizes = numpy_helper.to_array(constants[node.input[1]])
    if len(sizes) and sizes[0] == batch:
        _give(graph, node, 1, np.array([0, *sizes[1:]], np.int64))


def _resized(graph: onnx.GraphProto, node: onnx.NodeProto, constants: dict[str, onnx.TensorProto],
             shape: tuple[int, ...] | None, batch: int) -> None:
    """Scales in the place of sizes, where they come to the same sizes."""
    if shape is None or len(node.input) <= SIZES or node.input[SIZES] not in constants or any(
            a.name == "axes" for a in node.attribute):
        return
    sizes = numpy_helper.to_array(constants[node.input[SIZES]])
    scales = np.array([1.0, *(sizes[1:] / np.array(shape[1:]))], np.float32)
    come_to = [int(np.floor(np.float32(old) * scale)) for old, scale in zip(shape[1:], scales[1:], strict=True)]
    if len(sizes) != len(shape) or sizes[0] != batch or come_to != list(sizes[1:]):
        return
    _give(graph, node, SIZES - 1, scales)
    del node.input[SIZES:]


def _give(graph: onnx.GraphProto, node: onnx.NodeProto, place: int, values: np.ndarray) -> None:
    name = f"{node.output[0]}/{OPEN}"
    graph.initializer.append(numpy_helper.from_array(values, name))
    node.input[place] = name
