"""Units of a trained network: closed regions, one tensor in and one out, that cover every convolution.

A region of a tensor b and a tensor a before it holds the nodes on all ways from a to b. It is closed if every way from
the inputs to b leads through a (a dominates b) and nothing outside reads what is made within; a itself may have other
readers, so the taps of a pyramid are no problem. In the order in which a depth-first search leaves the nodes, a closed
region is an interval: every way into it passes a, so a and what is before it come first, and nothing but the region's
own nodes stands between. So the best cover is one pass of dynamic programming over that order, exact.

Of all covers the one is taken that moves the fewest bytes over boundaries: it cuts at narrow waists, as between the
blocks of a mobile network, and leaves activation functions with their convolutions. What no unit holds (joins, the
decoding of boxes, control flow, nodes of other domains) is kept as it is.

Ours; that closed regions are what to cut, and not the dominators of the whole graph, was found on eight networks.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import prod

import networkx as nx

from hwnas.surgery.dataflow import STANDARD, Dataflow, branches_of

MOST_WEIGHTED = 4  # convolutions and products of one unit; those of a gate, on maps of one pixel, come on top
MOST_SHARE = 0.12  # of the network's work in one unit ...
MOST_MEANS = 3.0  # ... or as many times the mean of its convolutions, where those are few
ROOT = ("root", "")


@dataclass(frozen=True)
class Region:
    """Nodes between two tensors.

    Args:
        source, target: the tensors.
        nodes: rising places in `Dataflow.nodes`.
        weighted: how many convolutions and products with constant weights are among them, those of gates left out.
        work: their multiply-accumulates.
    """

    source: str
    target: str
    nodes: tuple[int, ...]
    weighted: int
    work: int


def cover(flow: Dataflow) -> tuple[Region, ...]:
    """Disjoint closed regions that hold every convolution that can be in one, in the order of the network."""
    order = left_order(flow)
    place = {node: i for i, node in enumerate(order)}
    ending: list[list[Region]] = [[] for _ in order]
    for region in closed_regions(flow):
        ending[max(place[node] for node in region.nodes)].append(region)
    least = [0.0]
    alone: Region | None = None
    chosen = [alone]
    for i, node in enumerate(order):
        best, by = least[i] + _loose(flow, node), alone
        for region in ending[i]:
            cost = least[i + 1 - len(region.nodes)] + _crossing(flow, region)
            if cost < best:
                best, by = cost, region
        least.append(best)
        chosen.append(by)
    found, at = [], len(order)
    while at:
        ends = chosen[at]
        if ends is not None:
            found.append(ends)
        at -= len(ends.nodes) if ends is not None else 1
    return tuple(reversed(found))


def closed_regions(flow: Dataflow) -> list[Region]:
    """All closed regions with one to four convolutions that are no larger than a unit may be."""
    before = _dominators(flow)
    weighted = [i for i in range(len(flow.nodes)) if flow.is_weighted(i)]
    if not weighted:
        return []
    most = max(MOST_SHARE, MOST_MEANS / len(weighted)) * flow.work
    return [region for target in flow.makers for region in _regions_to(flow, target, before, most)]


def left_order(flow: Dataflow) -> list[int]:
    """Places of the nodes in the order in which a depth-first search from the outputs leaves them."""
    order: list[int] = []
    seen: set[int] = set()
    starts = [flow.makers[name] for name in flow.outputs if name in flow.makers]
    for start in (*starts, *reversed(range(len(flow.nodes)))):  # the latter, last first, for what nothing reads
        stack = [(start, False)]
        while stack:
            node, done = stack.pop()
            if done:
                order.append(node)
            elif node not in seen:
                seen.add(node)
                stack.append((node, True))
                stack += [(flow.makers[name], False) for name in reversed(flow.reads[node]) if name in flow.makers]
    return order


def _dominators(flow: Dataflow) -> dict[str, str | None]:
    """Tensor -> the nearest tensor that every way from the inputs to it leads through; None where there is none."""
    graph: nx.DiGraph = nx.DiGraph()
    graph.add_edges_from((ROOT, ("tensor", name)) for name in flow.inputs)
    for i, node in enumerate(flow.nodes):
        reads = flow.reads[i]
        graph.add_edges_from((("tensor", name), ("node", i)) for name in reads)
        if not reads:
            graph.add_edge(ROOT, ("node", i))
        graph.add_edges_from((("node", i), ("tensor", name)) for name in node.output if name)
    above = nx.immediate_dominators(graph, ROOT)
    found: dict[str, str | None] = {}
    for name in (*flow.inputs, *flow.makers):
        at = above.get(("tensor", name))
        while at is not None and at[0] == "node":
            at = above.get(at)
        found[name] = None if at is None or at == ROOT else str(at[1])
    return found


def _regions_to(flow: Dataflow, target: str, before: dict[str, str | None], most: float) -> list[Region]:
    end, found = flow.makers[target], []
    if not _plain(flow, target) or len([n for n in flow.nodes[end].output if n]) != 1:
        return []
    source = before.get(target)
    smallest = True
    while source is not None:
        nodes = _between(flow, source, end)
        weighted = sum(flow.is_weighted(i) and not _of_gate(flow, i) for i in nodes)
        work = sum(flow.work_of(i) for i in nodes)
        if weighted > MOST_WEIGHTED or (work > most and weighted > 1 and not smallest):
            break
        if any(map(flow.is_weighted, nodes)) and _plain(flow, source) and _closed(flow, nodes, target):
            found.append(Region(source, target, nodes, weighted, work))
        smallest = smallest and not any(map(flow.is_weighted, nodes))
        source = before.get(source)
    return found


def _of_gate(flow: Dataflow, node: int) -> bool:
    """Whether a node is a convolution on a map of one pixel, as in the gate of squeeze and excite."""
    shape = flow.shapes.get(flow.nodes[node].output[0], ())
    return len(shape) > 2 and prod(shape[2:]) == 1


def _plain(flow: Dataflow, tensor: str) -> bool:
    return tensor in flow.shapes and flow.is_float(tensor)


def _between(flow: Dataflow, source: str, end: int) -> tuple[int, ...]:
    """Nodes on the ways from a tensor that dominates a node to that node."""
    seen, stack = {end}, [end]
    while stack:
        for name in flow.reads[stack.pop()]:
            maker = flow.makers.get(name)
            if name != source and maker is not None and maker not in seen:
                seen.add(maker)
                stack.append(maker)
    return tuple(sorted(seen))


def _closed(flow: Dataflow, nodes: tuple[int, ...], target: str) -> bool:
    inside, outputs = set(nodes), set(flow.outputs)
    made = (name for i in nodes for name in flow.nodes[i].output if name and name != target)
    known = all(flow.nodes[i].domain in STANDARD and not branches_of(flow.nodes[i]) for i in nodes)
    return known and all(name not in outputs and set(flow.readers.get(name, ())) <= inside for name in made)


def _crossing(flow: Dataflow, region: Region) -> float:
    return flow.bytes_of(region.source) + flow.bytes_of(region.target)


def _loose(flow: Dataflow, node: int) -> float:
    """What a node costs that no unit holds; so much for a convolution that none stays outside without need."""
    moved = sum(flow.bytes_of(name) for name in (*flow.reads[node], *flow.nodes[node].output))
    return moved + (1e15 if flow.is_weighted(node) else 0.0)


def neighbours(regions: tuple[Region, ...]) -> list[tuple[int, int]]:
    """Pairs of units of which the second reads what the first makes and nothing else does first."""
    return [(i, i + 1) for i, (a, b) in enumerate(pairwise(regions)) if a.target == b.source]
