"""Writes the int8 graph: a QuantizeLinear and a DequantizeLinear around everything that is to run in eight bits.

Weights are quantised per output channel, activations per tensor. A tensor t that gets a pair is made as 't/float',
rounded to 't/q' and read back as 't', so its readers and the outputs of the graph keep their names.

Glossary
    s, z     scale and zero point of a tensor: real = s (q - z)
    x, w     activations, u8 (or s8 with z = 0) with one s and z; weights, s8 with one s per output channel and z = 0
    b        bias, int32 with s = s_x s_w and z = 0
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from hwnas.quantize.calibrate import Range
from hwnas.quantize.graph import Lookup, attribute
from hwnas.quantize.layout import Layout, keeps_scale
from hwnas.quantize.variants import Variant

Floats = NDArray[np.float32]
Scale = tuple[float, int]

TOP, NARROW = 127, 64  # largest code of a weight; 2 x 255 x 64 fits into 16 bits
GATE = 255  # codes of a hard sigmoid's output
LEAST = 1e-9  # scale of a tensor that is always 0


class Writer:
    """Writes one graph; use once.

    Args:
        model: float, after `hwnas.quantize.rewrite.prepared`; not changed.
        layout: where pairs go.
        ranges: of every tensor that gets a pair.
    """

    def __init__(self, model: onnx.ModelProto, layout: Layout, ranges: Mapping[str, Range], variant: Variant) -> None:
        self._model, self._layout, self._ranges, self._variant = model, layout, ranges, variant
        self._lookup = Lookup(model.graph)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._scales: dict[str, Scale] = {}  # of the tensors that have a pair by now
        self._twins: dict[str, str] = {}  # input of the graph, or what a float node makes -> its rounded twin

    def write(self) -> onnx.ModelProto:
        """The int8 model, with the inputs, outputs and metadata of the float one."""
        for name in self._lookup.inputs:
            if name in self._layout.pairs:
                self._twin(name)
        for node in self._model.graph.node:
            self._node(node)
        changed = onnx.ModelProto()
        changed.CopyFrom(self._model)
        del changed.graph.node[:]
        del changed.graph.initializer[:]
        changed.graph.node.extend(self._nodes)
        read = {name for node in self._nodes for name in node.input}
        changed.graph.initializer.extend(i for i in self._model.graph.initializer if i.name in read)
        changed.graph.initializer.extend(self._constants.values())
        return changed

    def _twin(self, name: str) -> None:
        """A rounded tensor beside one that float nodes read as it is."""
        self._round(name, name, self._scale(name, ""))
        self._twins[name] = f"{name}/rounded"
        self._read_back(name, f"{name}/rounded", self._scales[name])

    def _node(self, node: onnx.NodeProto) -> None:
        name, source = node.output[0], node.input[0]
        if name in self._layout.gates:
            self._scales[name] = (1 / GATE, 0)
            self._read_back(source, name, self._scales[name])
            return
        if name in self._layout.entering or not self._layout.inside(node):
            self._nodes.append(node)
            for made in node.output:
                if made in self._layout.entering:
                    self._twin(made)
            return
        if name not in self._layout.dropped:
            source = f"{name}/float" if name in self._layout.pairs else name
            changed = onnx.NodeProto()
            changed.CopyFrom(node)
            changed.input[:] = self._inputs(node)
            changed.output[0] = source
            self._nodes.append(changed)
        if name in self._layout.pairs:
            self._pair(name, source, node)

    def _inputs(self, node: onnx.NodeProto) -> list[str]:
        source, *others = (self._twins.get(name, name) for name in node.input)
        if node.input[0] not in self._scales or not self._layout.weighted(node):
            return [source, *others]
        weights, scales = self._weights(node)
        if len(others) > 1 and others[1]:
            return [source, weights, self._bias(node, self._scales[node.input[0]][0] * scales)]
        return [source, weights]

    def _pair(self, name: str, source: str, node: onnx.NodeProto) -> None:
        reader = self._lookup.only_reader(name)
        if reader is not None and reader.output[0] in self._layout.gates:
            alpha, beta = (attribute(reader, k, d) for k, d in (("alpha", 0.2), ("beta", 0.5)))
            # The codes 0..255 of the input, clipped by rounding, are those of the output.
            self._round(name, source, (1 / (alpha * GATE), round(beta * GATE)))
            return
        self._round(name, source, self._scale(name, node.input[0] if keeps_scale(node.op_type) else ""))
        self._read_back(name, name, self._scales[name])

    def _scale(self, name: str, same_as: str) -> Scale:
        if same_as in self._scales:
            return self._scales[same_as]
        low, high = self._ranges[name]
        if self._variant.signed:
            return max(-low, high, LEAST * TOP) / TOP, 0
        scale = max(high - low, LEAST * 255) / 255
        return scale, round(-low / scale)

    def _round(self, name: str, source: str, scale: Scale) -> None:
        self._scales[name] = scale
        self._nodes.append(helper.make_node(
            "QuantizeLinear", [source, *self._scalars(name, scale)], [f"{name}/q"]))

    def _read_back(self, name: str, output: str, scale: Scale) -> None:
        self._nodes.append(helper.make_node("DequantizeLinear", [f"{name}/q", *self._scalars(output, scale)], [output]))

    def _scalars(self, name: str, scale: Scale) -> list[str]:
        code = np.int8 if self._variant.signed else np.uint8
        return [self._constant(f"{name}/s", np.float32(scale[0])), self._constant(f"{name}/z", code(scale[1]))]

    def _weights(self, node: onnx.NodeProto) -> tuple[str, Floats]:
        """Name of the weights as they are read back, and their s, shape (out channels,)."""
        name, w = node.input[1], self._lookup.constants[node.input[1]]
        axis = 0 if node.op_type == "Conv" or attribute(node, "transB", 0) else 1
        depthwise = node.op_type == "Conv" and attribute(node, "group", 1) == w.shape[0] > 1
        top = NARROW if self._variant.narrow and not depthwise else TOP
        s = np.abs(w).max(axis=tuple(i for i in range(w.ndim) if i != axis)) / top
        s = np.maximum(s, LEAST).astype(np.float32)
        codes = np.rint(w / s.reshape([-1 if i == axis else 1 for i in range(w.ndim)]))
        return self._channels(name, np.clip(codes, -top, top).astype(np.int8), s, axis), s

    def _bias(self, node: onnx.NodeProto, s: Floats) -> str:
        if self._variant.signed:
            return str(node.input[2])
        limit = 2.0**31 - 1
        codes = np.rint(self._lookup.constants[node.input[2]].astype(np.float64) / s)
        return self._channels(f"{node.output[0]}/bias", np.clip(codes, -limit, limit).astype(np.int32), s, 0)

    def _channels(self, name: str, codes: NDArray[Any], s: Floats, axis: int) -> str:
        """Constants with one scale per channel, read back as '<name>/read'."""
        if f"{name}/q" not in self._constants:
            zeros = np.zeros(s.shape, codes.dtype)
            inputs = [self._constant(f"{name}/{k}", v) for k, v in (("q", codes), ("s", s), ("z", zeros))]
            self._nodes.append(helper.make_node("DequantizeLinear", inputs, [f"{name}/read"], axis=axis))
        return f"{name}/read"

    def _constant(self, name: str, values: Any) -> str:
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.asarray(values), name)
        return name
