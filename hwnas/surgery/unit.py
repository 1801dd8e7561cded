"""A unit: one closed region of a trained network, as a model of its own and as the key of a table.

Two units with one signature cost the same: operators, attributes, shapes and what is between them are equal; weights
may differ. So a table holds a signature once, and a network whose blocks repeat is timed once a kind of block.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from math import prod

import onnx
from onnx import helper

from hwnas.surgery.dataflow import Dataflow, Shape
from hwnas.surgery.regions import Region, cover

MOST_WORDS = 7  # of a label
SMALL = 64  # values of a constant that shapes or bounds may be made of; larger ones are weights


@dataclass(frozen=True)
class Unit:
    """One closed region.

    Args:
        name: `u00`, `u01`, ... in the order of the network.
        region: its nodes, and the tensor on either side.
        source_shape, target_shape: of the two, with the batch.
        params: values of its constants.
        signature: equal for units that cost the same;
        label: for people, e.g. `Conv 3x3 16>16, Relu`.
    """

    name: str
    region: Region
    source_shape: Shape
    target_shape: Shape
    params: int
    signature: str
    label: str

    @property
    def source(self) -> str:
        """The tensor that it reads."""
        return self.region.source

    @property
    def target(self) -> str:
        """The tensor that it makes."""
        return self.region.target

    @property
    def keeps_shape(self) -> bool:
        """Whether what comes out has the shape of what goes in."""
        return self.source_shape == self.target_shape


@dataclass(frozen=True)
class Cut:
    """A network and its units.

    Args:
        flow: the canonical network.
        units: disjoint, in order.
    """

    flow: Dataflow
    units: tuple[Unit, ...]

    @classmethod
    def of(cls, model: onnx.ModelProto) -> Cut:
        """Cut a canonical network."""
        flow = Dataflow(model)
        return cls(flow, tuple(_unit(flow, f"u{i:02d}", region) for i, region in enumerate(cover(flow))))

    def __getitem__(self, name: str) -> Unit:
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    @cached_property
    def _by_name(self) -> dict[str, Unit]:
        return {unit.name: unit for unit in self.units}

    @cached_property
    def unit_of(self) -> dict[int, str]:
        """Place of a node -> the unit that holds it."""
        return {node: unit.name for unit in self.units for node in unit.region.nodes}

    @cached_property
    def loose(self) -> tuple[int, ...]:
        """Nodes that no unit holds."""
        return tuple(i for i in range(len(self.flow.nodes)) if i not in self.unit_of)

    def model_of(self, unit: Unit) -> onnx.ModelProto:
        """One unit alone: its source is the input, its target the output."""
        return part_of(self.flow, unit.region.nodes, (unit.source,), (unit.target,))

    @cached_property
    def spans(self) -> dict[str, str]:
        """Unit -> the one before it, where it alone reads what that makes: a span, which one thing may stand for."""
        made = {unit.target: unit.name for unit in self.units}
        return {unit.name: made[unit.source] for unit in self.units
                if unit.source in made and unit.source not in self.flow.outputs
                and {*self.flow.readers[unit.source]} <= {*unit.region.nodes}}

    def span(self, unit: str) -> Unit:
        """A unit and the one before it as one, under the name of the former."""
        first, second = self[self.spans[unit]], self[unit]
        parts = first.region, second.region
        return _unit(self.flow, unit, Region(
            first.source, second.target, tuple(sorted(i for part in parts for i in part.nodes)),
            sum(part.weighted for part in parts), sum(part.work for part in parts)))

    def next_to(self) -> tuple[tuple[str, str], ...]:
        """Pairs of units of which the second reads what the first makes."""
        made = {unit.target: unit.name for unit in self.units}
        return tuple((made[u.source], u.name) for u in self.units if u.source in made)


def part_of(
    flow: Dataflow, nodes: Iterable[int], inputs: Iterable[str], outputs: Iterable[str]
) -> onnx.ModelProto:
    """Some nodes of a network as a model of its own, weights included.

    Args:
        nodes: rising places.
        inputs, outputs: tensors with known shapes.
    """
    chosen = [flow.nodes[i] for i in nodes]
    read = {name for node in chosen for name in node.input}
    made, outputs = {name for node in chosen for name in node.output}, tuple(outputs)
    graph = helper.make_graph(
        chosen, "unit", [_value(flow, name) for name in inputs], [_value(flow, name) for name in outputs],
        [t for t in flow.model.graph.initializer if t.name in read],
        value_info=[v for v in flow.model.graph.value_info if v.name in made - {*outputs}])
    return helper.make_model(graph, opset_imports=list(flow.model.opset_import), ir_version=flow.model.ir_version)


def _value(flow: Dataflow, name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, flow.shapes[name])


def _unit(flow: Dataflow, name: str, region: Region) -> Unit:
    constants = {name for i in region.nodes for name in flow.nodes[i].input if name in flow.constants}
    return Unit(
        name=name, region=region, source_shape=flow.shapes[region.source],
        target_shape=flow.shapes[region.target], params=sum(prod(flow.shapes[name]) for name in constants),
        signature=signature_of(flow, region), label=_label(flow, region))


def graph_signature(model: onnx.ModelProto) -> str:
    """The signature of a whole graph with one input and one output, such as what stands in a unit's place."""
    flow = Dataflow(onnx.shape_inference.infer_shapes(model))
    return signature_of(flow, Region(flow.inputs[0], flow.outputs[0], tuple(range(len(flow.nodes))), 0, 0))


def signature_of(flow: Dataflow, region: Region) -> str:
    """`unit 16x32x32>32x16x16 1a2b3c4d5e6f`: shapes without the batch, and a hash of all that decides about time."""
    numbers = {region.source: 0}
    told: list[object] = []
    for i in region.nodes:
        node = flow.nodes[i]
        reads = [_constant(flow, name) if name in flow.constants else numbers.get(name, -1) for name in node.input]
        parts = sorted((a.name, _attribute(a)) for a in node.attribute)
        told.append([node.domain, node.op_type, reads, parts, [list(flow.shapes.get(n, ())) for n in node.output]])
        for name in node.output:
            numbers[name] = len(numbers)
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]
    before, after = (_sizes(flow.shapes[name]) for name in (region.source, region.target))
    return f"unit {before}>{after} {digest}"


def _sizes(shape: Shape) -> str:
    return "x".join(map(str, shape[1:] or (1,)))


def _constant(flow: Dataflow, name: str) -> list[object]:
    values = flow.lookup.constants[name]
    small = values.tolist() if values.size <= SMALL and (values.dtype.kind in "iub" or values.size == 1) else None
    return [str(values.dtype), list(values.shape), small]


def _attribute(part: onnx.AttributeProto) -> object:
    value = helper.get_attribute_value(part)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, onnx.TensorProto | onnx.GraphProto):
        return hashlib.sha256(value.SerializeToString()).hexdigest()
    return value if isinstance(value, int | float) else [str(v) for v in value] if isinstance(value, list | tuple) \
        else str(value)


def _label(flow: Dataflow, region: Region) -> str:
    words: list[str] = []
    for i in region.nodes:
        node = flow.nodes[i]
        word = node.op_type
        if flow.is_weighted(i) and node.input[1] in flow.constants:
            shape = flow.shapes[node.input[1]]
            if node.op_type == "Conv":
                out, kernel = shape[0], "x".join(map(str, shape[2:]))
                source = flow.shapes.get(node.input[0], (0, 0))[1]
                grouped = "depthwise " if source > 1 and shape[1] == 1 else ""
                word = f"{grouped}{kernel} {source}>{out}"
            else:
                word = f"{node.op_type} {'x'.join(map(str, shape))}"
        words.append(word)
    return ", ".join(words) if len(words) <= MOST_WORDS else ", ".join((*words[:MOST_WORDS - 1], "..."))

