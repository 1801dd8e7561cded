from itertools import pairwise

import numpy as np
import onnx
import pytest

from hwnas.profile.blocks import Block
from hwnas.profile.node_builder import random_weights
from hwnas.runtime import open_runtime
from hwnas.space import Op, SpaceConfig, build

EDGE = Op("preconv", 16, 16, 8, 8, kernel=3, act="relu")
IDENTITY = Op("identity", 16, 16, 8, 8)
BLOCK = Op.parse("mbconv k3 e6 s1 16-16 8x8 relu")
STRIDED = Op("preconv", 16, 32, 8, 8, kernel=3, stride=2, act="relu")


def nodes(model: bytes) -> list[str]:
    return [node.op_type for node in onnx.load_from_string(model).graph.node]


def test_edges_of_cells_stand_four_in_a_row() -> None:
    assert (Block(EDGE).links, Block(IDENTITY).links, Block(BLOCK).links, Block(STRIDED).links) == (4, 4, 1, 1)
    weights = random_weights()
    assert nodes(Block(EDGE).model(1, weights)).count("Conv") == 6
    (one,) = Block(EDGE).base
    assert nodes(one.build(1, weights)).count("Conv") == 3
    assert nodes(Block(IDENTITY).model(1, weights)).count("Add") == 4


def test_cost_takes_away_what_is_not_the_op() -> None:
    """An op that keeps its place costs its context less the carrier: halves of one place cancel."""
    assert Block(BLOCK).cost_ms({Block(BLOCK).key: 1.0, "carrier 16 8x8": 0.4}) == pytest.approx(0.6)
    edge = Block(EDGE)
    assert edge.cost_ms({edge.key: 1.0, edge.base[0].key: 0.4}) == pytest.approx(0.2)
    assert edge.cost_ms({edge.key: 0.3, edge.base[0].key: 0.4}) == 0
    head = Block(Op.parse("head k1 e1 s1 16-10 8x8 relu m64"))
    assert head.cost_ms({head.key: 1.0, "half 16 8x8": 0.4}) == pytest.approx(0.6)


def test_a_block_that_changes_its_place_costs_its_context_less_half_a_carrier_at_each_end() -> None:
    block = Block(Op.parse("mbconv k3 e3 s2 16-32 8x8 relu"))
    sides = {"half 16 8x8": 0.3, "carrier 32 4x4": 0.2, "half 32 4x4": 0.15}
    assert {part.key for part in block.base} == set(sides)
    assert block.cost_ms({block.key: 1.0, **sides}) == pytest.approx(1.0 - 0.3 - (0.2 - 0.15))
    assert block.cost_ms({block.key: 0.1, **sides}) == 0
    first = Block(Op.parse("conv k3 e1 s2 3-16 8x8 relu"), first=True)
    assert {part.key for part in first.base} == {"carrier 16 4x4", "half 16 4x4"}


def test_what_the_contexts_cost_cancels_over_a_network() -> None:
    """Random times for every part, and blocks that cost what their parts and their op do: the sum is the network."""
    rng = np.random.default_rng(0)
    arch = build(SpaceConfig("mobile", 32, 3, 10)).sample(rng)
    blocks = [Block(op, first=i == 0) for i, op in enumerate(op for op in arch.ops if op.timed)]
    leads, means, costs = {}, {}, rng.uniform(1, 2, len(blocks))
    call, total = 0.1, 0.0
    for block, cost in zip(blocks, costs, strict=True):
        for place in (block.before, block.behind):
            if place:
                leads.setdefault(place, rng.uniform(0.1, 1, 2))
                means.setdefault(place, rng.uniform(0.1, 0.2, 2))
        times = {}
        for place in filter(None, (block.before, block.behind)):
            times[place.half_key] = call + leads[place][0] + means[place][0]
            times[place.key] = call + leads[place].sum() + means[place][1]
        before = leads[block.before][0] if block.before else 0.0
        behind = leads[block.behind][1] + means[block.behind][1] if block.behind else 0.0
        total += block.cost_ms({**times, block.key: call + before + cost + behind})
    assert total == pytest.approx(call + costs.sum())


def test_interval_of_a_difference() -> None:
    edge = Block(EDGE)
    width = Block(BLOCK).half_width_ms({Block(BLOCK).key: 0.3, "carrier 16 8x8": 0.4})
    assert width == pytest.approx(0.5)
    assert edge.half_width_ms({edge.key: 0.3, edge.base[0].key: 0.4}) == pytest.approx(0.5 / 3)


@pytest.mark.parametrize("space", [SpaceConfig("mobile", 16, 3, 10, depth=1), SpaceConfig("nasbench201", 16, 3, 10)])
def test_every_model_runs(space: SpaceConfig) -> None:
    runtime, weights, made = open_runtime("onnxruntime"), random_weights(), build(space)
    first = made.positions[0].ops[0].signature
    for signature in made.signatures:
        block = Block(Op.parse(signature), first=signature == first)
        models = [block.model(1, weights), block.alone_model(1, weights)]
        for model in (*models, *(part.build(1, weights) for part in block.base)):
            session = runtime.load(model)
            assert session.run(session.example())[0].shape[0] == 1


def test_keys_are_different() -> None:
    keys = [Block(op).key for op in (EDGE, IDENTITY, BLOCK, STRIDED)] + [p.key for p in Block(BLOCK).base[:1]]
    assert all(a != b for a, b in pairwise(sorted(keys)))
