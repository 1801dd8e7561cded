"""Looking things up in an ONNX graph: who makes a tensor, who reads it, attributes, constants."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from hwnas.errors import InputError


def parse(model: bytes) -> onnx.ModelProto:
    """Serialised ONNX, checked.

    Raises:
        InputError: the bytes are no ONNX model.
    """
    from google.protobuf.message import DecodeError

    try:
        found = onnx.load_model_from_string(model)
        onnx.checker.check_model(found)
    except (DecodeError, onnx.checker.ValidationError) as err:
        raise InputError(f"not an ONNX model: {(str(err).strip().splitlines() or ['damaged'])[0]}") from err
    return found


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """Value of an attribute of a node."""
    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)


class Lookup:
    """What a graph holds, by tensor name. The graph must not change while it is in use."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph

    @cached_property
    def constants(self) -> dict[str, NDArray[Any]]:
        """Initialiser -> its values."""
        return {i.name: numpy_helper.to_array(i) for i in self.graph.initializer}

    @cached_property
    def makers(self) -> dict[str, onnx.NodeProto]:
        """Tensor -> the node it comes from."""
        return {name: node for node in self.graph.node for name in node.output}

    @cached_property
    def readers(self) -> dict[str, list[onnx.NodeProto]]:
        """Tensor -> the nodes that read it."""
        found: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in self.graph.node:
            for name in node.input:
                found[name].append(node)
        return found

    @cached_property
    def outputs(self) -> set[str]:
        """Names of the graph's outputs."""
        return {value.name for value in self.graph.output}

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Names of the graph's inputs that are not constants."""
        return tuple(v.name for v in self.graph.input if v.name not in self.constants)

    def only_reader(self, name: str) -> onnx.NodeProto | None:
        """The node that alone reads a tensor which is no output; None otherwise."""
        readers = self.readers.get(name, [])
        return readers[0] if len(readers) == 1 and name not in self.outputs else None

    def scalar(self, name: str, default: float) -> float:
        """Value of a constant with one element; `default` if the name is empty or no constant."""
        values = self.constants.get(name)
        return float(np.asarray(values).reshape(-1)[0]) if values is not None and values.size == 1 else default
