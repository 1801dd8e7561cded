from collections import Counter

import numpy as np
import onnx
import pytest

from hwnas.latency.executed_ops import live_ops, shared_activations
from hwnas.profile.graph import network_model
from hwnas.runtime import open_runtime
from hwnas.space import SPACES, Architecture, SpaceConfig, build
from hwnas.space.interpret import interpret

CELLS = build(SpaceConfig("nasbench201", 8, 3, 10, depth=1))
NONE, SKIP, CONV1, CONV3, POOL = range(5)  # edges 1_0, 2_0, 2_1, 3_0, 3_1, 3_2
CELL = range(1, 7)  # positions of the first cell


def in_first_cell(arch: Architecture) -> list[tuple[int, bool, bool]]:
    """(number of the edge, whether it runs, whether it adds) of the live ones."""
    return [(s.position - 1, s.runs, s.adds == s.position) for s in arch.executions if s.position in CELL]


def test_the_same_pooling_runs_once() -> None:
    arch = CELLS.architecture([POOL, NONE, CONV1, POOL, NONE, CONV1])
    assert in_first_cell(arch) == [(0, True, False), (2, True, False), (3, False, False), (5, True, True)]


def test_convolutions_have_weights_of_their_own() -> None:
    arch = CELLS.architecture([CONV1, NONE, CONV1, CONV1, NONE, CONV1])
    assert all(runs for _, runs, _ in in_first_cell(arch))


def test_a_copy_of_a_map_is_the_map() -> None:
    """Node 2 is node 0: what 3_0 and 3_2 pool is the same map."""
    arch = CELLS.architecture([NONE, SKIP, NONE, POOL, NONE, POOL])
    assert in_first_cell(arch) == [(1, True, False), (3, True, False), (5, False, True)]


def test_the_same_sum_is_added_once_whatever_its_order() -> None:
    """Nodes 1 and 2 are x and pool(x) + x; node 3 adds x + pool(x) and then node 2."""
    arch = CELLS.architecture([SKIP, POOL, SKIP, SKIP, POOL, SKIP])
    found = in_first_cell(arch)
    assert found[-2:] == [(4, False, False), (5, True, True)]
    assert sum(adds for *_, adds in found) == 2


def test_what_is_shared_is_charged_once() -> None:
    twice, once = ([POOL, NONE, CONV1, POOL, NONE, CONV1], [POOL, NONE, CONV1, NONE, NONE, CONV1])
    kinds = [Counter(op.kind for op in live_ops(CELLS.architecture(choice))) for choice in (twice, once)]
    assert kinds[0] - kinds[1] == Counter(identity=3)  # in each of three cells one addition and no pooling more


def test_activations_are_shared_by_readers_of_one_map() -> None:
    arch = CELLS.architecture([CONV1, CONV3, NONE, CONV1, CONV3, NONE])
    names = [(op.in_channels, op.kernel) for op in shared_activations(arch)]
    assert names.count((16, 3)) == 0  # 3_0 reads what 1_0 reads; 2_0 is dead
    assert names.count((16, 1)) == 1
    assert shared_activations(CELLS.architecture([CONV1, CONV3, CONV1, NONE, NONE, NONE])) == ()


@pytest.mark.parametrize("name", sorted(set(SPACES) - {"darts"}))  # whose concatenations `plain` below does not know
def test_flow_gives_the_value_that_every_op_run_alone_gives(name: str) -> None:
    """Values as exact fractions of a tree: what flow computes once must be what each position would compute."""
    space = build(SpaceConfig(name, 16, 3, 10, depth=1))
    rng = np.random.default_rng(0)
    for _ in range(60):
        arch = space.sample(rng)
        ran: list[int] = []

        def run(i: int, op: object, x: str, arch: Architecture = arch, ran: list[int] = ran) -> str:
            ran.append(i)
            op_ = arch.ops[i]
            if not op_.steps:
                return x
            return f"{op_.signature if not op_.params else i}({x})"

        def plain(arch: Architecture = arch) -> str:
            values = {"input": "x"}
            last = ""
            for i, (edge, live) in enumerate(zip(arch.space.edges, arch.live, strict=True)):
                last = edge.target
                if not live:
                    continue
                out = run(i, arch.ops[i], values.get(edge.source, "0"), arch, [])
                values[last] = "+".join(sorted([values[last], out])) if last in values else out
            return values[last]

        (found,) = interpret(arch, "x", run=run, add=lambda a, b: "+".join(sorted([a, b])),
                             join=" beside ".join, zeros=lambda shape: "0")
        assert found == plain()
        assert len(ran) == len(set(ran))


def test_every_runtime_gets_the_pooling_once() -> None:
    model = network_model(CELLS.architecture([POOL, NONE, CONV1, POOL, NONE, CONV1]))
    kinds = Counter(node.op_type for node in onnx.load_from_string(model).graph.node)
    assert kinds["AveragePool"] == 3 + 2  # one in each cell, one in each reduction
    session = open_runtime("onnxruntime").load(model)
    assert session.run(session.example())[0].shape == (1, 10)
