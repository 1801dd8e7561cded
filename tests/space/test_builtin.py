"""The built-in spaces against their sources, written out here a second time."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from hwnas.errors import UnknownName, UsageError
from hwnas.space import SPACES, Op, Space, SpaceConfig, build, describe, make_divisible

PAIRS = [(3, 3), (3, 6), (5, 3), (5, 6), (7, 3), (7, 6)]
SMALL_PAIRS = [(3, 2), (3, 4), (3, 6), (5, 2), (5, 4), (5, 6)]
FBNET = [(3, 1, 1), (3, 1, 2), (3, 3, 1), (3, 6, 1), (5, 1, 1), (5, 1, 2), (5, 3, 1), (5, 6, 1)]
# (width, layers, stride, activation, squeeze-excite) of every stage
MOBILE_V2 = {
    "proxyless": [(24, 4, 2, "relu6", False), (40, 4, 2, "relu6", False), (80, 4, 2, "relu6", False),
                  (96, 4, 1, "relu6", False), (192, 4, 2, "relu6", False), (320, 1, 1, "relu6", False)],
    "google": [(24, 4, 2, "relu6", False), (32, 4, 2, "relu6", False), (64, 4, 2, "relu6", False),
               (96, 4, 1, "relu6", False), (160, 4, 2, "relu6", False), (320, 1, 1, "relu6", False)],
    "ofa": [(24, 4, 2, "relu", False), (40, 4, 2, "relu", True), (80, 4, 2, "hswish", False),
            (112, 4, 1, "hswish", True), (160, 4, 2, "hswish", True)],
}
FIXED = {
    "proxyless": ("conv k3 e1 s2 3-32 224x224 relu6", "mbconv k3 e1 s1 32-16 112x112 relu6",
                  "head k1 e1 s1 320-1000 7x7 relu6 m1280"),
    "google": ("conv k3 e1 s2 3-32 224x224 relu6", "mbconv k3 e1 s1 32-16 112x112 relu6",
               "head k1 e1 s1 320-1000 7x7 relu6 m1280"),
    "ofa": ("conv k3 e1 s2 3-16 224x224 hswish", "mbconv k3 e1 s1 16-16 112x112 relu",
            "head k1 e1 s1 160-1000 7x7 hswish m960-1280"),
}
CHAINS = sorted(set(SPACES) - {"darts", "nasbench201", "nse"})
FBNET_STAGES = list(zip((16, 24, 32, 64, 112, 184, 352), (1, 4, 4, 4, 4, 4, 1), strict=True))


def space(name: str, **values: object) -> Space:
    return build(SpaceConfig(name, **{"imgsz": SPACES[name].imgsz, **values}))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", sorted(MOBILE_V2))
def test_mobilenet_macros_op_for_op(name: str) -> None:
    built = space(name)
    first, second, *stages, head = built.positions
    assert (first.ops, second.ops, head.ops) == tuple((Op.parse(text),) for text in FIXED[name])
    rows = iter(stages)
    channels, size = 16, 112
    for number, (width, layers, stride, act, se) in enumerate(MOBILE_V2[name], 1):
        for layer in range(layers):
            s = stride if layer == 0 else 1
            blocks = [Op("mbconv", channels, width, size, size, k, e, s, act, se) for k, e in PAIRS]
            shortcut = s == 1 and channels == width
            last = Op("skip", width, width, size, size) if shortcut else dataclasses.replace(blocks[0], expand=1)
            position = next(rows)
            assert position.name == f"stage{number}.{layer + 1}"
            assert position.ops == (*blocks, last)
            channels, size = width, -(-size // s)
    assert next(rows, None) is None


@pytest.mark.parametrize(("imgsz", "strides", "stem", "hidden"), [
    (224, (1, 2, 2, 2, 1, 2, 1), 2, 1984), (32, (1, 1, 2, 2, 1, 2, 1), 1, 1504),
])
def test_fbnet_op_for_op(imgsz: int, strides: tuple[int, ...], stem: int, hidden: int) -> None:
    first, *rows, head = space("fbnet", imgsz=imgsz, classes=100).positions
    assert first.ops == (Op("conv", 3, 16, imgsz, imgsz, 3, 1, stem, "relu"),)
    channels, size = 16, imgsz // stem
    positions = iter(rows)
    for (width, layers), stride in zip(FBNET_STAGES, strides, strict=True):
        for layer in range(layers):
            s = stride if layer == 0 else 1
            blocks = [Op("fbconv", channels, width, size, size, k, e, s, "relu", False, g) for k, e, g in FBNET]
            shape = (channels, width, size, size)
            shortcut = s == 1 and channels == width
            last = Op("skip", *shape) if shortcut else Op("conv", *shape, stride=s, act="relu")
            found = next(positions).ops
            assert found[:8] == tuple(blocks)
            assert found[8] == last
            channels, size = width, -(-size // s)
    assert next(positions, None) is None
    assert head.ops == (Op("head", 352, 100, size, size, act="relu", hidden=(hidden,)),)


@pytest.mark.parametrize(("name", "size", "choices"), [
    ("proxyless", 7**21, 21), ("google", 7**21, 21), ("ofa", 7**20, 20), ("fbnet", 9**22, 22), ("mobile", 7**8, 8),
])
def test_number_of_architectures(name: str, size: int, choices: int) -> None:
    built = space(name)
    assert built.size == size
    assert len(built.choices) == len(built.sizes) == choices
    assert len(built.positions) == choices + len(built.fixed_ops)


@pytest.mark.parametrize("maps", [
    [16, 8, 8, 8, 8, 4, 4, 4, 2, 2, 2], [28, 14, 14, 14, 14, 7, 7, 7, 4, 4, 4],
    [32, 16, 16, 16, 16, 8, 8, 8, 4, 4, 4], [33, 17, 9, 9, 9, 5, 5, 5, 3, 3, 3],
    [64, 32, 16, 16, 16, 8, 8, 8, 4, 4, 4], [128, 64, 32, 16, 16, 8, 8, 8, 4, 4, 4],
], ids=lambda maps: str(maps[0]))
def test_mobile_works_on_maps_of_at_most_16_px_whatever_the_input(maps: list[int]) -> None:
    built = space("mobile", imgsz=maps[0])
    assert [p.ops[0].height for p in built.positions] == maps
    assert built.sizes == (7,) * 8


def test_mobile_op_for_op_at_32() -> None:
    first, second, *rows, head = space("mobile", classes=10).positions
    assert first.ops == (Op.parse("conv k3 e1 s2 3-16 32x32 relu"),)
    assert second.ops == (Op.parse("mbconv k3 e1 s1 16-16 16x16 relu"),)
    assert head.ops == (Op.parse("head k1 e1 s1 96-10 4x4 relu m256"),)
    widths = [(16, 32), (32, 32), (32, 64), (64, 64), (64, 64), (64, 96), (96, 96), (96, 96)]
    assert [(p.ops[0].in_channels, p.ops[0].out_channels) for p in rows] == widths
    for position in rows:
        assert [(op.kernel, op.expand) for op in position.ops[:6]] == SMALL_PAIRS
        assert {op.act for op in position.ops[:6]} == {"relu"}
        entered = position.name.endswith(".1")
        assert position.ops[6].kind == ("mbconv" if entered else "skip")


@pytest.mark.parametrize("name", sorted(SPACES))
@pytest.mark.parametrize("values", [{}, {"width_mult": 0.5}, {"width_mult": 1.3, "depth": 2}, {"imgsz": 33},
                                    {"in_channels": 1, "classes": 2, "imgsz": 8, "depth": 1}], ids=str)
def test_shapes_chain_and_parameters_are_obeyed(name: str, values: dict[str, object]) -> None:
    built = space(name, **values)
    config = built.config
    assert built.input_shape == (config.in_channels, config.imgsz, config.imgsz)
    assert built.positions[0].ops[0].in_channels == config.in_channels
    assert built.positions[-1].ops[0].out_channels == config.classes
    by_name = {p.name: p for p in built.positions}
    for before, after in built.graph.edges:
        if by_name[before].merge == "concat":  # a part of what is read
            continue
        outs = {(op.out_channels, *op.out_hw) for op in by_name[before].ops}
        assert outs == {(op.in_channels, op.height, op.width) for op in by_name[after].ops}
        assert len(outs) == 1
    assert len(by_name) == len(built.positions)
    if name in CHAINS:
        assert list(built.graph.edges) == list(itertools.pairwise(by_name))


@pytest.mark.parametrize("name", sorted(SPACES))
@pytest.mark.parametrize("mult", [0.5, 1.2, 2.0])
def test_width_multiplier_scales_every_stage(name: str, mult: float) -> None:
    plain, scaled = space(name), space(name, width_mult=mult)
    for a, b in zip(plain.positions[:-1], scaled.positions[:-1], strict=True):
        assert b.ops[0].out_channels == make_divisible(a.ops[0].out_channels * mult)
    assert {op.out_channels % 8 for p in scaled.positions[:-1] for op in p.ops} == {0}


@pytest.mark.parametrize(("name", "widest"), [("proxyless", 1280), ("google", 1280), ("ofa", 1280)])
def test_the_wide_layer_of_the_head_grows_but_never_shrinks(name: str, widest: int) -> None:
    assert space(name, width_mult=0.5).positions[-1].ops[0].hidden[-1] == widest
    assert space(name, width_mult=2.0).positions[-1].ops[0].hidden[-1] == 2 * widest


@pytest.mark.parametrize(("name", "choices"), [("proxyless", 11), ("google", 11), ("ofa", 10), ("fbnet", 12),
                                               ("mobile", 5)])
def test_depth_sets_the_layers_per_stage(name: str, choices: int) -> None:
    assert len(space(name, depth=2).choices) == choices


def test_signatures_are_distinct_and_complete() -> None:
    built = space("mobile")
    every = {op.signature for p in built.positions for op in p.ops if op.kind != "skip"}
    assert set(built.signatures) == every
    assert len(built.signatures) == len(every)


def test_fingerprint_depends_on_what_is_built_and_on_nothing_else() -> None:
    base = space("mobile")
    assert base.fingerprint == space("mobile").fingerprint
    assert base.fingerprint == space("mobile", depth=3).fingerprint  # the default, spelled out
    changed = [space("mobile", **{k: v}) for k, v in
               (("imgsz", 48), ("classes", 7), ("in_channels", 1), ("width_mult", 0.5), ("depth", 1))]
    assert len({s.fingerprint for s in (base, *changed, space("proxyless"))}) == 7


@pytest.mark.parametrize(("name", "nearest"), [("proxiless", "proxyless"), ("mobil", "mobile"), ("fbnets", "fbnet")])
def test_unknown_space_is_told_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(UnknownName, match=f"Did you mean '{nearest}'"):
        describe(name)
    with pytest.raises(UnknownName, match=f"Did you mean '{nearest}'"):
        build(SpaceConfig(name, 32))


@pytest.mark.parametrize("values", [
    {"imgsz": 7}, {"imgsz": 0}, {"classes": 0}, {"in_channels": 0}, {"width_mult": 0.0}, {"width_mult": -1.0},
    {"depth": 0}, {"depth": -2}, {"imgsz": 129}, {"width_mult": float("nan")}, {"width_mult": float("inf")},
], ids=str)
def test_parameters_out_of_range_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        space("mobile", **values)


def test_the_listing_describes_every_space() -> None:
    for name, entry in SPACES.items():
        assert entry.about
        assert build(SpaceConfig(name, entry.imgsz)).name == name
        assert describe(name) is entry
