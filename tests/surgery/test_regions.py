"""Closed regions and the cover of them, held against brute force on graphs drawn by chance."""

from __future__ import annotations

import itertools
from functools import cache

import networkx as nx
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from hwnas.surgery.dataflow import Dataflow
from hwnas.surgery.regions import (
    MOST_MEANS,
    MOST_SHARE,
    MOST_WEIGHTED,
    Region,
    closed_regions,
    cover,
    left_order,
    neighbours,
)
from tests.surgery.networks import Drawing, chain, small

EXHAUSTIVE = [pytest.mark.slow, pytest.mark.exhaustive, pytest.mark.timeout(1200)]
Found = dict[tuple[str, str], frozenset[int]]


def drawn(seed: int, most: int = 12) -> onnx.ModelProto:
    """By chance: chains, residuals, joins, splits, taps as further outputs, control flow, nodes that nobody knows."""
    rng = np.random.default_rng(seed)
    d = Drawing((1, 4, 4, 4), seed)
    maps, outputs = ["image"], []
    odd = rng.random() < 0.4
    for _ in range(int(rng.integers(3, most + 1))):
        recent = maps[-3:] if rng.random() < 0.8 else maps
        x, y = (recent[int(rng.integers(len(recent)))] for _ in range(2))
        kind = rng.choice(["conv", "conv", "conv", "relu", "add", "concat", "split", "odd"])
        if kind == "conv":
            maps.append(d.conv(x, 4, int(rng.choice([1, 3]))))
        elif kind == "add":
            maps.append(d.node("Add", x, y))
        elif kind == "concat":
            maps.append(d.conv(d.node("Concat", x, y, axis=1, channels=8), 4))
        elif kind == "split":
            maps += [d.node("Concat", part, part, axis=1, channels=4)
                     for part in d.node("Split", x, outputs=2, axis=1, channels=2)[: int(rng.integers(1, 3))]]
        elif kind == "odd" and odd:
            maps.append(_odd(d, x, y, rng))
        else:
            maps.append(d.relu(x))
        if rng.random() < 0.1:
            outputs.append(maps[-1])
    outputs = list(dict.fromkeys([*outputs, maps[-1]])) if maps[-1] != "image" else outputs
    return d.shaped(*outputs, domains=("stranger",))


def _odd(d: Drawing, x: str, y: str, rng: np.random.Generator) -> str:
    if rng.random() < 0.5:
        made = str(d.node("Mystery", x, domain="stranger"))
        return str(d.node("Clip", made))
    least = d.node("ReduceMax", x, keepdims=0)
    condition = d.node("Less", least, d.constant(np.float32(0)))
    return branch(d, condition, y)


def branch(d: Drawing, condition: str, outer: str) -> str:
    """An If whose branches read a tensor from outside."""
    number = len(d.nodes)
    graphs = []
    for kind in ("Relu", "Neg"):
        end = helper.make_tensor_value_info(f"b{number}{kind}", TensorProto.FLOAT, None)
        graphs.append(helper.make_graph([helper.make_node(kind, [outer], [end.name])], kind, [], [end]))
    name = str(d.node("If", condition, then_branch=graphs[0], else_branch=graphs[1]))
    d.channels[name] = d.channels.get(outer, 4)
    return name


def brute_regions(flow: Dataflow) -> Found:
    """(source, target) -> nodes of every closed region that a unit may be, from the definition and nothing else."""
    graph: nx.DiGraph = nx.DiGraph()
    graph.add_node("root")
    for i, reads in enumerate(flow.reads):
        graph.add_edges_from((name, i) for name in reads)
        graph.add_edges_from((i, name) for name in flow.nodes[i].output if name)
        if not reads:
            graph.add_edge("root", i)
    graph.add_edges_from(("root", name) for name in flow.inputs)
    weighted = [i for i in range(len(flow.nodes)) if flow.is_weighted(i)]
    most = max(MOST_SHARE, MOST_MEANS / max(1, len(weighted))) * flow.work
    reached = {name: nx.descendants(graph, name) for name in (*flow.inputs, *flow.makers)}
    found: Found = {}
    for target in flow.makers:
        if not nx.has_path(graph, "root", target) or len(flow.nodes[flow.makers[target]].output) != 1:
            continue
        spans: dict[str, frozenset[int]] = {}
        above = nx.ancestors(graph, target)
        for source in reached:
            without = graph.subgraph(set(graph) - {source})
            if target in reached[source] and not nx.has_path(without, "root", target):
                spans[source] = frozenset(n for n in reached[source] & above if isinstance(n, int))
        counted = {source: sum(i in weighted for i in nodes) for source, nodes in spans.items()}
        least = min((len(spans[s]) for s in spans if counted[s]), default=0)
        for source, nodes in spans.items():
            work = sum(flow.work_of(i) for i in nodes)
            size = 1 <= counted[source] <= MOST_WEIGHTED and (
                work <= most or counted[source] == 1 or len(nodes) == least)
            if size and _usable(flow, source) and _usable(flow, target) and _closed(flow, nodes, target):
                found[source, target] = nodes
    return found


def _usable(flow: Dataflow, tensor: str) -> bool:
    return tensor in flow.shapes and flow.is_float(tensor)


def _closed(flow: Dataflow, nodes: frozenset[int], target: str) -> bool:
    for i in nodes:
        node = flow.nodes[i]
        if node.domain or any(a.type == onnx.AttributeProto.GRAPH for a in node.attribute):
            return False
        for name in node.output:
            outside = any(name in flow.reads[j] for j in range(len(flow.nodes)) if j not in nodes)
            if name != target and (outside or name in flow.outputs):
                return False
    return True


def price(flow: Dataflow, regions: list[tuple[str, str]], covered: frozenset[int]) -> float:
    total = float(sum(flow.bytes_of(name) for ends in regions for name in ends))
    for i, node in enumerate(flow.nodes):
        if i not in covered:
            total += sum(flow.bytes_of(n) for n in (*flow.reads[i], *node.output)) + 1e15 * flow.is_weighted(i)
    return total


def least_price(flow: Dataflow, found: Found) -> float:
    """Over all sets of disjoint regions; every node in its turn is left alone or given to a region."""
    holding = [[(ends, nodes) for ends, nodes in found.items() if i in nodes] for i in range(len(flow.nodes))]
    alone = [price(flow, [], frozenset(range(len(flow.nodes))) - {i}) for i in range(len(flow.nodes))]

    @cache
    def least(free: frozenset[int]) -> float:
        if not free:
            return 0.0
        first = min(free)
        best = alone[first] + least(free - {first})
        for (source, target), nodes in holding[first]:
            if nodes <= free:
                best = min(best, flow.bytes_of(source) + flow.bytes_of(target) + least(free - nodes))
        return best

    return least(frozenset(range(len(flow.nodes))))


@pytest.mark.parametrize("count", [300, pytest.param(3000, marks=EXHAUSTIVE)])
def test_regions_and_the_best_cover_of_them_equal_brute_force(count: int) -> None:
    several = tapped = odd = 0
    for seed in range(count):
        flow = Dataflow(drawn(seed))
        want = brute_regions(flow)
        got = closed_regions(flow)
        assert {(r.source, r.target): frozenset(r.nodes) for r in got} == want, seed
        assert len(got) == len(want)
        chosen = cover(flow)
        assert all(want[r.source, r.target] == frozenset(r.nodes) for r in chosen), seed
        covered = frozenset(i for r in chosen for i in r.nodes)
        assert len(covered) == sum(len(r.nodes) for r in chosen), seed  # disjoint
        could = {i for nodes in want.values() for i in nodes if flow.is_weighted(i)}
        cost = price(flow, [(r.source, r.target) for r in chosen], covered)
        assert cost == pytest.approx(least_price(flow, want), rel=1e-12), seed
        single = {i for i in could if any(len([j for j in n if flow.is_weighted(j)]) == 1 for n in want.values()
                                          if i in n)}
        assert single <= covered, seed
        several += len(chosen) > 2
        tapped += len(flow.outputs) > 1
        odd += any(node.domain or node.op_type == "If" for node in flow.nodes)
    assert min(several, tapped, odd) > count / 10


@pytest.mark.parametrize("seed", range(0, 90, 3))
def test_a_closed_region_is_an_interval_of_the_left_order(seed: int) -> None:
    flow = Dataflow(drawn(seed, most=25))
    order = left_order(flow)
    assert sorted(order) == list(range(len(flow.nodes)))
    place = {node: i for i, node in enumerate(order)}
    for nodes in brute_regions(flow).values():
        places = sorted(place[i] for i in nodes)
        assert places == list(range(places[0], places[-1] + 1))


def test_counts_and_work_of_a_region() -> None:
    flow = Dataflow(small())
    for region in closed_regions(flow):
        assert region.weighted == sum(flow.is_weighted(i) for i in region.nodes)
        assert region.work == sum(flow.work_of(i) for i in region.nodes)
        assert list(region.nodes) == sorted(region.nodes)
    assert all(flow.is_weighted(i) <= any(i in r.nodes for r in cover(flow)) for i in range(len(flow.nodes)))


def test_a_residual_block_is_one_unit_and_its_activation_is_with_it() -> None:
    flow = Dataflow(small())
    block = next(r for r in cover(flow) if any(flow.nodes[i].op_type == "Add" for i in r.nodes))
    assert block.weighted == 3
    assert flow.nodes[block.nodes[-1]].op_type == "Relu"


def test_a_tap_ends_a_unit() -> None:
    d = Drawing()
    tap = d.conv("image", 8, 3)
    flow = Dataflow(d.shaped(d.relu(d.conv(d.relu(tap), 8)), tap))
    assert tap in {r.target for r in cover(flow)} | {r.source for r in cover(flow)}


def test_control_flow_is_never_inside_a_unit() -> None:
    """Its branches read tensors by name, so that neither cutting nor splicing would be right."""
    d = Drawing((1, 4, 4, 4))
    first = d.relu(d.conv("image", 4))
    condition = d.node("Less", d.node("ReduceMax", first, keepdims=0), d.constant(np.float32(0)))
    flow = Dataflow(d.shaped(d.relu(d.conv(branch(d, condition, first), 4))))
    assert not any(flow.nodes[i].op_type == "If" for r in cover(flow) for i in r.nodes)
    assert sum(r.weighted for r in cover(flow)) == 2


def test_neighbours_are_those_that_follow_each_other() -> None:
    regions = cover(Dataflow(chain(6)))
    assert neighbours(regions) == [(i, i + 1) for i, (a, b) in enumerate(itertools.pairwise(regions))
                                   if a.target == b.source]
    assert neighbours((Region("a", "b", (0,), 1, 1), Region("c", "d", (1,), 1, 1))) == []


def test_a_network_without_weights_has_no_units() -> None:
    d = Drawing()
    assert cover(Dataflow(d.shaped(d.relu("image")))) == ()
