"""NAS-Bench-201 against the published benchmark: skeleton, counts, strings, numbering; and which ops of a cell live."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.errors import InputError
from hwnas.space import Architecture, Op, Space, SpaceConfig, build
from hwnas.space.nasbench201 import EDGES, from_string, index_of, order, to_string

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
FIXTURES = [  # index or choice, classes, input, million parameters, million multiply-accumulates; from NATS-Bench
    (0, 10, 32, 0.129306, 15.64737), (0, 100, 32, 0.135156, 15.65322), (0, 120, 16, 0.136456, 3.91948),
    (11, 10, 32, 0.802426, 113.95137), (284, 10, 32, 0.101306, 11.71521),
    ((0,) * 6, 10, 32, 0.073306, 7.7831), ((3,) * 6, 10, 32, 1.531546, 220.1197),
]
STRINGS = {
    0: "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|",
    1: "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|",
    9: "|avg_pool_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|",
    123: "|avg_pool_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|none~0|avg_pool_3x3~1|nor_conv_3x3~2|",
    15624: "|nor_conv_1x1~0|+|none~0|nor_conv_1x1~1|+|none~0|nor_conv_1x1~1|nor_conv_1x1~2|",
    1462: "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|",
    1651: "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
    9930: "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|",
    11472: "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|",
}
CHOICES = st.tuples(*[st.integers(0, 4)] * 6)


def nb201(imgsz: int = 32, classes: int = 10, depth: int | None = None, mult: float = 1.0) -> Space:
    return build(SpaceConfig("nasbench201", imgsz, classes=classes, depth=depth, width_mult=mult))


SPACE, SMALL = nb201(), nb201(depth=1)


@pytest.mark.parametrize(("which", "classes", "imgsz", "params", "flops"), FIXTURES)
def test_parameters_and_flops_are_the_benchmarks(
    which: int | tuple[int, ...], classes: int, imgsz: int, params: float, flops: float
) -> None:
    arch = nb201(imgsz, classes).architecture(order()[which] if isinstance(which, int) else which)
    assert arch.params == round(params * 1e6)
    # The benchmark counts an addition for every bias, of which its networks have one per class.
    assert (arch.flops + classes) / 1e6 == pytest.approx(flops, abs=0.6e-4 if flops in (7.7831, 220.1197) else 1e-9)


@pytest.mark.parametrize(("index", "text"), STRINGS.items())
def test_strings_and_numbers_are_the_benchmarks(index: int, text: str) -> None:
    assert to_string(order()[index]) == text
    assert index_of(SPACE.architecture(from_string(text))) == index


def table(path: str, columns: list[str]) -> Any:
    if not (SHARED / path).exists():
        pytest.skip(f"no data at shared/data/{path}")
    pandas = pytest.importorskip("pandas")
    return pandas.read_parquet(SHARED / path, columns=columns)


def test_all_15625_strings_and_codes_are_those_of_the_data() -> None:
    codes = [f"op_{j}_{i}" for j, i in EDGES]
    data = table("nasbench201/nasbench201.parquet", ["index", "arch_str", *codes])
    assert data["index"].tolist() == list(range(15_625))
    assert [to_string(choice) for choice in order()] == data["arch_str"].tolist()
    assert [from_string(text) for text in data["arch_str"]] == list(order())
    assert list(map(tuple, data[codes].to_numpy().tolist())) == list(order())
    assert [choice.name for choice in SPACE.choices] == codes


def test_cells_without_a_path_are_the_fast_ones_on_a_device() -> None:
    """Measured on a Raspberry Pi 4, where what is cut off takes no time."""
    data = table("nb201_latency/nb201_latency_all_cells.parquet", ["index", "raspi4"]).sort_values("index")
    connected = np.array([SMALL.architecture(choice).connected for choice in order()])
    times = data["raspi4"].to_numpy()
    assert (~connected).sum() == 341
    assert np.median(times[~connected]) < 0.01 * np.median(times[connected])


@given(choice=CHOICES)
def test_strings_are_read_back(choice: tuple[int, ...]) -> None:
    assert from_string(to_string(choice)) == choice


@pytest.mark.parametrize("text", [
    "", "|", "nor_conv_3x3", STRINGS[0][:-1], STRINGS[0] + "|", STRINGS[0].replace("~2", "~1"),
    STRINGS[0].replace("avg_pool_3x3", "max_pool_3x3"), STRINGS[0].replace("+", ""), STRINGS[9].replace("none~0|", ""),
])
def test_what_is_no_string_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="not a NAS-Bench-201 string"):
        from_string(text)


def test_an_architecture_of_another_space_has_no_number() -> None:
    with pytest.raises(InputError, match="got mobile"):
        index_of(build(SpaceConfig("mobile", 32)).smallest())


def test_skeleton_op_for_op() -> None:
    stem, *_, head = SPACE.positions
    assert stem.ops == (Op.parse("conv k3 e1 s1 3-16 32x32 none"),)
    assert head.ops == (Op.parse("head k1 e1 s1 64-10 8x8 relu"),)
    blocks = [op.signature for p in SPACE.positions if p.name.startswith("reduce") for op in p.ops]
    assert blocks == [
        "preconv k3 e1 s2 16-32 32x32 relu", "preconv k3 e1 s1 32-32 16x16 relu", "shortcut k1 e1 s2 16-32 32x32 none",
        "preconv k3 e1 s2 32-64 16x16 relu", "preconv k3 e1 s1 64-64 8x8 relu", "shortcut k1 e1 s2 32-64 16x16 none",
    ]
    shapes = [(16, 32)] * 5 + [(32, 16)] * 5 + [(64, 8)] * 5
    for i, k in itertools.product(range(6), range(5)):
        found = [(op.in_channels, op.height) for op in SPACE.instances(i, k)]
        assert found == ([] if k == 0 else shapes)
    assert [op.label for op in SPACE.choices[0].ops] == ["none", "skip", "conv k1", "conv k3", "pool k3"]


def test_extremes_are_connected() -> None:
    assert SPACE.largest().choice == (3,) * 6
    assert SPACE.smallest().choice == (1,) * 6
    assert SPACE.smallest().flops == min(SPACE.architecture(c).flops for c in itertools.product((0, 1, 4), repeat=6))


def paths_of(arch: Architecture) -> set[str]:
    """Names of the positions on any path from input to output, by brute force over all simple paths."""
    graph = nx.MultiDiGraph()
    for position, edge, op in zip(arch.space.positions, arch.space.edges, arch.ops, strict=True):
        if op.kind != "none":
            graph.add_edge(edge.source, edge.target, key=position.name)
    ends = (arch.space.edges[0].source, arch.space.edges[-1].target)
    if not all(end in graph for end in ends):
        return {"head"}
    found = nx.all_simple_edge_paths(graph, *ends)
    return {name for path in found for _, _, name in path} | {"head"}


@given(choice=CHOICES)
def test_live_is_what_lies_on_a_path(choice: tuple[int, ...]) -> None:
    arch = SMALL.architecture(choice)
    names = [p.name for p, live in zip(SMALL.positions, arch.live, strict=True) if live]
    assert set(names) == paths_of(arch)
    assert arch.connected == (len(names) > 1)
    assert len(arch.live_ops) == len(names)


def simulated_peak(arch: Architecture) -> int:
    """Activation values held at once when every node lives from its first write to its last possible read."""
    peak = 0
    for i, (edge, op) in enumerate(zip(arch.space.edges, arch.ops, strict=True)):
        held: dict[str, int] = {}
        for j, earlier in enumerate(arch.space.edges[:i]):
            if any(later.source == earlier.target for later in arch.space.edges[i:]):
                out = arch.space.positions[j].ops[0]
                held[earlier.target] = out.out_channels * out.out_hw[0] * out.out_hw[1]
        held.pop(edge.source, None)
        again = any(later.source == edge.source for later in arch.space.edges[i + 1 :])
        if op.kind != "none":
            peak = max(peak, sum(held.values()) + op.peak(keeps_input=again))
    return peak


@given(choice=CHOICES)
def test_memory_counts_the_maps_that_wait(choice: tuple[int, ...]) -> None:
    arch = SMALL.architecture(choice)
    assert arch.memory_bytes(1) == simulated_peak(arch)


def test_memory_by_hand() -> None:
    """The input of the cell, nodes 1 and 2, and what a pooling takes from node 1 (counted already) and gives."""
    widest = 16 * 32 * 32
    only_pools = SPACE.architecture((4,) * 6)
    assert only_pools.memory_bytes() == 4 * 4 * widest
    assert SPACE.largest().memory_bytes() == 4 * 5 * widest  # and the activation before the convolution


def test_depth_counts_ops_that_compute() -> None:
    assert SPACE.architecture((0, 1, 2, 3, 4, 0)).depth == 3


def test_width_and_depth_scale_the_skeleton() -> None:
    scaled = nb201(depth=2, mult=0.5)
    assert len(scaled.instances(0, 3)) == 6
    assert {op.in_channels for op in scaled.instances(0, 3)} == {8, 16, 32}
    assert scaled.fingerprint != nb201(depth=2).fingerprint != SPACE.fingerprint
