"""Small networks to operate on: drawn node by node, drawn by chance, and the light architectures inside `onnx`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.backend.test
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
THINNED = 16  # least number of channels that is made smaller
LIGHT = Path(onnx.backend.test.__file__).parent / "data" / "light"
RESNET20 = Path(__file__).parents[3] / "shared" / "data" / "subjects" / "resnet20_cifar10.onnx"


class Drawing:
    """A network that is drawn node by node; every method gives the name of what the node makes."""

    def __init__(self, shape: Sequence[int] = (1, 3, 8, 8), seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.shape = tuple(shape)
        self.channels = {"image": self.shape[1]}

    def node(self, kind: str, *inputs: str, outputs: int = 1, channels: int | None = None, domain: str = "",
             **attributes: Any) -> Any:
        names = [f"t{len(self.nodes)}" if outputs == 1 else f"t{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, domain=domain, **attributes))
        kept = self.channels.get(inputs[0], 0) if channels is None else channels
        self.channels.update(dict.fromkeys(names, kept))
        return names[0] if outputs == 1 else names

    def constant(self, values: Any, name: str = "") -> str:
        name = name or f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def weights(self, *shape: int) -> str:
        scale = np.sqrt(2 / max(1, int(np.prod(shape[1:]))))
        return self.constant(self.rng.normal(0, scale, shape).astype(np.float32))

    def conv(self, x: str, out: int, kernel: int = 1, **attributes: Any) -> str:
        group = attributes.get("group", 1)
        w = self.weights(out, self.channels[x] // group, kernel, kernel)
        b = self.constant(self.rng.normal(0, 0.1, out).astype(np.float32))
        attributes.setdefault("pads", [kernel // 2] * 4)
        name: str = self.node("Conv", x, w, b, channels=out, **attributes)
        return name

    def relu(self, x: str) -> str:
        name: str = self.node("Relu", x)
        return name

    def head(self, x: str, classes: int = 5) -> str:
        pooled = self.node("Flatten", self.node("GlobalAveragePool", x))
        w, b = self.weights(classes, self.channels[x]), self.constant(np.zeros(classes, np.float32))
        name: str = self.node("Gemm", pooled, w, b, transB=1)
        return name

    def model(self, *outputs: str, opset: int = OPSET, kinds: dict[str, int] | None = None,
              domains: Sequence[str] = ()) -> onnx.ModelProto:
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, self.shape)
        ends = [helper.make_tensor_value_info(name, (kinds or {}).get(name, TensorProto.FLOAT), None)
                for name in outputs]
        graph = helper.make_graph(self.nodes, "drawn", [image], ends, self.constants)
        imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
        return helper.make_model(graph, opset_imports=imports, ir_version=8)

    def shaped(self, *outputs: str, **words: Any) -> onnx.ModelProto:
        """The model with the shapes of its tensors, and node names as the one form has them."""
        found = onnx.shape_inference.infer_shapes(self.model(*outputs, **words), data_prop=True)
        for node in found.graph.node:
            node.name = next(name for name in node.output if name)
        return found


def small(seed: int = 0, hard_swish: bool = False) -> onnx.ModelProto:
    """A stem, a residual block, two branches that are joined, a head; in the one form."""
    d = Drawing(seed=seed)
    act = (lambda x: d.node("HardSwish", x)) if hard_swish else d.relu
    stem = act(d.conv("image", 8, 3))
    inner = act(d.conv(stem, 16))
    block = act(d.node("Add", d.conv(act(d.conv(inner, 16, 3, group=16)), 8), stem))
    joined = d.node("Concat", d.relu(d.conv(block, 4)), d.relu(d.conv(block, 4, 3)), axis=1, channels=8)
    return d.shaped(d.head(act(d.conv(joined, 8, 3))))


def chain(convolutions: int = 4, seed: int = 0, size: int = 8) -> onnx.ModelProto:
    """Convolutions one after the other, each with its activation; in the one form."""
    d = Drawing((1, 3, size, size), seed=seed)
    x = "image"
    for _ in range(convolutions):
        x = d.relu(d.conv(x, 8, 3))
    return d.shaped(d.head(x))


def session(model: onnx.ModelProto | bytes, optimised: bool = True) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    data = model if isinstance(model, bytes) else model.SerializeToString()
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def run(model: onnx.ModelProto | bytes, x: NDArray[Any], optimised: bool = True) -> list[NDArray[Any]]:
    found = session(model, optimised)
    outputs: list[NDArray[Any]] = found.run(None, {found.get_inputs()[0].name: x})
    return outputs


def image_of(model: onnx.ModelProto, seed: int = 0) -> NDArray[np.float32]:
    constants = {t.name for t in model.graph.initializer}
    value = next(v for v in model.graph.input if v.name not in constants)
    shape = [d.dim_value or 1 for d in value.type.tensor_type.shape.dim]
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


def light(name: str, seed: int = 0, thin: int = 1) -> onnx.ModelProto:
    """A light architecture of the package onnx: its weights, all alike as they come, drawn anew for every layer.

    What would be a softmax at the end is left out: it hides differences wherever it is sure.

    Args:
        thin: what every number of channels and features is divided by. Depths, joins and kinds of nodes stay.
    """
    path = LIGHT / f"light_{name}.onnx"
    if not path.exists():
        pytest.skip(f"this onnx comes without {path.name}")
    model = onnx.load(path)
    if thin > 1:
        _thin(model, thin)
    shapes = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    drawn = {n.output[0]: shapes[n.input[0]] for n in model.graph.node
             if n.op_type == "ConstantOfShape" and n.input[0] in shapes}
    rng, kept, made = np.random.default_rng(seed), [], []
    for node in model.graph.node:
        if node.output[0] not in drawn:
            kept.append(node)
        for i, name in enumerate(node.input):
            if name in drawn:
                made.append(numpy_helper.from_array(_drawn(node, i, drawn.pop(name), rng), name))
    if kept[-1].op_type == "Softmax":
        (model.graph.output[0].name,) = kept.pop().input
    del model.graph.node[:]
    model.graph.node.extend(kept)
    model.graph.initializer.extend(made)
    model.ir_version = 8  # before 4 every constant is an input as well
    return model


def _thin(model: onnx.ModelProto, by: int) -> None:
    """No kernel and no map that a shape names is as large as the channels are."""
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.int64:
            values = np.where(values >= THINNED, values // by, values)
        else:
            values = values[tuple(slice(size // by if size >= THINNED else size) for size in values.shape)]
        tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), tensor.name))
    shapes = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    for value in (*model.graph.input, *model.graph.output):
        dims = value.type.tensor_type.shape.dim
        for dim, size in zip(dims, shapes.get(value.name, [d.dim_value for d in dims]), strict=True):
            dim.dim_value = size
    for dim in model.graph.output[0].type.tensor_type.shape.dim:
        dim.dim_value = dim.dim_value // by if dim.dim_value >= THINNED else dim.dim_value


def _drawn(node: onnx.NodeProto, place: int, shape: NDArray[Any], rng: np.random.Generator) -> NDArray[np.float32]:
    size = tuple(int(s) for s in shape)
    if node.op_type == "BatchNormalization":
        how: Callable[..., Any] = (rng.normal, rng.uniform, rng.normal, rng.normal, rng.uniform)[place]
        values = how(*((0.5, 1.5) if place in (1, 4) else (0, 0.1)), size)
    elif len(size) > 1:
        rows = node.op_type == "Gemm" and not any(a.name == "transB" and a.i for a in node.attribute)
        values = rng.normal(0, np.sqrt(2 / (size[0] if rows else np.prod(size[1:]))), size)
    elif node.op_type == "Mul":
        values = rng.uniform(0.5, 1.5, size)
    else:
        values = rng.normal(0, 0.1, size)
    return np.asarray(values, np.float32)
