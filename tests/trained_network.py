"""Small trained-looking networks as ONNX, for tests of several rooms."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from hwnas.export.metadata import stamped
from hwnas.export.own_samples import OwnSamples, stacked
from hwnas.imaging import InputContract
from hwnas.pipeline.run.results import described
from hwnas.quantize import to_form
from hwnas.surgery.judging import Judge
from hwnas.surgery.session import session_of
from hwnas.target import load


class Builder:
    """Adds nodes one after the other; every method gives the name of what it makes."""

    def __init__(self, shape: tuple[int, ...] = (1, 1, 16, 16), seed: int = 0, opset: int = 17) -> None:
        self.rng, self.shape, self.opset = np.random.default_rng(seed), shape, opset
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, values: np.ndarray) -> str:
        """An initialiser."""
        name = f"w{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def node(self, kind: str, *inputs: str, outputs: int = 1, **attributes: object) -> str:
        """Any node; the name of its first output, the others have `_1`, `_2` behind it."""
        name = f"{kind.lower()}{len(self.nodes)}"
        names = [name, *(f"{name}_{i}" for i in range(1, outputs))]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=name, **attributes))
        return name

    def conv(self, x: str, channels: int, out: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> str:
        """With a bias, weights scaled so that maps keep their size."""
        reads = channels // groups
        w = self.rng.normal(size=(out, reads, kernel, kernel)) * np.sqrt(2 / (reads * kernel**2))
        names = self.constant(w.astype(np.float32)), self.constant(self.rng.normal(size=out).astype(np.float32) * 0.1)
        return self.node("Conv", x, *names, kernel_shape=[kernel, kernel], strides=[stride, stride],
                         pads=[kernel // 2] * 4, group=groups)

    def residual(self, x: str, channels: int) -> str:
        """Two convolutions and the way around them."""
        inner = self.conv(self.node("Relu", self.conv(x, channels, channels)), channels, channels)
        return self.node("Relu", self.node("Add", inner, x))

    def classes(self, x: str, channels: int, classes: int) -> str:
        """Mean over the map, and a product."""
        pooled = self.node("Flatten", self.node("GlobalAveragePool", x))
        w = self.rng.normal(size=(classes, channels)) * np.sqrt(2 / channels)
        bias = self.constant(self.rng.normal(size=classes).astype(np.float32))
        return self.node("Gemm", pooled, self.constant(w.astype(np.float32)), bias, transB=1)

    def model(self, *outputs: str, batch: object = 1) -> onnx.ModelProto:
        """The network."""
        ends = [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, *self.shape[1:]])]
        made = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        graph = helper.make_graph(self.nodes, "network", ends, made, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=9)
        model = onnx.shape_inference.infer_shapes(model)
        onnx.checker.check_model(model)
        return model


def small_network(seed: int = 0, width: int = 8, classes: int = 10) -> onnx.ModelProto:
    """A stem, two residual blocks, a step down, classes; 16 x 16 grey."""
    b = Builder(seed=seed)
    x = b.node("Relu", b.conv("image", 1, width))
    x = b.residual(b.residual(x, width), width)
    x = b.node("Relu", b.conv(x, width, 2 * width, stride=2))
    return b.model(b.classes(b.residual(x, 2 * width), 2 * width, classes))


def written(model: onnx.ModelProto, path: Path) -> Path:
    """In a file."""
    path.write_bytes(model.SerializeToString())
    return path


def shipped(folder: Path, model: onnx.ModelProto, contract: InputContract, size: tuple[int, int], *,
            classes: Sequence[str] = (), precision: str = "fp32", count: int = 6) -> Path:
    """A network as a run leaves it: model.onnx that says what it is, the given network and samples beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    images = np.random.default_rng(1).integers(0, 256, (count, *size, contract.channels), dtype=np.uint8)
    given = model.SerializeToString()
    data = given if precision == "fp32" else to_form(given, precision)
    name = model.graph.input[0].name
    rows = [[session_of(m).run(None, {name: contract.apply(image[None])}) for image in images] for m in (data, given)]
    truth_of = iter(rows[1])
    judge = Judge(lambda: (contract.apply(image[None]) for image in images), lambda x: next(truth_of))
    outputs, truth = map(stacked, rows)
    names = [value.name for value in model.graph.output]
    shapes = [[1, *o.shape[1:]] for o in outputs] if outputs else [None] * len(names)
    kept = "fp32" if precision == "fp32" else "mixed"
    metadata = {
        "hwnas": "0", "role": "compressed", "network": "net", "sha256": "0" * 64, "contract": contract.to_json(),
        "input": list(contract.apply(images[:1]).shape), "classes": list(classes), "precision": kept,
        "outputs": [{"name": n, "kind": k, "probabilities": p, "shape": s}
                    for n, k, p, s in zip(names, judge.kinds, judge.probabilities, shapes, strict=True)],
        "target": described(load("local", precision=kept)), "data": "photos", "seed": 0,
        "samples": count if outputs else 0,
        "latency": {"limit_ms": 1e3, "given_ms": 1e3, "share": 1.0, "device": None,
                    "measured": {"median_ms": 900.0, "p10_ms": 900.0, "p90_ms": 900.0, "runs": 1}},
    }
    (folder / "model.onnx").write_bytes(stamped(data, metadata))
    (folder / "network.onnx").write_bytes(given)
    if outputs and truth:
        OwnSamples(images, outputs, truth, np.full(count, -1), "onnxruntime").save(folder / "samples.safetensors")
    return folder / "model.onnx"
