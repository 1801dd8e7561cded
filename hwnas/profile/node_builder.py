"""ONNX nodes and initialisers, one behind the other, and the model that they make.

Initialisers of weights are named `<position>/<step>/<role>`, e.g. 'stage1.2/0/weight', so that any can be put in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

OPSET = 18
IR_VERSION = 8  # what opset 18 was released with; every runtime that knows the opset reads it

FloatArray = NDArray[np.float32]
Weights = Callable[[str, tuple[int, ...]], FloatArray]
"""Called as weights(initialiser name, shape); gives float32."""

_POOL_SIZE = 1 << 18


def random_weights(seed: int = 0) -> Weights:
    """Weights cut from one pool of normal numbers, scaled by sqrt(2 / fan-in) so that values stay finite.

    Ones would be faster to make, but with equal activations a runtime may meet values it treats specially.
    """
    rng = np.random.default_rng(seed)
    pool = rng.standard_normal(_POOL_SIZE, dtype=np.float32)

    def weights(name: str, shape: tuple[int, ...]) -> FloatArray:
        if name == "normalize/std" or name.endswith("/var"):
            return np.full(shape, 0.25, dtype=np.float32)
        size = int(np.prod(shape))
        start = int(rng.integers(max(1, _POOL_SIZE - size)))
        values = pool[start : start + size] if size <= _POOL_SIZE else np.resize(pool, size)
        fan_in = int(np.prod(shape[1:])) if name.endswith("weight") else 100
        return values.reshape(shape) * np.float32((2 / fan_in) ** 0.5)

    return weights


class NodeBuilder:
    """Grows a graph; `value` is the name of the tensor that the next node reads.

    Args:
        shape: (batch, channels, *size) of the input.
        weights: where initialisers come from.
    """

    def __init__(self, shape: tuple[int, ...], weights: Weights) -> None:
        self.shape, self.weights = shape, weights
        self.nodes: list[onnx.NodeProto] = []
        self.initialisers: dict[str, onnx.TensorProto] = {}
        self.value = "input"

    def model_of(self, outputs: Sequence[tuple[str, tuple[int, ...]]]) -> bytes:
        """The finished graph with these tensors and shapes as outputs 'output', 'output_1', 'output_2', ..."""
        names = ["output", *(f"output_{i}" for i in range(1, len(outputs)))]
        renamed = {tensor: name for name, (tensor, _) in zip(names, outputs, strict=True)}
        for node in self.nodes:
            node.input[:] = [renamed.get(name, name) for name in node.input]
            node.output[:] = [renamed.get(name, name) for name in node.output]
        told = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
                for name, (_, shape) in zip(names, outputs, strict=True)]
        graph = helper.make_graph(
            self.nodes, "hwnas",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, self.shape)],
            told,
            list(self.initialisers.values()),
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="hwnas"
        )
        data: bytes = model.SerializeToString()
        return data

    def node(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        """Append a node; its output becomes `value`."""
        self.value = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [self.value], **attributes))
        return self.value

    def weight(self, name: str, shape: tuple[int, ...]) -> str:
        """An initialiser that is learnt."""
        values = np.ascontiguousarray(self.weights(name, shape), dtype=np.float32)
        self.initialisers[name] = helper.make_tensor(name, TensorProto.FLOAT, shape, values.tobytes(), raw=True)
        return name

    def scalar(self, name: str, value: float) -> str:
        """A float constant without axes."""
        self.initialisers[name] = helper.make_tensor(name, TensorProto.FLOAT, (), [value])
        return name

    def integers(self, values: tuple[int, ...]) -> str:
        """A constant of int64, (n,)."""
        name = "ints_" + "_".join(map(str, values))
        self.initialisers[name] = helper.make_tensor(name, TensorProto.INT64, (len(values),), values)
        return name

    def matrix(self, name: str, values: np.ndarray) -> str:
        """A float constant that no one learns."""
        data = np.ascontiguousarray(values, dtype=np.float32).tobytes()
        self.initialisers[name] = helper.make_tensor(name, TensorProto.FLOAT, values.shape, data, raw=True)
        return name
