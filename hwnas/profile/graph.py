"""ONNX graphs of ops and networks, built straight from `Op.steps`: a millisecond each, and no torch on the device.

Every graph is what the exporter makes of the torch module after its batch norms are folded: convolution with
bias, Relu / Clip / HardSwish, ReduceMean for averages, Reshape-Transpose-Reshape for shuffles, Gemm with transB.
Initialisers are named `<position>/<step>/<role>`, e.g. 'stage1.2/0/weight', so that any weights can be put in.
A batch norm that no convolution comes before stays a BatchNormalization. Dead ops of a cell are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from hwnas.space import (
    Act,
    Architecture,
    Average,
    Conv,
    Enlarge,
    Gate,
    Linear,
    Norm,
    Op,
    Pool,
    Shuffle,
    SqueezeExcite,
    Step,
    flow,
    output_positions,
)
from hwnas.space.interpolation import interpolation

OPSET = 18
IR_VERSION = 8  # what opset 18 was released with; every runtime that knows the opset reads it

FloatArray = NDArray[np.float32]
Weights = Callable[[str, tuple[int, ...]], FloatArray]
"""Called as weights(initialiser name, shape); gives float32."""

NORM_EPSILON = 1e-5  # torch's
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


class GraphBuilder:
    """Grows a graph; `value` is the name of the tensor that the next node reads.

    Args:
        shape: (batch, channels, height, width) of the input.
        weights: where initialisers come from.
    """

    def __init__(self, shape: tuple[int, ...], weights: Weights) -> None:
        self.shape, self.weights = shape, weights
        self.nodes: list[onnx.NodeProto] = []
        self.initialisers: dict[str, onnx.TensorProto] = {}
        self.value = "input"

    def normalise(self) -> None:
        """Subtract the mean and divide by the standard deviation of every channel, as deployed networks do."""
        shape = (1, self.shape[1], 1, 1)
        self._node("Sub", [self.value, self._weight("normalize/mean", shape)])
        self._node("Div", [self.value, self._weight("normalize/std", shape)])

    def op(self, name: str, op: Op) -> None:
        """Append an op; its initialisers start with `name`."""
        source = self.value
        for i, step in enumerate(op.steps):
            self._step(f"{name}/{i}", step)
        if op.residual:
            self._node("Add", [self.value, source])

    def add(self, a: str, b: str) -> str:
        """The sum of two tensors."""
        return self._node("Add", [a, b])

    def zeros(self, op: Op) -> str:
        """What an op reads where no image reaches it."""
        return self._node("ConstantOfShape", [self._integers((self.shape[0], op.in_channels, op.height, op.width))])

    def pool(self) -> None:
        """The mean over the map, in the form that every runtime has a kernel for in its own layout."""
        self._node("GlobalAveragePool", [self.value])

    def model(self, out_shape: tuple[int, ...]) -> bytes:
        """The finished graph, serialised. Input 'input', output 'output'."""
        if not self.nodes:  # a runtime takes no graph without nodes
            self._node("Identity", [self.value])
        return self.model_of([(self.value, out_shape)])

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

    def _step(self, name: str, step: Step) -> None:
        match step:
            case Conv():
                self._conv(name, step)
            case SqueezeExcite():
                self._squeeze_excite(name, step)
            case Gate():
                self._gate(name, step)
            case Enlarge():
                self._enlarge(step)
            case Shuffle():
                self._shuffle(step)
            case Act():
                self._activation(step.act)
            case Norm():
                self._norm(name, step)
            case Average():
                self._average(step)
            case Pool():
                self._mean(keep=False)
            case Linear():
                self._linear(name, step)

    def _conv(self, name: str, conv: Conv) -> None:
        shape = (conv.out_channels, conv.in_channels // conv.groups, conv.kernel, conv.kernel)
        inputs = [self.value, self._weight(f"{name}/weight", shape)]
        if conv.norm or conv.bias:
            inputs.append(self._weight(f"{name}/bias", shape[:1]))
        self._node(
            "Conv", inputs, kernel_shape=[conv.kernel] * 2, strides=[conv.stride] * 2, pads=[conv.pad] * 4,
            dilations=[conv.dilation] * 2, group=conv.groups,
        )
        self._activation(conv.act)

    def _norm(self, name: str, norm: Norm) -> None:
        weights = [self._weight(f"{name}/{part}", (norm.channels,)) for part in ("scale", "bias", "mean", "var")]
        self._node("BatchNormalization", [self.value, *weights], epsilon=NORM_EPSILON)
        self._activation(norm.act)

    def _average(self, pool: Average) -> None:
        self._node(
            "AveragePool", [self.value], kernel_shape=[pool.kernel] * 2, strides=[pool.stride] * 2,
            pads=[pool.pad] * 4, ceil_mode=int(pool.ragged), count_include_pad=0,
        )

    def _activation(self, act: str) -> None:
        if act == "relu":
            self._node("Relu", [self.value])
        elif act == "relu6":
            self._node("Clip", [self.value, self._scalar("zero", 0.0), self._scalar("six", 6.0)])
        elif act == "hswish":
            self._node("HardSwish", [self.value])

    def _squeeze_excite(self, name: str, se: SqueezeExcite) -> None:
        source = self.value
        self._mean(keep=True)
        self._conv(f"{name}/reduce", Conv(se.channels, se.reduced, 1, 1, 1, "relu", 1, 1))
        self._conv(f"{name}/expand", Conv(se.reduced, se.channels, 1, 1, 1, "none", 1, 1))
        self._node("HardSigmoid", [self.value], alpha=1 / 6, beta=0.5)
        self._node("Mul", [source, self.value])

    def _gate(self, name: str, gate: Gate) -> None:
        source, (h, w) = self.value, (gate.height, gate.width)
        self._conv(f"{name}/features", Conv(gate.channels, gate.out_channels, 1, 1, 1, "relu", h, w))
        features, self.value = self.value, source
        self._mean(keep=True)
        self._conv(f"{name}/scale", Conv(gate.channels, gate.out_channels, 1, 1, 1, "none", 1, 1, norm=False))
        self._node("Sigmoid", [self.value])
        self._node("Mul", [features, self.value])

    def _enlarge(self, step: Enlarge) -> None:
        """As torch exports it: sizes, not scales; bilinear as two products."""
        if step.bilinear:
            self._node("MatMul", [self.value, self._matrix(interpolation(step.width, step.scale).T)])
            self._node("MatMul", [self._matrix(interpolation(step.height, step.scale)), self.value])
            return
        sizes = self._integers((self.shape[0], step.channels, step.height * step.scale, step.width * step.scale))
        self._node("Resize", [self.value, "", "", sizes], mode="nearest",
                   coordinate_transformation_mode="asymmetric", cubic_coeff_a=-0.75, nearest_mode="floor")

    def _matrix(self, values: np.ndarray) -> str:
        """A constant that no one learns."""
        name = f"blend_{values.shape[0]}_{values.shape[1]}"
        data = np.ascontiguousarray(values, dtype=np.float32).tobytes()
        self.initialisers[name] = helper.make_tensor(name, TensorProto.FLOAT, values.shape, data, raw=True)
        return name

    def _shuffle(self, step: Shuffle) -> None:
        split = (self.shape[0], step.groups, step.channels // step.groups, step.height, step.width)
        merged = (self.shape[0], step.channels, step.height, step.width)
        self._node("Reshape", [self.value, self._integers(split)])
        self._node("Transpose", [self.value], perm=[0, 2, 1, 3, 4])
        self._node("Reshape", [self.value, self._integers(merged)])

    def _mean(self, keep: bool) -> None:
        self._node("ReduceMean", [self.value, self._integers((2, 3))], keepdims=int(keep))

    def _linear(self, name: str, step: Linear) -> None:
        weight = self._weight(f"{name}/weight", (step.out_features, step.in_features))
        bias = self._weight(f"{name}/bias", (step.out_features,))
        self._node("Gemm", [self.value, weight, bias], alpha=1.0, beta=1.0, transB=1)
        self._activation(step.act)

    def _node(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        self.value = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [self.value], **attributes))
        return self.value

    def _weight(self, name: str, shape: tuple[int, ...]) -> str:
        values = np.ascontiguousarray(self.weights(name, shape), dtype=np.float32)
        self.initialisers[name] = helper.make_tensor(name, TensorProto.FLOAT, shape, values.tobytes(), raw=True)
        return name

    def _scalar(self, name: str, value: float) -> str:
        self.initialisers[name] = helper.make_tensor(name, TensorProto.FLOAT, (), [value])
        return name

    def _integers(self, values: tuple[int, ...]) -> str:
        name = "ints_" + "_".join(map(str, values))
        self.initialisers[name] = helper.make_tensor(name, TensorProto.INT64, (len(values),), values)
        return name


def network_model(arch: Architecture, weights: Weights | None = None, *, seed: int = 0, batch: int = 1) -> bytes:
    """A whole network as ONNX bytes: (batch, C, H, W) pixels in 0..1 -> (batch, classes), or one map a level.

    Args:
        weights: called with every initialiser's name and shape; None takes random ones from `seed`.
        batch: images per call; the shape is static.
    """
    builder = GraphBuilder((batch, *arch.space.input_shape), weights or random_weights(seed))
    builder.normalise()

    def run(number: int, op: Op, value: str) -> str:
        builder.value = value
        builder.op(arch.space.positions[number].name, op)
        return builder.value

    tensors = flow(arch, builder.value, run=run, add=builder.add, zeros=builder.zeros)
    ops = [arch.ops[i] for i in output_positions(arch.ops)]
    return builder.model_of([(t, out_shape(op, batch)) for t, op in zip(tensors, ops, strict=True)])


def out_shape(op: Op, batch: int) -> tuple[int, ...]:
    """Shape of the tensor an op gives."""
    return (batch, op.out_channels) if op.kind == "head" else (batch, op.out_channels, *op.out_hw)
