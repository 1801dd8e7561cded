"""An ONNX network as a torch module, so that it can be trained: floating constants are parameters.

No exporter undoes an export, so nothing is guessed: every node is carried out by the torch function that its operator
is defined by. Integer tensors (shapes, indices) are numpy arrays and take no part in training. What there is no
function for is refused, with its name; such a network can still be cut, timed and quantised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from hwnas.errors import UsageError
from hwnas.surgery.dataflow import STANDARD
from hwnas.surgery.operators import FUNCTIONS, SETTINGS, STATISTICS, Node


class OnnxModule(nn.Module):
    """A network that torch carries out node by node.

    Args:
        model: one that `missing_from` finds nothing missing for.
        trains: whether floating constants are parameters; else they are buffers, as statistics always are.

    Raises:
        UsageError: an operator that there is no function for.
    """

    def __init__(self, model: onnx.ModelProto, trains: bool = True) -> None:
        super().__init__()
        if missing := missing_from(model):
            raise UsageError(f"torch has no counterpart here for the operator {missing[0]}: the units that hold it can "
                             "be timed and quantised, not trained")
        opset = next((o.version for o in model.opset_import if o.domain in STANDARD), 1)
        single = _of_one_image(model)
        self._nodes = [Node(node, opset, bool(node.input) and node.input[0] in single) for node in model.graph.node]
        self.output_names = [value.name for value in model.graph.output]
        self._fixed: dict[str, NDArray[Any]] = {}
        self._slots: dict[str, str] = {}
        settings, statistics = (_read_as(model, places) for places in (SETTINGS, STATISTICS))
        for tensor in model.graph.initializer:
            values = numpy_helper.to_array(tensor)
            if values.dtype.kind != "f" or values.size == 1 or tensor.name in settings:  # of one: bounds, factors
                self._fixed[tensor.name] = values
                continue
            slot = f"t{len(self._slots)}"
            self._slots[tensor.name] = slot
            kept = torch.from_numpy(values.copy())
            if trains and tensor.name not in statistics:
                self.register_parameter(slot, nn.Parameter(kept))
            else:
                self.register_buffer(slot, kept)
        self.input_names = [v.name for v in model.graph.input if v.name not in {*self._slots, *self._fixed}]
        self._last = _last_uses(self._nodes, self.output_names)

    def constants(self) -> dict[str, NDArray[Any]]:
        """Name in the model -> values of everything that may have been trained."""
        return {name: getattr(self, slot).detach().cpu().numpy() for name, slot in self._slots.items()}

    def forward(self, *inputs: Tensor) -> list[Tensor]:
        """Outputs in the order of the model."""
        values: dict[str, Any] = dict(zip(self.input_names, inputs, strict=True))
        return self.run(values, self.output_names)

    def run(self, given: Mapping[str, Any], wanted: Sequence[str]) -> list[Tensor]:
        """Tensors by name."""
        values = dict(given)
        keep = set(wanted)
        for node, over in zip(self._nodes, self._last, strict=True):
            arguments = [self._value(name, values) if name else None for name in node.inputs]
            made = self.carry_out(node, arguments)
            made = made if isinstance(made, tuple | list) else (made,)
            values.update(zip(node.outputs, made, strict=False))
            for name in over:
                if name not in keep:
                    values.pop(name, None)
        return [values[name] for name in wanted]

    def carry_out(self, node: Node, arguments: list[Any]) -> Any:
        """What one node makes: a value, or several."""
        return FUNCTIONS[node.kind](node, arguments)

    def _value(self, name: str, values: Mapping[str, Any]) -> Any:
        if name in values:
            return values[name]
        return getattr(self, self._slots[name]) if name in self._slots else self._fixed[name]


def _read_as(model: onnx.ModelProto, places: Mapping[str, Sequence[int]]) -> set[str]:
    """Tensors that are read as certain arguments of certain operators."""
    return {name for node in model.graph.node for i, name in enumerate(node.input) if i in places.get(node.op_type, ())}


def _of_one_image(model: onnx.ModelProto) -> set[str]:
    """Tensors whose first axis, the batch, is 1."""
    shapes = {v.name: v.type.tensor_type.shape.dim for v in (*model.graph.input, *model.graph.value_info)}
    return {name for name, dims in shapes.items() if dims and dims[0].dim_value == 1}


def _last_uses(nodes: list[Node], outputs: list[str]) -> list[list[str]]:
    """Of every node the tensors that nothing reads after it."""
    seen, found = set(outputs), []
    for node in reversed(nodes):
        over = [name for name in dict.fromkeys(node.inputs) if name and name not in seen]
        seen.update(over)
        found.append(over)
    return found[::-1]


def missing_from(model: onnx.ModelProto) -> list[str]:
    """Operators of a model that there is no function for, in their order."""
    return list(dict.fromkeys(f"{n.domain}.{n.op_type}" if n.domain not in STANDARD else n.op_type
                              for n in model.graph.node
                              if n.domain not in STANDARD or n.op_type not in FUNCTIONS))
