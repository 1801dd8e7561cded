import dataclasses
import json

import numpy as np
import pytest

from hwnas.data import Dataset
from hwnas.errors import DataError, UsageError


def make(counts=(30, 10, 20), val=(3, 1, 2), side=8, channels=3, seed=0, **changes) -> Dataset:
    rng = np.random.default_rng(seed)
    fields = {
        "name": "x",
        "train_images": rng.integers(0, 256, (sum(counts), side, side, channels), np.uint8),
        "train_labels": np.repeat(np.arange(3), counts).astype(np.int64),
        "val_images": rng.integers(0, 256, (sum(val), side, side, channels), np.uint8),
        "val_labels": np.repeat(np.arange(3), val).astype(np.int64),
        "classes": ("a", "b", "c"),
        "source": "here",
    }
    return Dataset(**(fields | changes))


@pytest.mark.parametrize("channels", [1, 3])
def test_mean_and_std_match_numpy(channels):
    data = make(counts=(900, 300, 400), channels=channels)
    pixels = data.train_images.reshape(-1, channels) / 255
    np.testing.assert_allclose(data.mean, pixels.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(data.std, pixels.std(axis=0), rtol=1e-9)
    assert data.mean.dtype == data.std.dtype == np.float64


def test_std_of_one_colour_can_be_divided_by():
    flat = np.full((60, 8, 8, 1), 7, np.uint8)
    data = make(train_images=flat, val_images=flat[:6])
    assert data.std.tolist() == [1 / 255]


def test_describe_is_json_with_the_counts():
    facts = json.loads(json.dumps(make().describe()))
    assert facts["classes"] == {
        "a": {"train": 30, "val": 3},
        "b": {"train": 10, "val": 1},
        "c": {"train": 20, "val": 2},
    }
    assert (facts["imgsz"], facts["channels"], facts["train"], facts["val"]) == (8, 3, 60, 6)
    assert facts["split"] == "given by the caller"


def test_summary_is_one_line():
    text = make().summary()
    assert "\n" not in text
    assert "60 training and 6 validation images, 8x8 colour, 3 classes (10 to 30 training images each)" in text


def test_fingerprint_changes_with_any_pixel_or_label_and_with_nothing_else():
    data = make()
    pixels, labels = data.val_images.copy(), data.val_labels.copy()
    pixels[-1, -1, -1, -1] ^= 1
    labels[-1] = 0
    prints = {
        data.fingerprint,
        dataclasses.replace(data, val_images=pixels).fingerprint,
        dataclasses.replace(data, val_labels=labels).fingerprint,
    }
    assert len(prints) == 3
    assert dataclasses.replace(data, name="y").fingerprint == make().fingerprint
    assert len(data.fingerprint) == 16
    assert int(data.fingerprint, 16) >= 0


def test_subset_keeps_proportions_pixels_and_seed():
    data = make()
    small = data.subset(12, 3, seed=1)
    assert np.bincount(small.train_labels).tolist() == [6, 2, 4]
    assert np.bincount(small.val_labels, minlength=3).tolist() == [1, 1, 1]
    assert small.fingerprint == data.subset(12, 3, seed=1).fingerprint != data.subset(12, 3, seed=2).fingerprint
    owner = {image.tobytes(): label for image, label in zip(data.train_images, data.train_labels, strict=True)}
    assert all(owner[i.tobytes()] == k for i, k in zip(small.train_images, small.train_labels, strict=True))
    assert "stratified subset" in small.split
    assert data.subset(60, 6, seed=0).fingerprint == data.fingerprint


@pytest.mark.parametrize(
    ("n_train", "n_val", "message"),
    [
        (2, 3, r"n_train must be 3 \(one per class\) to 60, not 2"),
        (61, 3, "to 60, not 61"),
        (9, 7, "n_val must be 3 .* to 6"),
    ],
)
def test_subset_out_of_range(n_train, n_val, message):
    with pytest.raises(UsageError, match=message):
        make().subset(n_train, n_val, 0)


IMAGES = np.zeros((60, 8, 8, 3), np.uint8)
LABELS = np.repeat(np.arange(3), 20)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_images": IMAGES.astype(float)}, "train images must be uint8"),
        ({"train_images": IMAGES[:, :4]}, r"must be uint8 \(N, S, S, 1 or 3\)"),
        ({"train_images": np.asfortranarray(IMAGES)}, "must be contiguous"),
        ({"train_images": IMAGES[:9]}, r"train labels must be int64 \(9,\)"),
        ({"train_labels": LABELS.astype(np.int32)}, "labels must be int64"),
        ({"train_labels": LABELS + 1}, r"must be in 0..2, not 1..3"),
        ({"train_labels": LABELS * 0}, "class 'b' has no training image"),
        ({"val_images": IMAGES[:6, :, :, :1].copy()}, "give both the same size and channels"),
        ({"val_images": IMAGES[:0], "val_labels": LABELS[:0]}, "no val images"),
        ({"classes": ("a",)}, "1 class"),
    ],
)
def test_arrays_that_break_the_rules(changes, message):
    with pytest.raises(DataError, match=message):
        make(**changes)
