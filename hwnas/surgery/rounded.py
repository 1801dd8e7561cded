"""A network that trains as its int8 form computes: values and weights rounded, gradients passed straight through.

Which tensors are rounded, and on which scale, is read from the int8 form that ships, so both round alike. Scales of
activations stay what calibration found; those of weights follow the weights. Rounding with gradients passed through is
Jacob et al. (CVPR 2018).

symbol  meaning                                              shape
s, z    scale and zero point: real = s (q - z)               one, or one a channel
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

from hwnas.quantize.graph import attribute, parse
from hwnas.surgery.interpreter import OnnxModule
from hwnas.surgery.operators import Node

CODES = {"uint8": (0, 255), "int8": (-128, 127)}
MARK = "/q"


@dataclass(frozen=True)
class Rounding:
    """What an int8 form rounds.

    Args:
        values: tensor -> s, z, least and largest code.
        weights: constant -> axis of its channels, largest code.
    """

    values: Mapping[str, tuple[float, int, int, int]]
    weights: Mapping[str, tuple[int, int]]

    @classmethod
    def of(cls, lowered: bytes) -> Rounding:
        """Of a model that `to_form` wrote, with places in int8."""
        graph = parse(lowered).graph
        constants = {tensor.name: tensor for tensor in graph.initializer}
        values, weights = {}, {}
        for node in graph.node:
            if node.op_type == "QuantizeLinear":
                s, z = (numpy_helper.to_array(constants[name]) for name in node.input[1:])
                values[node.output[0].removesuffix(MARK)] = float(s), int(z), *CODES[str(z.dtype)]
            elif node.op_type == "DequantizeLinear" and node.input[0] in constants:
                codes = numpy_helper.to_array(constants[node.input[0]])
                if codes.dtype == np.int8:
                    top = max(1, int(np.abs(codes.astype(np.int64)).max()))
                    weights[node.input[0].removesuffix(MARK)] = attribute(node, "axis", 1), top
        return cls(values, weights)


class RoundedModule(OnnxModule):
    """As `OnnxModule`, with what a `Rounding` names rounded wherever it is made or read.

    Args:
        model: in floats.
        rounding: names of other tensors than the model's are passed over.
    """

    def __init__(self, model: onnx.ModelProto, rounding: Rounding, trains: bool = True) -> None:
        super().__init__(model, trains)
        self._rounding = rounding

    def run(self, given: Mapping[str, Any], wanted: Sequence[str]) -> list[Tensor]:
        return super().run({name: self._rounded(name, value) for name, value in given.items()}, wanted)

    def carry_out(self, node: Node, arguments: list[Any]) -> Any:
        read = [self._of_weights(name, value) for name, value in zip(node.inputs, arguments, strict=True)]
        made = super().carry_out(node, read)
        if isinstance(made, tuple | list):
            return [self._rounded(name, value) for name, value in zip(node.outputs, made, strict=False)]
        return self._rounded(node.outputs[0], made)

    def _rounded(self, name: str, value: Any) -> Any:
        if name not in self._rounding.values or not isinstance(value, Tensor):
            return value
        s, z, least, most = self._rounding.values[name]
        return torch.fake_quantize_per_tensor_affine(value.float(), s, z, least, most)

    def _of_weights(self, name: str, value: Any) -> Any:
        if name not in self._rounding.weights or not isinstance(value, Tensor):
            return value
        axis, top = self._rounding.weights[name]
        others = [i for i in range(value.dim()) if i != axis]
        s = (value.detach().abs().amax(others) / top).clamp_min(torch.finfo(value.dtype).eps)
        zeros = torch.zeros(len(s), dtype=torch.int32, device=value.device)
        return torch.fake_quantize_per_channel_affine(value, s, zeros, axis, -top, top)
