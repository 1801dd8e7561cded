"""Detectors and segmenters as spaces: shapes, outputs, choices, what dies when a branch is left out."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from hwnas.errors import UnknownName, UsageError
from hwnas.space import Architecture, Op, Space, SpaceConfig, build, output_positions
from hwnas.space.heads import BINS, HEADS, taps

BODIES = ["mobile", "proxyless", "google", "ofa", "fbnet"]


def space(head: str, name: str = "mobile", imgsz: int = 64, **values: object) -> Space:
    return build(SpaceConfig(name, imgsz, 3, 4, depth=1, head=head, **{"width": 96, **values}))  # type: ignore[arg-type]


def outputs(built: Space) -> list[Op]:
    ops = [p.ops[0] for p in built.positions]
    return [ops[i] for i in output_positions(ops)]


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("head", sorted(HEADS))
def test_every_body_takes_every_head(name: str, head: str) -> None:
    built = space(head, name)
    assert built.input_shape == (3, 64, 96)
    assert nx.is_directed_acyclic_graph(built.graph)
    reached = nx.ancestors(built.graph, built.positions[-1].name)
    assert built.positions[0].name in reached
    for arch in (built.largest(), built.smallest(), built.sample(np.random.default_rng(0))):
        assert arch.connected
        assert Architecture.from_json(arch.to_json()) == arch
        assert all(op.flops >= 0 for op in arch.ops)


@pytest.mark.parametrize(("imgsz", "maps"), [(320, [40, 20, 10]), (416, [52, 26, 13])])
def test_fcos_predicts_at_three_strides(imgsz: int, maps: list[int]) -> None:
    found = outputs(space("fcos", imgsz=imgsz, width=None))
    assert [op.out_hw for op in found] == [(m, m) for m in maps]
    assert {op.out_channels for op in found} == {4 + 4 * BINS}


def test_ssdlite_has_six_maps_and_3234_anchors() -> None:
    """methods_b.md 12: 20, 10, 5, 3, 2, 1 with 6 anchors are 3,234 boxes."""
    found = outputs(space("ssdlite", imgsz=320, width=None))
    assert [op.out_hw[0] for op in found] == [20, 10, 5, 3, 2, 1]
    assert sum(6 * op.out_hw[0] * op.out_hw[1] for op in found) == 3234
    assert {op.out_channels for op in found} == {6 * (4 + 5)}


@pytest.mark.parametrize("stride", [None, 16, 32])
@pytest.mark.parametrize("head", ["lraspp", "deeplab", "fpn"])
def test_segmenters_answer_at_the_size_of_the_image(head: str, stride: int | None) -> None:
    (found,) = outputs(space(head, imgsz=96, width=160, output_stride=stride))
    assert (found.kind, found.out_hw, found.out_channels) == ("resize", (96, 160), 4)


@pytest.mark.parametrize("head", ["lraspp", "deeplab", "fpn"])
def test_a_segmenter_ends_its_body_at_stride_16(head: str) -> None:
    assert max(64 // p.ops[0].height for p in space(head).positions) == 16
    assert space(head, output_stride=16).positions == space(head).positions


@pytest.mark.parametrize("head", ["lraspp", "deeplab", "fpn"])
def test_a_segmenter_may_read_the_whole_body(head: str) -> None:
    """Its branches see as many pixels of the image as at stride 16."""
    built, whole = space(head), space(head, output_stride=32)
    assert max(64 // p.ops[0].height for p in whole.positions) == 32
    assert len(whole.choices) > len(built.choices)
    rates = [[p.ops[0].dilation for p in s.positions if p.name.startswith("rate")] for s in (built, whole)]
    assert [r // 2 for r in rates[0]] == rates[1]


def test_a_pyramid_answers_from_stride_4() -> None:
    built = space("fpn", imgsz=96, width=160)
    assert built.positions[-1].ops[0].scale == 4
    assert [c.name for c in built.choices][-3:] == ["block8", "block4", "refine"]
    found = taps(built.config, built.positions)
    assert {p.reads for p in built.positions if p.name.startswith("lateral")} == {found[8].name, found[4].name}


def test_a_branch_that_is_left_out_is_dead_and_costs_nothing() -> None:
    built = space("deeplab")
    names = [c.name for c in built.choices]
    kept = dict.fromkeys(names, 0)
    whole = built.architecture([kept[n] for n in names])
    cut = built.architecture([1 if n == "rate18" else kept[n] for n in names])
    gone = [p.name for p, live in zip(built.positions, cut.live, strict=True) if not live]
    assert gone == ["rate18"]
    assert all(whole.live)
    assert cut.flops < whole.flops


def test_towers_are_one_choice_over_the_levels() -> None:
    built = space("fcos")
    assert [c.name for c in built.choices if c.name.startswith("tower")] == ["tower.1", "tower.2"]
    assert sum(c.name.startswith(("top", "bottom")) for c in built.choices) == 5


def test_outputs_are_kept_in_memory_to_the_end() -> None:
    """At the last prediction the maps of the finer levels are still there."""
    built = space("fcos")
    last = built.edges[-1]
    sizes = [op.out_channels * op.out_hw[0] * op.out_hw[1] for op in outputs(built)]
    assert last.beside >= sum(sizes[:-1])


def test_taps_are_the_last_maps_of_each_stride() -> None:
    built = space("fcos", imgsz=128, width=None)
    found = taps(built.config, [p for p in built.positions if p.name.startswith(("stem", "first", "stage"))])
    assert {stride: p.name for stride, p in found.items()} == {
        2: "stem", 4: "first", 8: "stage1.1", 16: "stage2.1", 32: "stage3.1"}


@pytest.mark.parametrize(("values", "message"), [
    ({"head": "yolo"}, "head"),
    ({"head": "fcos", "imgsz": 48}, "multiples of 32"),
    ({"head": "fcos", "width": 100}, "multiples of 32"),
    ({"head": "fcos", "name": "fbnet", "imgsz": 32}, r"strides \(8, 16, 32\); fbnet at 32 px has \(1, 2, 4, 8\)"),
    ({"head": "fcos", "name": "nasbench201", "width": None}, "benchmark of classifiers"),
    ({"head": "fcos", "head_width": 0}, "head_width must be at least 1"),
    ({"head": "fcos", "output_stride": 32}, "other heads have none; got 32 for fcos"),
    ({"head": "lraspp", "output_stride": 8}, "16 or 32, .* got 8"),
    ({"head": "", "output_stride": 16}, "name a head"),
])
def test_what_cannot_be_built(values: dict[str, object], message: str) -> None:
    with pytest.raises((UsageError, UnknownName), match=message):
        space(**values)  # type: ignore[arg-type]
