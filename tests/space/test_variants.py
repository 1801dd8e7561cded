"""Spaces with a share of the channels or with smaller images."""

from __future__ import annotations

import pytest

from hwnas.errors import UsageError
from hwnas.space import FULL, SpaceConfig, Variant, build, scaled, variants

MOBILE, OFA = SpaceConfig("mobile", 32, 3, 10), SpaceConfig("ofa", 64, 3, 10)
DETECTOR = SpaceConfig("mobile", 96, 3, 4, depth=1, width=192, head="fcos", head_width=40)


@pytest.mark.parametrize("variant", [FULL, Variant(0.5), Variant(1.0, 256), Variant(0.75, 192), Variant(0.125)])
def test_a_key_is_read_back(variant: Variant) -> None:
    assert Variant.read(variant.key) == variant


@pytest.mark.parametrize("wrong", ["", "half", "@256", "0.5@x"])
def test_what_is_no_key(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"could not convert|invalid literal"):
        Variant.read(wrong)


def test_what_people_read() -> None:
    assert [v.told for v in variants((0.5,), (256,))] == ["", "width 0.5", "256 px", "width 0.5, 256 px"]


def test_nothing_changes_in_full() -> None:
    for config in (MOBILE, OFA, DETECTOR):
        assert scaled(build(config), FULL) == build(config)


def test_channels_and_pixels_are_scaled_and_the_choices_stay() -> None:
    space = build(DETECTOR)
    found = scaled(space, Variant(0.5, 64))
    assert found.config.size == (64, 128)
    assert found.config.head_width == 24  # 20 in multiples of 8, never losing more than a tenth
    assert found.sizes == space.sizes
    assert found.largest().flops < 0.5 * (64 / 96) ** 2 * space.largest().flops
    same = scaled(space, Variant(1.0, 64))
    assert same.largest().params == space.largest().params
    assert same.config.head_width == 40


@pytest.mark.parametrize("width", [0.0, -1.0, 1.5])
def test_a_width_is_a_share(width: float) -> None:
    with pytest.raises(UsageError, match="above 0 and at most 1; got"):
        scaled(build(MOBILE), Variant(width))


@pytest.mark.parametrize(("config", "size", "rule"), [
    (MOBILE, 48, "smaller than the reference's"), (DETECTOR, 128, "smaller than the reference's"),
    (SpaceConfig("mobile", 96, 3, 4, width=128, head="fcos"), 64, "keeps its shape of 96x128"),
    (DETECTOR, 48, "multiples of 32"),
])
def test_what_is_no_size(config: SpaceConfig, size: int, rule: str) -> None:
    with pytest.raises(UsageError, match=rule):
        scaled(build(config), Variant(1.0, size))


@pytest.mark.parametrize(("config", "variant"), [
    (OFA, Variant(0.05)), (SpaceConfig("mobile", 256, 3, 4, head="ssdlite"), Variant(1.0, 64)),
])
def test_what_changes_the_choices_is_refused(config: SpaceConfig, variant: Variant) -> None:
    with pytest.raises(UsageError, match=rf"{variant.told} of space \w+ has other choices than the reference"):
        scaled(build(config), variant)
