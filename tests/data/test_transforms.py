"""The contract of transforms: every one of the table is held to it as it is, whatever the image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.data.transforms import TRANSFORMS, Sample, changed, transforms_of
from hwnas.data.transforms.geometry import Erase, Mirror, RandomResizedCrop
from hwnas.data.transforms.photometry import COLOURS, EVERY, ColourJitter, RandAugment, TrivialAugment
from hwnas.errors import UnknownName, UsageError

NAMES = sorted(TRANSFORMS.table)


def noise(height: int, width: int, channels: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def frozen(sample: Sample) -> Sample:
    """Arrays that raise where they are written to."""
    for array in vars(sample).values():
        if array is not None:
            array.setflags(write=False)
    return sample


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    height, width, seed = draw(st.integers(8, 40)), draw(st.integers(8, 40)), draw(st.integers(0, 99))
    kind = draw(st.sampled_from(["grey", "plain", "boxes", "mask"]))
    image, rng = noise(height, width, 1 if kind == "grey" else 3, seed), np.random.default_rng(seed)
    if kind == "boxes":
        count = draw(st.integers(0, 4))
        corners = np.sort(rng.uniform(0, 1, (count, 2, 2)), axis=1).reshape(count, 4)
        boxes = (corners * np.array([width, height] * 2)).astype(np.float32)
        return frozen(Sample(image, boxes, rng.integers(0, 5, count), rng.random(count) < 0.3))
    mask = rng.choice(np.array([0, 2, 7, 255], np.uint8), (height, width)) if kind == "mask" else None
    return frozen(Sample(image, mask=mask))


@pytest.mark.parametrize("name", NAMES)
@given(samples(), st.integers(0, 2**63 - 1))
def test_every_transform_keeps_the_contract(name: str, sample: Sample, seed: int) -> None:
    transforms = transforms_of([{name: {}}])
    found, again = (changed(transforms, sample, seed) for _ in range(2))  # `changed` refuses what breaks the rules
    for one, two in zip(vars(found).values(), vars(again).values(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert (found.image.shape, found.image.dtype) == (sample.image.shape, np.uint8)
    if sample.mask is not None:
        assert found.mask is not None
        assert set(np.unique(found.mask)) <= {*np.unique(sample.mask), 255}
    if sample.boxes is not None:
        boxes, labels, crowd = found.boxed
        assert len(boxes) == len(labels) == len(crowd) <= len(sample.boxes)
        assert (boxes >= 0).all()
        assert (boxes[:, 2:] <= np.array([sample.image.shape[1], sample.image.shape[0]])).all()


@pytest.mark.parametrize("name", NAMES)
def test_every_transform_changes_something_and_not_always_the_same(name: str) -> None:
    sample, transforms = Sample(noise(24, 24, 3, 0)), transforms_of([{name: {}}])
    found = {changed(transforms, sample, seed).image.tobytes() for seed in range(40)}
    assert len(found) > 1
    assert found != {sample.image.tobytes()}


@pytest.mark.parametrize("operation", sorted(EVERY))
@pytest.mark.parametrize("channels", [1, 3])
def test_no_operation_does_anything_at_no_strength_but_those_that_have_none(operation: str, channels: int) -> None:
    sample = Sample(np.clip(noise(16, 16, channels, 3), 3, 250))
    same = np.asarray(EVERY[operation](sample.picture, 0.0, 1.0)).reshape(sample.image.shape)
    if operation in ("autocontrast", "equalize"):
        assert same.shape == sample.image.shape
    else:
        np.testing.assert_array_equal(same, sample.image)


def test_boxes_and_masks_follow_the_pixels() -> None:
    """One bright square: after any crop and mirror the box holds what is left of it, and the mask is where it is."""
    image = np.zeros((40, 60, 3), np.uint8)
    image[10:30, 20:40] = 255
    truth = (image[..., 0] > 0).astype(np.uint8)
    boxes = np.array([[20, 10, 40, 30]], np.float32)
    transforms = (RandomResizedCrop((0.5, 1.0), kept=0.0), Mirror())
    for seed in range(30):
        found = changed(transforms, Sample(image, boxes, np.array([1]), np.array([False])), seed)
        mask = changed(transforms, Sample(image, mask=truth), seed).mask
        assert mask is not None
        bright = found.image[..., 0] > 127
        assert (bright != mask.astype(bool)).mean() < 0.06
        ys, xs = np.nonzero(bright)
        if not len(ys):
            continue
        x0, y0, x1, y1 = found.boxed[0][0]
        assert np.abs(np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]) - [x0, y0, x1, y1]).max() <= 1.5


def test_a_crop_is_the_image_itself_at_scale_one() -> None:
    sample = Sample(noise(16, 24, 3, 1))
    whole = RandomResizedCrop((1.0, 1.0), (1.0, 1.0))
    np.testing.assert_array_equal(whole(sample, np.random.default_rng(0)).image, sample.image)


def test_a_box_goes_where_too_little_of_it_stays() -> None:
    image, boxes = noise(40, 40, 3, 0), np.array([[0, 0, 4, 4], [10, 10, 30, 30]], np.float32)
    counts = {len(changed((RandomResizedCrop((0.3, 0.5), kept=0.5),),
                          Sample(image, boxes, np.array([0, 1]), np.zeros(2, bool)), seed).boxed[0])
              for seed in range(40)}
    assert counts >= {1, 2}


def test_colours_alone_change_where_the_truth_has_a_place() -> None:
    sample = Sample(noise(16, 16, 3, 0), mask=np.ones((16, 16), np.uint8))
    known = {EVERY[name](sample.picture, 1.0, sign).tobytes() for name in COLOURS for sign in (1.0, -1.0)}
    for seed in range(60):
        found = RandAugment(operations=1, strength=1.0)(sample, np.random.default_rng(seed))
        assert found.image.tobytes() in known
        assert found.mask is sample.mask


def test_an_erased_rectangle_has_the_mean_colour() -> None:
    sample = Sample(noise(20, 20, 3, 0))
    found = Erase(probability=1.0, area=(0.2, 0.2), ratio=(1.0, 1.0))(sample, np.random.default_rng(0)).image
    ys, xs = np.nonzero((found != sample.image).any(axis=2))
    assert (found[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
            == np.rint(sample.image.mean(axis=(0, 1)))).all()
    assert (ys.max() - ys.min() + 1, xs.max() - xs.min() + 1) == (9, 9)


@pytest.mark.parametrize(("make", "why"), [
    (lambda: RandomResizedCrop((0.0, 1.0)), "0 < scale"), (lambda: Mirror(1.5), "a probability is in 0..1, not 1.5"),
    (lambda: Erase(area=(0.5, 0.1)), "0 < area low"), (lambda: TrivialAugment(2.0), "a strength is in 0..1, not 2.0"),
    (lambda: RandAugment(operations=0), "1 to 14, not 0"), (lambda: ColourJitter(1.0), "above 0 and under 1"),
])
def test_values_out_of_range_are_refused(make: object, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        make()  # type: ignore[operator]


def sample_of_all() -> Sample:
    return Sample(noise(8, 8, 3, 0), np.array([[1, 1, 5, 5]], np.float32), np.array([2]), np.array([False]))


@pytest.mark.parametrize(("wrong", "why"), [
    (lambda s, rng: s.image, "must give a hwnas.data.transforms.Sample"),
    (lambda s, rng: replace(s, image=s.image[:4]), r"must keep uint8 \(8, 8, 3\) as the image, and gave"),
    (lambda s, rng: replace(s, image=s.image / 255), "as the image, and gave float64"),
    (lambda s, rng: replace(s, mask=s.image[..., 0]), "as the mask"),
    (lambda s, rng: replace(s, boxes=s.boxes + 4), "boxes outside the image of 8 x 8 pixels"),
    (lambda s, rng: replace(s, boxes=s.boxes * np.float32(np.nan)), "boxes outside the image"),
    (lambda s, rng: replace(s, boxes=s.boxes.astype(float)), "must give boxes as float32"),
    (lambda s, rng: replace(s, boxes=None), "must keep boxes, labels and crowds"),
    (lambda s, rng: replace(s, labels=np.array([3])), "a box of class 3, which was not in it"),
    (lambda s, rng: replace(s, labels=np.array([2, 2])), "1 boxes, 2 labels and 1 crowds"),
])
def test_a_transform_that_breaks_the_contract_is_named(wrong: object, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        changed([wrong], sample_of_all(), 0)  # type: ignore[list-item]


def test_a_mask_with_a_class_of_its_own_is_refused() -> None:
    sample = Sample(noise(8, 8, 3, 0), mask=np.zeros((8, 8), np.uint8))
    with pytest.raises(UsageError, match="gave a mask with class 9"):
        changed([lambda s, rng: replace(s, mask=s.mask + np.uint8(9))], sample, 0)
    with pytest.raises(UsageError, match="gave boxes to an image without any"):
        changed([lambda s, rng: replace(s, boxes=np.zeros((0, 4), np.float32))], Sample(sample.image), 0)


def test_names_and_options_that_there_are_not() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'mirror'"):
        transforms_of([{"miror": {}}])
    with pytest.raises(UsageError, match="transform 'mirror' does not take"):
        transforms_of([{"mirror": {"chance": 1}}])
