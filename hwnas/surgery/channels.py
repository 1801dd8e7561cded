"""Which channels inside a unit belong together, so that all of them, or none, can be left out.

A dense convolution begins a new group of channels; what works channel by channel (activation functions, depthwise
convolutions, pools, sums and products of maps) goes on in the group of what it reads. Groups that a unit reads or
makes, and those that something mixes in a way not known here (reshapes, joins), keep all their channels.
"""

from __future__ import annotations

from dataclasses import dataclass

from hwnas.quantize.graph import attribute
from hwnas.surgery.dataflow import Dataflow
from hwnas.surgery.unit import Unit

CHANNELWISE = ("Relu", "Clip", "HardSwish", "HardSigmoid", "Sigmoid", "LeakyRelu", "Elu", "Tanh", "Mish", "Softplus",
               "Add", "Mul", "Sub", "Div", "GlobalAveragePool", "AveragePool", "MaxPool", "Identity")
AXES = 4  # of a map


@dataclass(frozen=True)
class Group:
    """Channels of maps inside a unit that are one and the same.

    Args:
        channels: how many.
        makers: nodes whose weights have a row for each: dense convolutions, their outputs.
        carriers: depthwise convolutions, and constants of one value a channel as (node, place of the input).
        readers: dense convolutions that have a column for each.
        on_pixels: whether a reader sees more than one pixel a map: those of gates do not.
    """

    channels: int
    makers: tuple[int, ...]
    carriers: tuple[int, ...]
    constants: tuple[tuple[int, int], ...]
    readers: tuple[int, ...]
    on_pixels: bool


class _Union:
    """Sets that grow together."""

    def __init__(self) -> None:
        self._above: dict[str, str] = {}

    def find(self, name: str) -> str:
        above = self._above.setdefault(name, name)
        while above != self._above[above]:
            above = self._above[above]
        self._above[name] = above
        return above

    def join(self, a: str, b: str) -> None:
        self._above[self.find(a)] = self.find(b)


def groups_of(flow: Dataflow, unit: Unit) -> tuple[Group, ...]:
    """The groups of a unit whose channels can be left out."""
    sets, fixed = _Union(), {unit.source, unit.target}
    makers: dict[str, list[int]] = {}
    carriers: dict[str, list[int]] = {}
    constants: dict[str, list[tuple[int, int]]] = {}
    readers: dict[str, list[int]] = {}
    for i in unit.region.nodes:
        node = flow.nodes[i]
        out = node.output[0]
        if node.op_type == "Conv" and flow.is_weighted(i) and len(flow.shapes.get(out, ())) == AXES:
            source, weights = node.input[0], flow.shapes[node.input[1]]
            if attribute(node, "group", 1) == 1:
                makers.setdefault(out, []).append(i)
                readers.setdefault(source, []).append(i)
            elif attribute(node, "group", 1) == weights[0] and weights[1] == 1:
                sets.join(source, out)
                carriers.setdefault(out, []).append(i)
            else:
                fixed |= {source, out}
        elif node.op_type in CHANNELWISE and _maps(flow, i):
            for name in flow.reads[i]:
                sets.join(name, out)
            for place, name in enumerate(node.input):
                if name in flow.constants and flow.lookup.constants[name].size > 1:
                    constants.setdefault(out, []).append((i, place))
        else:
            fixed |= {*flow.reads[i], *(name for name in node.output if name)}
    held = {sets.find(name) for name in fixed}
    return tuple(_group(flow, root, sets, makers, carriers, constants, readers)
                 for root in dict.fromkeys(sets.find(name) for name in makers) if root not in held)


def _maps(flow: Dataflow, node: int) -> bool:
    """Whether all that a node reads and makes are maps with the same channels, or one value a channel."""
    out = flow.shapes.get(flow.nodes[node].output[0], ())
    if len(out) != AXES:
        return False
    for name in flow.nodes[node].input:
        if not name or (name in flow.constants and flow.lookup.constants[name].size == 1):
            continue
        shape = flow.shapes.get(name, ())
        if name in flow.constants:
            if shape not in ((out[1], 1, 1), (1, out[1], 1, 1)):
                return False
        elif len(shape) != AXES or shape[1] != out[1]:
            return False
    return True


def _group(flow: Dataflow, root: str, sets: _Union, makers: dict[str, list[int]], carriers: dict[str, list[int]],
           constants: dict[str, list[tuple[int, int]]], readers: dict[str, list[int]]) -> Group:
    made = tuple(i for name, nodes in makers.items() if sets.find(name) == root for i in nodes)
    read = tuple(i for name, nodes in readers.items() if sets.find(name) == root for i in nodes)
    return Group(
        channels=flow.shapes[flow.nodes[made[0]].output[0]][1], makers=made,
        carriers=tuple(i for name, nodes in carriers.items() if sets.find(name) == root for i in nodes),
        constants=tuple(c for name, found in constants.items() if sets.find(name) == root for c in found),
        readers=read,
        on_pixels=any(flow.shapes[flow.nodes[i].input[0]][2:] != (1, 1) for i in read))
