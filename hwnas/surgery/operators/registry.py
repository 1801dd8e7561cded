"""Which function carries out an operator, and how its arguments are read.

A function gets the node and its arguments in order: torch tensors, numpy arrays of what is no floating map (shapes,
indices, single numbers), None where an optional one is left out. It gives a value, or a tuple of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor

Function = Callable[["Node", list[Any]], Any]
FUNCTIONS: dict[str, Function] = {}
SETTINGS = {"Resize": (1, 2, 3), "Upsample": (1,), "Pad": (2,)}
"""Operator -> places of arguments that say how, though they are floats: they are no weights."""
STATISTICS = {"BatchNormalization": (3, 4)}
"""Operator -> places of arguments that were measured and not trained."""


class Node:
    """One node with its attributes read.

    Args:
        single: whether what it reads first holds one image in the network as it is; it may be given a batch.
    """

    def __init__(self, node: onnx.NodeProto, opset: int, single: bool = False) -> None:
        self.single = single
        self.kind, self.inputs, self.outputs, self.opset = node.op_type, list(node.input), list(node.output), opset
        self.attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute; bytes as text, a tensor as an array."""
        value = self.attributes.get(name, default)
        if isinstance(value, bytes):
            return value.decode()
        return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def operator(*kinds: str) -> Callable[[Function], Function]:
    def register(function: Function) -> Function:
        FUNCTIONS.update(dict.fromkeys(kinds, function))
        return function
    return register


def tensor_of(value: Any, like: Tensor | None = None) -> Tensor:
    if isinstance(value, Tensor):
        return value
    made = torch.from_numpy(np.array(value))
    return made if like is None else made.to(like.device, like.dtype if made.is_floating_point() else made.dtype)


def ints_of(value: Any) -> list[int]:
    if isinstance(value, Tensor):
        return [int(v) for v in value.reshape(-1).tolist()]
    return [int(v) for v in np.asarray(value).reshape(-1)]


def number_of(value: Any, default: float) -> float:
    return default if value is None else float(np.asarray(value.detach() if isinstance(value, Tensor) else value))


def all_arrays(values: Sequence[Any]) -> bool:
    return all(v is None or isinstance(v, np.ndarray) for v in values)
