from itertools import pairwise

import onnx
import pytest

from hwnas.profile.blocks import Block
from hwnas.profile.graph import random_weights
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
    carrier = Block(BLOCK).carriers[0]
    assert Block(BLOCK).cost_ms({Block(BLOCK).key: 1.0, carrier.key: 0.4}) == pytest.approx(0.6)
    edge = Block(EDGE)
    assert edge.cost_ms({edge.key: 1.0, edge.base[0].key: 0.4}) == pytest.approx(0.2)
    assert edge.cost_ms({edge.key: 0.3, edge.base[0].key: 0.4}) == 0
    head = Block(Op.parse("head k1 e1 s1 16-10 8x8 relu m64"))
    assert head.cost_ms({head.key: 1.0, carrier.key: 0.4}) == pytest.approx(0.8)


def test_interval_of_a_difference() -> None:
    carrier, edge = Block(BLOCK).carriers[0], Block(EDGE)
    width = Block(BLOCK).half_width_ms({Block(BLOCK).key: 0.3, carrier.key: 0.4})
    assert width == pytest.approx((0.3**2 + 2 * 0.2**2) ** 0.5)
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
