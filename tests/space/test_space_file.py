"""Spaces as data: any space to JSON and back, other sizes without a builder, and who else may name one."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.errors import HwnasError, InputError, UnknownName, UsageError
from hwnas.files import write_json
from hwnas.space import (
    SPACES,
    Architecture,
    Description,
    Space,
    SpaceConfig,
    Variant,
    build,
    find_space,
    resized,
    scaled,
    space_from_json,
    space_to_json,
)
from tests.space.own_spaces import TWO_ROADS, two_roads, wide_kernels

HERE = "tests.space.own_spaces"
CONFIGS = [SpaceConfig(name, 32, classes=10) for name in SPACES] + [
    SpaceConfig("mobile", 96, 1, 6, 0.5), SpaceConfig("fbnet", 224, width_mult=1.3, depth=2),
    SpaceConfig("ofa", 33, 3, 7),
    SpaceConfig("nasbench201", 16, 1, 2, 0.5, depth=1), SpaceConfig("proxyless", 64, width=96, classes=5),
    *(SpaceConfig("mobile", 64, 3, 4, head=head, head_width=16, width=96)
      for head in ("fcos", "ssdlite", "lraspp", "fpn")),
    SpaceConfig("mobile", 64, 3, 4, head="deeplab", output_stride=32), SpaceConfig("ofa", 128, 3, 20, head="fcos"),
]


def back(space: Space) -> Space:
    """Through the text of a file."""
    return space_from_json(json.loads(json.dumps(space_to_json(space))))


def assert_same(a: Space, b: Space) -> None:
    assert a == b
    assert a.positions == b.positions
    assert (a.edges, a.sizes, a.choice_of, a.input_shape) == (b.edges, b.sizes, b.choice_of, b.input_shape)
    assert (a.signatures, a.fingerprint, a.size) == (b.signatures, b.fingerprint, b.size)
    assert [*a.graph.edges] == [*b.graph.edges]
    rng = np.random.default_rng(0)
    for arch in (a.largest(), a.smallest(), a.reference, *(a.sample(rng) for _ in range(5))):
        other = b.architecture(arch.choice)
        assert (arch.flops, arch.params, arch.memory_bytes()) == (other.flops, other.params, other.memory_bytes())
        assert (arch.live, arch.executions, arch.connected) == (other.live, other.executions, other.connected)
        assert Architecture.from_json(json.loads(json.dumps(arch.to_json()))) == other
    for cost in ("flops", "params", "memory"):
        assert a.counts(cost) == b.counts(cost)  # type: ignore[arg-type]


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_every_space_comes_back(config: SpaceConfig) -> None:
    space = build(config)
    assert next(iter(space_to_json(space))) == "hwnas_space"
    assert_same(space, back(space))
    data = space.as_data()
    assert_same(data, back(data))
    assert (data.positions, data.fingerprint) == (space.positions, space.fingerprint)
    assert build(SpaceConfig.from_json(json.loads(json.dumps(data.config.to_json())))) == data


@settings(max_examples=25, deadline=None)
@given(name=st.sampled_from(sorted(SPACES)), imgsz=st.integers(16, 128), mult=st.sampled_from([0.4, 1.0, 1.7]),
       classes=st.integers(1, 30), depth=st.sampled_from([None, 1, 2]))
def test_a_round_trip_gives_an_equal_space(name: str, imgsz: int, mult: float, classes: int,
                                           depth: int | None) -> None:
    space = build(SpaceConfig(name, imgsz, 3, classes, mult, depth))
    assert_same(space, back(space))
    assert_same(space.as_data(), back(space.as_data()))


def test_a_file_is_written_by_hand() -> None:
    space = space_from_json(TWO_ROADS)
    assert (space.name, space.input_shape, space.sizes) == ("two-roads", (1, 16, 16), (3, 3, 2))
    assert space.branches
    assert_same(space, back(space))
    assert space.reference == space.largest()


def test_a_space_names_its_reference() -> None:
    space = space_from_json(two_roads(reference=[0, 1, 0]))
    assert space.reference.choice == (0, 1, 0) != space.largest().choice
    assert back(space).reference == space.reference
    assert scaled(space, Variant(0.5)).reference.choice == (0, 1, 0)
    for wrong in ([0, 1], [0, 1, 2], [0, 1, 0, 0]):
        with pytest.raises(InputError, match=r"choices; got|has ops 0"):
            space_from_json(two_roads(reference=wrong))


def test_an_edited_space_of_a_builder_is_data() -> None:
    document = space_to_json(build(SpaceConfig("mobile", 32, classes=10)))
    del document["positions"][2]["ops"][0]
    edited = space_from_json(document)
    assert edited.config.graph is not None
    assert edited.sizes[0] == 6
    assert Architecture.from_json(edited.smallest().to_json()).space == edited


def test_an_architecture_of_a_builder_says_its_parameters_alone() -> None:
    arch = build(SpaceConfig("mobile", 32)).smallest()
    assert "graph" not in arch.to_json()["space"]
    assert len(json.dumps(arch.to_json())) < 1500


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("no space of schema 1", {"hwnas_space": 2}),
    ("Extra inputs", {"colour": "red"}),
    ("takes images of 1 x 16 x 16, and stem reads 1 x 8 x 8", {"positions": [
        {"name": "stem", "ops": ["head k1 e1 s1 1-10 8x8 relu m64"]}]}),
    ("as many channels out as classes, 7", {"classes": 7}),
    ("reads node nowhere, which no position before it writes", {"positions": [
        *TWO_ROADS["positions"][:4], {**TWO_ROADS["positions"][4], "reads": "nowhere"}]}),
    ("gives is read by no position", {"positions": [
        *TWO_ROADS["positions"][:4], {**TWO_ROADS["positions"][4], "reads": "join",
                                      "ops": ["head k1 e1 s1 24-10 8x8 relu m64"]}]}),
    ("join gives|stem gives|left gives", {"positions": [
        TWO_ROADS["positions"][0], {**TWO_ROADS["positions"][1], "ops": ["conv k1 e1 s1 8-24 8x8 relu"]},
        *TWO_ROADS["positions"][2:]]}),
    ("node join is said to be 24 x 4 x 4, and right gives 24 x 8 x 8",
     {"nodes": {"join": {"shape": [24, 4, 4]}}}),
    ("no position writes node x", {"nodes": {"x": {"shape": [1]}}}),
    ("one candidate twice", {"positions": [
        TWO_ROADS["positions"][0], {**TWO_ROADS["positions"][1], "ops": ["mbconv k3 e2 s1 16-24 8x8 relu"] * 2},
        *TWO_ROADS["positions"][2:]]}),
    ("have one name where dots are underscores", {"positions": [
        TWO_ROADS["positions"][0], {**TWO_ROADS["positions"][1], "name": "a.b"},
        {**TWO_ROADS["positions"][2], "name": "a_b"}, *TWO_ROADS["positions"][3:]]}),
    ("not an op signature", {"positions": [{"name": "stem", "ops": ["conv of three"]}]}),
    ("fcos reads maps of stride 8", {"head": "fcos"}),
    ("unknown head", {"head": "yolo"}),
    ("more than 1e", {"input": [1, 8192, 8192], "positions": [
        {"name": "stem", "ops": ["conv k3 e1 s1 1-4096 8192x8192 relu"]},
        {"name": "head", "ops": ["head k1 e1 s1 4096-10 8192x8192 relu m64"]}]}),
]


@pytest.mark.parametrize(("said", "changes"), WRONG, ids=[said for said, _ in WRONG])
def test_what_is_no_space_is_refused(said: str, changes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=said) as refused:
        space_from_json(two_roads(**changes), "mine.json")
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("config", [c for c in CONFIGS if c.name != "nasbench201"], ids=str)
def test_sizes_worked_out_are_those_of_the_builder(config: SpaceConfig) -> None:
    """Of every chain and head: the same image, classes and size as data give what the builder gives."""
    space = build(config)
    height, width = (2 * side for side in config.size)
    larger = SpaceConfig(**{**vars(config), "imgsz": height, "width": None if width == height else width})
    try:
        wanted = build(larger)
    except UsageError:  # mobile is for small images
        return
    if [p.ops[0].stride for p in wanted.positions] == [p.ops[0].stride for p in space.positions]:
        assert resized(space, size=(height, width)).positions == wanted.positions
    if not config.head:
        classes = SpaceConfig(**{**vars(config), "classes": 3, "in_channels": 4 - config.in_channels})
        assert resized(space, classes=3, in_channels=4 - config.in_channels).positions == build(classes).positions


@pytest.mark.parametrize("name", ["mobile", "fbnet", "nasbench201"])
@pytest.mark.parametrize("width", [0.5, 0.75])
def test_widths_worked_out_are_those_of_the_builder(name: str, width: float) -> None:
    space = build(SpaceConfig(name, 32, classes=10, depth=1))
    of_builder, of_data = scaled(space, Variant(width)), scaled(space.as_data(), Variant(width))
    assert of_data.positions == of_builder.positions
    assert of_data.config.graph is not None


def test_widths_that_change_the_choices_are_refused() -> None:
    space = space_from_json(TWO_ROADS)
    assert scaled(space, Variant(0.5)).positions[1].ops[0].signature == "mbconv k3 e2 s1 8-16 8x8 relu"
    assert scaled(space, Variant(1.0, 8)).input_shape == (1, 8, 8)
    with pytest.raises(UsageError, match="other choices than the reference"):
        scaled(space, Variant(0.3))  # 16 and 24 both become 8: a residual where there was none
    odd = two_roads(input=[1, 18, 18], positions=json.loads(json.dumps(TWO_ROADS["positions"]).replace(
        "16x16", "18x18").replace("8x8", "9x9").replace("4x4", "5x5")))
    assert scaled(space_from_json(odd), Variant(1.0, 9)).positions[-1].ops[0].height == 3


def test_maps_that_no_longer_add_up_are_refused() -> None:
    """Two ways from 16 to 4 pixels; of 10, one gives 3 and one 4."""
    ways = [{"name": "a", "ops": ["conv k3 e1 s2 1-8 16x16 relu"], "reads": "input"},
            {"name": "b", "ops": ["nearest k1 e1 s1 8-8 8x8 none x2"]},
            {"name": "short", "ops": ["conv k1 e1 s1 1-8 16x16 relu"], "reads": "input", "writes": "b"},
            {"name": "head", "ops": ["head k1 e1 s1 8-10 16x16 relu"], "reads": "b"}]
    space = space_from_json(two_roads(positions=ways))
    assert scaled(space, Variant(1.0, 12)).input_shape == (1, 12, 12)
    with pytest.raises(UsageError, match=r"images of 1 x 13 x 13 .* cannot|cannot be had with"):
        scaled(space, Variant(1.0, 13))


def test_a_function_builds_a_space() -> None:
    asked = SpaceConfig(f"{HERE}:wide_kernels", 64, 1, 5, depth=2)
    space = find_space(asked)
    assert space.positions == wide_kernels(asked).positions
    assert space.config.graph is not None
    assert space.name == asked.name
    assert Architecture.from_json(space.largest().to_json()) == space.largest()
    assert find_space(SpaceConfig(asked.name, 64, 3, 4, head="fcos")).config.head == "fcos"


@pytest.mark.parametrize(("name", "said"), [
    ("nowhere.at.all:build", "does not import"), (f"{HERE}:missing", "no function missing"),
    (f"{HERE}:NOTHING", "no function NOTHING"), (f"{HERE}:no_space", "must give a hwnas.space.Space; it gave"),
    (f"{HERE}:of_another_image", "was asked for"), (f"{HERE}:fails", "RuntimeError: it rains"),
    (f"{HERE}:cut", "a space that cannot be"), (":x", "named 'package.module:name'"),
    ("os:path;x", "named 'package.module:name'"), ("mobil", "Did you mean 'mobile'"), ("", "unknown space"),
])
def test_a_function_that_is_none_is_refused(name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        find_space(SpaceConfig(name, 32, 3, 10))
    assert "\n" not in str(refused.value)


def test_a_module_beside_the_user_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "space_of_mine.py").write_text(
        "from tests.space.own_spaces import wide_kernels as mine\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    assert find_space(SpaceConfig("space_of_mine:mine", 32, 3, 10)).sizes == (2, 2, 2, 2)
    assert sys.path == before


def test_a_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    write_json(path, TWO_ROADS)
    asked = SpaceConfig(str(path), 16, 1, 10)
    assert find_space(asked) == space_from_json(TWO_ROADS)
    assert find_space(SpaceConfig(str(path), 16, 1, 4)).positions[-1].ops[0].out_channels == 4
    assert find_space(SpaceConfig(str(path), 16, 1, 10, 2.0)).positions[0].ops[0].out_channels == 32
    assert find_space(SpaceConfig(str(path), 32, 1, 10)).input_shape == (1, 32, 32)
    assert find_space(SpaceConfig(str(path), 16, 3, 10), any_channels=True).input_shape == (3, 16, 16)
    for wrong, said in ((SpaceConfig(str(path), 16, 3, 10), "takes images of 1 channels, and these have 3"),
                        (SpaceConfig(str(path), 16, 1, 10, depth=2), "--depth is for spaces that a builder makes"),
                        (SpaceConfig(str(path), 16, 1, 10, head="fcos"), "space of a classifier"),
                        (SpaceConfig(str(tmp_path / "gone.json"), 16, 1, 10), "no such file")):
        with pytest.raises(HwnasError, match=said):
            find_space(wrong)


def test_names_of_this_process_and_of_other_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SPACES, "wide", Description(wide_kernels, "kernels of 3 and 9", 32))
    space = build(SpaceConfig("wide", 32, classes=4))
    assert space.config.graph is not None
    arch = space.smallest().to_json()
    monkeypatch.delitem(SPACES, "wide")
    with pytest.raises(UnknownName):
        build(SpaceConfig("wide", 32, classes=4))
    assert Architecture.from_json(arch) == space.smallest()


def test_a_package_adds_a_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    information = tmp_path / "their_spaces-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: their-spaces\nVersion: 1.0\n", encoding="utf-8")
    (information / "entry_points.txt").write_text(f"[hwnas.spaces]\ntheirs = {HERE}:wide_kernels\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    space = build(SpaceConfig("theirs", 32, classes=4))
    assert (space.name, space.sizes) == ("theirs", (2, 2, 2, 2))
    assert space.config.graph is not None


def test_a_node_may_not_be_written_after_it_was_read() -> None:
    late = {"name": "late", "ops": ["conv k1 e1 s1 16-24 8x8 relu"], "reads": "stem", "writes": "join"}
    positions = [*TWO_ROADS["positions"][:3], TWO_ROADS["positions"][3], late,
                 {**TWO_ROADS["positions"][4], "reads": "last"}]
    with pytest.raises(InputError, match="late writes node join, which was read before"):
        space_from_json(two_roads(positions=positions))


def test_volumes_and_kinds_of_others_travel_as_signatures() -> None:
    volume = two_roads(input=[1, 8, 16, 16], positions=[
        {"name": "stem", "ops": ["conv k3 e1 s2 1-8 8x16x16 relu", "conv k1x3x3 e1 s2 1-8 8x16x16 relu"]},
        {"name": "head", "ops": ["head k1 e1 s1 8-10 4x8x8 relu m16"]}])
    space = space_from_json(volume)
    assert space.input_shape == (1, 8, 16, 16)
    assert_same(space, back(space))
    assert resized(space, width=2.0, classes=3).positions[0].ops[1].signature == "conv k1x3x3 e1 s2 1-16 8x16x16 relu"
    with pytest.raises(UsageError, match="no images but maps of 3 axes"):
        resized(space, size=(8, 8))


def test_a_config_holds_a_graph_or_parameters() -> None:
    graph = space_from_json(TWO_ROADS).config.graph
    with pytest.raises(InputError, match="graph of its own"):
        SpaceConfig("x", 16, 1, 10, 0.5, graph=graph)
    with pytest.raises(InputError, match="holds other positions"):
        Space(SpaceConfig("x", 16, 1, 10, graph=graph), (wide_kernels(SpaceConfig("y", 32)).positions[0],))
