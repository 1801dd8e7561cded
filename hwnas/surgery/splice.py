"""A network with some of its units replaced: everything else is kept node by node as it was.

Without a replacement the network is the canonical one, byte by byte.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass

import onnx
from onnx import helper

from hwnas.errors import UsageError
from hwnas.surgery.dataflow import read_by
from hwnas.surgery.unit import Cut, Unit


@dataclass(frozen=True)
class Fragment:
    """What may stand in a unit's place: a model with one input and one output; None stands for nothing at all.

    Args:
        model: opset as of the network that it goes into.
        spans: whether it stands for the unit before as well, and reads what that one reads.
    """

    model: onnx.ModelProto | None
    spans: bool = False

    @property
    def nodes(self) -> list[onnx.NodeProto]:
        """Its nodes, in order."""
        return list(self.model.graph.node) if self.model is not None else []


NOTHING = Fragment(None)
"""The unit is left out; only where what it makes has the shape of what it reads."""
SPANNED_PART = Fragment(None, spans=True)
"""Nothing is there, as the next unit's fragment stands for both."""


def assemble(cut: Cut, replaced: Mapping[str, Fragment]) -> onnx.ModelProto:
    """The network with other nodes in some units' places.

    Args:
        replaced: name of a unit -> what stands there.

    Raises:
        UsageError: a unit is to be left out whose output has another shape than its input; a span is one at one of its
            two units alone.
    """
    model = onnx.ModelProto()
    model.CopyFrom(cut.flow.model)
    if not replaced:
        return model
    taken = {*cut.flow.makers, *cut.flow.constants, *cut.flow.inputs}
    _check_spans(cut, replaced)
    parts = {name: _placed(cut, cut[name], fragment, taken) for name, fragment in replaced.items()}
    nodes: list[onnx.NodeProto] = []
    for i, node in enumerate(cut.flow.nodes):
        name = cut.unit_of.get(i)
        if name not in parts:
            nodes.append(node)
        elif i == cut[name].region.nodes[-1]:  # by now everything that the unit reads is made
            nodes += parts[name][0]
    nodes = _without_identities(cut, nodes, [cut[name].target for name, part in replaced.items() if part == NOTHING])
    initialisers = [*cut.flow.model.graph.initializer, *(t for _, tensors in parts.values() for t in tensors)]
    read = {name for node in nodes for name in read_by(node)} | set(cut.flow.outputs)
    del model.graph.node[:]
    del model.graph.initializer[:]
    del model.graph.value_info[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(t for t in initialisers if t.name in read)
    made = {name for node in nodes for name in node.output}
    model.graph.value_info.extend(v for v in cut.flow.model.graph.value_info if v.name in made)
    return model


def _without_identities(cut: Cut, nodes: list[onnx.NodeProto], left_out: list[str]) -> list[onnx.NodeProto]:
    """Readers of units that are left out read what these read; an identity stays where that cannot be written."""
    named = {name for node in nodes if node.attribute for name in read_by(node) if name not in node.input}
    gone = {name for name in left_out if name not in cut.flow.outputs and name not in named}
    reads = {node.output[0]: node.input[0] for node in nodes if node.op_type == "Identity" and node.output[0] in gone}

    def behind(name: str) -> str:
        while name in reads:
            name = reads[name]
        return name

    found = []
    for node in nodes:
        if node.output[0] in reads:
            continue
        if any(name in reads for name in node.input):
            changed = onnx.NodeProto()
            changed.CopyFrom(node)
            changed.input[:] = [behind(name) for name in node.input]
            node = changed
        found.append(node)
    return found


def _check_spans(cut: Cut, replaced: Mapping[str, Fragment]) -> None:
    for name, fragment in replaced.items():
        if fragment.spans and fragment.model is not None and replaced.get(cut.spans.get(name, "")) != SPANNED_PART:
            raise UsageError(f"what stands for {name} stands for the unit before it as well, which is still there")
        after = [second for second, first in cut.spans.items() if first == name]
        if fragment == SPANNED_PART and not any(replaced.get(u, NOTHING).spans for u in after):
            raise UsageError(f"{name} is left to the unit after it, which does not stand for both")


def _placed(cut: Cut, unit: Unit, fragment: Fragment, taken: Set[str]
            ) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Nodes and constants of a fragment under names of the unit, between its two tensors."""
    if fragment == SPANNED_PART:
        return [], []
    if fragment.model is None:
        if not unit.keeps_shape:
            raise UsageError(f"{unit.name} turns {unit.source_shape} into {unit.target_shape} and cannot be left out")
        return [helper.make_node("Identity", [unit.source], [unit.target], name=unit.target)], []
    graph = fragment.model.graph
    source = cut[cut.spans[unit.name]].source if fragment.spans else unit.source
    names = {graph.input[0].name: source, graph.output[0].name: unit.target, "": ""}
    constants = []
    for tensor in graph.initializer:
        kept = onnx.TensorProto()
        kept.CopyFrom(tensor)
        kept.name = names[tensor.name] = _own(unit, tensor.name, taken)
        constants.append(kept)
    nodes = []
    for node in graph.node:
        placed = onnx.NodeProto()
        placed.CopyFrom(node)
        for name in node.output:
            names.setdefault(name, _own(unit, name, taken))
        placed.input[:] = [names[name] for name in node.input]
        placed.output[:] = [names[name] for name in node.output]
        placed.name = placed.output[0]
        nodes.append(placed)
    return nodes, constants


def _own(unit: Unit, name: str, taken: Set[str]) -> str:
    """A name of the unit's; a network that was put together before may have such names in other places."""
    found = f"{unit.name}/{name}"
    while found in taken:
        found += "+"
    return found
