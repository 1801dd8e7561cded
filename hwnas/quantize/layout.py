"""Which tensors of a graph get a quantise-dequantise pair.

What a primitive becomes here follows from the types of its ONNX nodes. A package whose primitives become nodes of
another type says what such a node is with `knows`, in a module of the entry points `hwnas.lowerings.quantize`; a node
of a type that no one knows is computed in float.
"""

from __future__ import annotations

from collections.abc import Set
from functools import cache
from importlib.metadata import entry_points
from typing import Literal

import onnx

from hwnas.errors import UsageError
from hwnas.quantize.graph import Lookup, attribute
from hwnas.quantize.variants import Variant

WEIGHTED = ("Conv", "Gemm")
UNARY = ("GlobalAveragePool", "AveragePool", "LeakyRelu")
SAME = ("Reshape", "Transpose", "Flatten", "MaxPool")  # what comes out has the scale of what went in
CLIPS = ("Relu", "Clip")
ACTIVATIONS = (*CLIPS, "HardSwish")
JOINED = ("Concat",)
REWRITTEN = ("/clipped", "/gate", "/map")  # what `rewrite` calls what it puts between; the node is one with them
GROUP = "hwnas.lowerings.quantize"
Role = Literal["unary", "same"]
_others: dict[str, Role] = {}


def knows(op_type: str, role: Role) -> None:
    """Say what nodes of a type are: `unary` computes in integers, `same` gives values on the scale of its input."""
    _others[op_type] = role


def keeps_scale(op_type: str) -> bool:
    """Whether nodes of a type give values on the scale of their input."""
    return op_type in SAME or _others.get(op_type) == "same"


@cache
def _look_for_others() -> None:
    """Import what others' packages say of node types, once.

    Raises:
        UsageError: a module does not import.
    """
    for point in entry_points(group=GROUP):
        try:
            point.load()
        except (ImportError, AttributeError) as err:
            raise UsageError(f"the lowerings {point.name!r} ({point.value}) do not import: {err}") from err


class Layout:
    """Decisions about one graph that went through `hwnas.quantize.rewrite.prepared`.

    Args:
        within: tensors that nodes make which may compute in eight bits, all others stay in float; None for every node.

    Attributes:
        pairs: tensors that get a pair, in the order in which they are made.
        entering: those of them that a float node makes and float nodes go on to read as they are.
        dropped: outputs of activation functions that the rounding of the pair behind them does by itself.
        gates: outputs of hard sigmoids that are their clipped input, read on another scale.
    """

    def __init__(self, graph: onnx.GraphProto, variant: Variant, within: Set[str] | None = None) -> None:
        _look_for_others()
        self._lookup, self._variant, self._within = Lookup(graph), variant, within
        self.pairs: dict[str, None] = {}
        self.entering: set[str] = set()
        self.dropped: set[str] = set()
        self.gates: set[str] = set()
        feeds = {node.input[0] for node in graph.node if self.inside(node) and self.weighted(node)}
        for name in self._lookup.inputs:
            if name in feeds:
                self.pairs[name] = None
        for node in graph.node:
            self._place(node, feeds)

    def inside(self, node: onnx.NodeProto) -> bool:
        """Whether a node may compute in eight bits."""
        if self._within is None:
            return True
        name = node.output[0]
        return name in self._within or any(name.removesuffix(end) in self._within for end in REWRITTEN)

    def weighted(self, node: onnx.NodeProto) -> bool:
        """Whether a node is a convolution or a matrix product with constant weights that can be eight bits wide."""
        constants = self._lookup.constants
        if node.op_type not in WEIGHTED or node.input[1] not in constants:
            return False
        plain = all(attribute(node, name, 1.0) == 1.0 for name in ("alpha", "beta"))
        return plain and not attribute(node, "transA", 0) and all(name in constants for name in node.input[2:] if name)

    def _place(self, node: onnx.NodeProto, feeds: set[str]) -> None:
        name = node.output[0]
        if not self.inside(node):
            for made in node.output:  # in order: the ranges that are looked for draw by chance in the order of `pairs`
                if made in feeds:
                    self.entering.add(made)
                    self.pairs[made] = None
        elif node.op_type == "HardSigmoid" and self._gate(node):
            self.gates.add(name)
            self.pairs[name] = None
        elif name in feeds or self._integer(node):
            if self._absorbs(node):
                self.dropped.add(name)
            self.pairs[name] = None

    def _gate(self, node: onnx.NodeProto) -> bool:
        """Whether the output of a hard sigmoid is its input on another scale: nothing else reads the input."""
        source, lookup = node.input[0], self._lookup
        own = source in self.pairs and source not in self.entering
        return own and lookup.only_reader(source) is node and node.output[0] not in lookup.outputs

    def _integer(self, node: onnx.NodeProto) -> bool:
        """Whether a node can run in integers, given what is in `pairs`, and should round its output."""
        kind, name = node.op_type, node.output[0]
        if name in self._lookup.outputs and kind == "Gemm":
            return False  # logits stay float
        behind = self._lookup.only_reader(name)
        if behind is not None and self.inside(behind) and self._one_kernel(node, behind):
            return False
        if kind in WEIGHTED:
            return self.weighted(node)
        if kind in ACTIVATIONS:
            maker = self._lookup.makers.get(node.input[0])
            return maker is not None and (self.weighted(maker) or node.input[0] in self.pairs or self._sums(maker))
        if self._sums(node):
            return True
        if kind in JOINED:
            moving = [part for part in node.input if part not in self._lookup.constants]
            return bool(moving) and all(part in self.pairs for part in moving)
        plain = kind in (*UNARY, *SAME) or kind in _others
        return plain and node.input[0] in self.pairs and not self._variant.signed

    def _sums(self, node: onnx.NodeProto) -> bool:
        """Whether a node adds or multiplies two quantised tensors."""
        if node.op_type not in ("Add", "Mul"):
            return False
        quantised = [name in self.pairs for name in node.input]
        return any(quantised) if self._variant.fused else all(quantised)

    def _one_kernel(self, node: onnx.NodeProto, behind: onnx.NodeProto) -> bool:
        """Whether the only reader of a node's output is computed together with it, so that no pair stands between."""
        if node.op_type not in (*WEIGHTED, "Add", "Mul"):
            return False
        if behind.op_type in CLIPS:
            return self._variant.fused or self._clips_at_zero(behind)
        if behind.op_type == "Add":
            return self._variant.signed and node.op_type == "Conv"
        return self._variant.fused and behind.op_type in ("HardSwish", "HardSigmoid")

    def _absorbs(self, node: onnx.NodeProto) -> bool:
        """Whether rounding to u8 does what an activation function does."""
        if node.op_type not in CLIPS or self._variant.signed or not self._clips_at_zero(node):
            return False
        maker = self._lookup.makers.get(node.input[0])
        return maker is not None and self._lookup.only_reader(node.input[0]) is node and node.input[0] not in self.pairs

    def _clips_at_zero(self, node: onnx.NodeProto) -> bool:
        """Relu, or Clip with 0 as its lower bound."""
        if node.op_type == "Relu":
            return True
        return len(node.input) > 1 and self._lookup.scalar(node.input[1], -1.0) == 0.0
