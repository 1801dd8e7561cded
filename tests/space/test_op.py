"""Ops: signatures, shapes, counts and memory worked out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.errors import InputError
from hwnas.space import Op, make_divisible
from hwnas.space.kinds.registry import TABLE, kind_of

SIZES = st.integers(1, 512)


@st.composite
def ops(draw: st.DrawFn) -> Op:
    kind = draw(st.sampled_from(sorted(set(TABLE) - {"concat"})))  # which only has more channels out than in
    rules = kind_of(kind)
    plain = kind in ("mbbranch", "mbsplit")  # neither groups nor squeeze-excite
    channels, groups = draw(SIZES), 1 if plain else draw(st.sampled_from([1, 2, 4]))
    same = rules.same_channels or draw(st.booleans())
    return Op(
        kind, channels * groups, channels * groups if same else draw(SIZES) * groups, draw(SIZES), draw(SIZES),
        kernel=draw(st.sampled_from([1, 3, 5, 7])), expand=draw(st.integers(1, 8)),
        stride=1 if rules.still else draw(st.integers(1, 3)),
        scale=draw(st.integers(1, 3)) if rules.scales else 1, dilation=draw(st.integers(1, 3)) * 6
        if kind == "atrous" else 1,
        act=draw(st.sampled_from(["none", "relu", "relu6", "hswish"])),
        se=not plain and draw(st.booleans()), groups=groups,
        hidden=tuple(draw(st.lists(SIZES, max_size=3))) if kind == "head" else (),
    )


@given(op=ops())
def test_signatures_are_read_back(op: Op) -> None:
    assert Op.parse(op.signature) == op
    assert hash(Op.parse(op.signature)) == hash(op)


@given(first=ops(), second=ops())
def test_different_ops_have_different_signatures(first: Op, second: Op) -> None:
    assert (first == second) == (first.signature == second.signature)


@pytest.mark.parametrize(
    ("op", "signature"),
    [
        (Op("mbconv", 24, 40, 56, 56, kernel=5, expand=6, stride=2, act="relu6", se=True),
         "mbconv k5 e6 s2 24-40 56x56 relu6 se"),
        (Op("fbconv", 16, 16, 9, 8, kernel=3, act="relu", groups=2), "fbconv k3 e1 s1 16-16 9x8 relu g2"),
        (Op("head", 160, 10, 7, 7, act="hswish", hidden=(960, 1280)), "head k1 e1 s1 160-10 7x7 hswish m960-1280"),
        (Op("skip", 8, 8, 4, 4), "skip k1 e1 s1 8-8 4x4 none"),
        (Op("preconv", 16, 32, 9, 9, kernel=3, stride=2, act="relu"), "preconv k3 e1 s2 16-32 9x9 relu"),
        (Op("head", 64, 10, 8, 8, act="relu"), "head k1 e1 s1 64-10 8x8 relu"),
        (Op("conv", 3, 32, 224, 224, kernel=3, stride=2), "conv k3 e1 s2 3-32 224x224 none"),
    ],
)
def test_signatures_as_tables_hold_them(op: Op, signature: str) -> None:
    assert op.signature == signature


@pytest.mark.parametrize(
    "text",
    ["", "mbconv", "mbconv k3 e6 s1 16-16 8x8", "mbconv k3 e6 s1 16-16 8x8 relu g2 se", "conv k3 e1 s1 3-8 8x8 relu ",
     " conv k3 e1 s1 3-8 8x8 relu", "conv k-3 e1 s1 3-8 8x8 relu", "conv k3 e1 s1 3-8 8x8 relu m", "none",
     "conv k4 e1 s1 3-8 8x8 relu", "conv k3 e1 s1 0-8 8x8 relu", "conv k3 e1 s0 3-8 8x8 relu",
     "blur k3 e1 s1 3-8 8x8 relu", "conv k3 e1 s1 3-8 8x8 gelu", "skip k1 e1 s2 8-8 8x8 none",
     "skip k1 e1 s1 8-16 8x8 none", "mbsplit k3 e1 s1 8-8 8x8 relu se", "mbbranch k3 e2 s1 8-8 8x8 relu g2",
     "mbsplit k3 e1 s1 8-8 8x8 relu splits=9", "mbconv k3 e1 s1 8-8 8x8 relu splits=2",
     "conv k3 e1 s1 3-8 8x8 relu\n"],
)
def test_what_is_no_signature_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        Op.parse(text)


@pytest.mark.parametrize(
    "values",
    [{"groups": 3}, {"kernel": -1}, {"kind": "head", "hidden": (0,)}, {"expand": 0}, {"stride": -1}],
    ids=str,
)
def test_values_that_contradict_each_other_are_refused(values: dict[str, object]) -> None:
    base: dict[str, object] = {"kind": "conv", "in_channels": 16, "out_channels": 16, "height": 8, "width": 8,
                               "kernel": 3, "act": "relu"}
    with pytest.raises(InputError):
        Op(**{**base, **values})  # type: ignore[arg-type]


@given(value=st.floats(1, 5000), divisor=st.sampled_from([4, 8, 16]))
def test_make_divisible_is_near_and_never_loses_more_than_a_tenth(value: float, divisor: int) -> None:
    rounded = make_divisible(value, divisor)
    assert rounded % divisor == 0
    assert rounded >= divisor
    assert rounded >= 0.9 * value
    assert rounded <= max(divisor, value + divisor)


@pytest.mark.parametrize(("value", "rounded"), [(1, 8), (11, 16), (12, 16), (20, 24), (24, 24), (44.8, 48), (36, 40),
                                                (19.2, 24), (28.8, 32), (67.2, 64), (960 / 4, 240)])
def test_make_divisible_by_hand(value: float, rounded: int) -> None:
    assert make_divisible(value) == rounded


def conv(k: int, c_in: int, c_out: int, area: int, groups: int = 1) -> tuple[int, int]:
    """(multiply-accumulates, parameters) of a convolution without bias and its batch norm."""
    weights = k * k * c_in // groups * c_out
    return weights * area, weights + 2 * c_out


@pytest.mark.parametrize(
    ("signature", "parts"),
    [
        ("conv k3 e1 s2 3-32 224x224 relu6", [conv(3, 3, 32, 112 * 112)]),
        ("conv k3 e1 s2 3-16 9x7 relu", [conv(3, 3, 16, 5 * 4)]),
        ("mbconv k5 e1 s2 16-24 9x9 relu", [conv(5, 16, 16, 25, 16), conv(1, 16, 24, 25)]),
        ("mbconv k7 e6 s2 24-40 56x56 relu6",
         [conv(1, 24, 144, 56 * 56), conv(7, 144, 144, 28 * 28, 144), conv(1, 144, 40, 28 * 28)]),
        ("mbconv k3 e3 s1 40-40 14x14 hswish se",
         [conv(1, 40, 120, 196), conv(3, 120, 120, 196, 120), (2 * 120 * 32, 2 * 120 * 32 + 120 + 32),
          conv(1, 120, 40, 196)]),
        ("mbconv k3 e1 s1 24-24 7x7 hswish se",
         [conv(3, 24, 24, 49, 24), (2 * 24 * 8, 2 * 24 * 8 + 24 + 8), conv(1, 24, 24, 49)]),
        ("fbconv k3 e1 s1 16-16 8x8 relu g2",
         [conv(1, 16, 16, 64, 2), conv(3, 16, 16, 64, 16), conv(1, 16, 16, 64, 2)]),
        ("fbconv k5 e1 s2 16-24 8x8 relu", [conv(1, 16, 16, 64), conv(5, 16, 16, 16, 16), conv(1, 16, 24, 16)]),
        ("head k1 e1 s1 320-1000 7x7 relu6 m1280", [conv(1, 320, 1280, 49), (1_280_000, 1_281_000)]),
        ("head k1 e1 s1 160-10 4x4 hswish m960-1280",
         [conv(1, 160, 960, 16), (960 * 1280, 960 * 1280 + 1280), (12_800, 12_810)]),
        ("skip k1 e1 s1 16-16 8x8 none", []),
        ("none k1 e1 s1 16-16 8x8 none", []),
        ("identity k1 e1 s1 16-16 8x8 none", []),
        ("avgpool k3 e1 s1 16-16 8x8 none", []),
        ("preconv k3 e1 s2 16-32 9x9 relu", [conv(3, 16, 32, 25)]),
        ("shortcut k1 e1 s2 16-32 9x9 none", [(16 * 32 * 25, 16 * 32)]),  # no batch norm
        ("head k1 e1 s1 64-10 8x8 relu", [(0, 128), (640, 650)]),
    ],
)
def test_counts_by_hand(signature: str, parts: list[tuple[int, int]]) -> None:
    op = Op.parse(signature)
    assert op.flops == sum(f for f, _ in parts)
    assert op.params == sum(p for _, p in parts)


@pytest.mark.parametrize(
    ("signature", "elements"),
    [
        ("conv k3 e1 s2 3-16 8x8 relu", 3 * 64 + 16 * 16),
        ("skip k1 e1 s1 16-16 8x8 none", 16 * 64),  # the map itself, once
        ("mbconv k3 e1 s2 16-24 8x8 relu", 16 * 64 + 16 * 16),  # depthwise 1280 beats projection 256 + 384
        ("mbconv k3 e6 s2 16-24 8x8 relu", 96 * 64 + 96 * 16),
        # residual: the input waits while the depthwise convolution holds both its maps
        ("mbconv k3 e6 s1 16-16 8x8 relu", 2 * 96 * 64 + 16 * 64),
        # without expansion the first step's input is the residual itself and is not counted twice
        ("mbconv k3 e1 s1 16-16 8x8 relu", 3 * 16 * 64),
        ("mbconv k3 e6 s1 16-24 8x8 relu se", 2 * 96 * 64),
        ("fbconv k3 e1 s1 16-16 8x8 relu g2", 3 * 16 * 64),
        ("head k1 e1 s1 8-10 4x4 relu m32", (8 + 32) * 16),
        ("head k1 e1 s1 8-1000 1x1 relu m32-64", 64 + 1000),
        ("identity k1 e1 s1 16-16 8x8 none", 16 * 64),
        ("none k1 e1 s1 16-16 8x8 none", 0),
        ("preconv k3 e1 s2 16-32 8x8 relu", 2 * 16 * 64),  # the activation is out of place
        ("shortcut k1 e1 s2 16-32 8x8 none", 16 * 64 + 16 * 16),
    ],
)
def test_peak_memory_by_hand(signature: str, elements: int) -> None:
    assert Op.parse(signature).peak_elements == elements


def test_an_input_that_is_needed_again_is_held_while_later_steps_run() -> None:
    op = Op.parse("preconv k3 e1 s1 16-16 8x8 relu")
    assert (op.peak(keeps_input=False), op.peak(keeps_input=True)) == (2 * 16 * 64, 3 * 16 * 64)
    assert Op.parse("avgpool k3 e1 s1 16-16 8x8 none").peak(keeps_input=True) == 2 * 16 * 64


@given(op=ops())
def test_steps_chain_from_the_input_to_the_output(op: Op) -> None:
    size = op.in_channels * op.height * op.width
    for step in op.steps:
        assert step.elements_in == size
        size = step.elements_out
    if op.kind == "none":  # an edge that is not there: nothing flows, whatever the channels
        assert (op.steps, op.flops, op.params, op.peak_elements) == ((), 0, 0, 0)
        return
    expected = op.out_channels if op.kind == "head" else op.out_channels * op.out_hw[0] * op.out_hw[1]
    assert size == expected
    assert op.peak_elements >= max(expected, op.in_channels * op.height * op.width)
    keeps = op.stride == 1 and op.in_channels == op.out_channels
    assert op.residual == (op.kind in ("mbconv", "fbconv", "mbsplit") and keeps)


def test_labels_are_short() -> None:
    ops_ = [Op("mbconv", 8, 8, 4, 4, kernel=5, expand=6), Op("skip", 8, 8, 4, 4), Op("conv", 8, 16, 4, 4),
            Op("fbconv", 8, 8, 4, 4, kernel=3, groups=2), Op("head", 8, 10, 4, 4, hidden=(16,)),
            Op("none", 8, 8, 4, 4), Op("identity", 8, 8, 4, 4), Op("preconv", 8, 8, 4, 4, kernel=3),
            Op("avgpool", 8, 8, 4, 4, kernel=3)]
    assert [op.label for op in ops_] == ["k5 e6", "skip", "conv k1", "k3 e1 g2", "head", "none", "skip", "conv k3",
                                         "pool k3"]
