import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hwnas.data import load
from hwnas.errors import DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 12, 12, 3), np.uint8)
GREY = IMAGES[..., 0]
LABELS = np.arange(20) % 2


def store(path: Path, **arrays) -> Path:
    np.savez(path / "x.npz", **arrays)
    return path / "x.npz"


def owners(data, images, labels) -> bool:
    """Every pixel array that came out goes with the label it came in with."""
    known = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
    out, given = np.concatenate([data.train_images, data.val_images]), [*data.train_labels, *data.val_labels]
    return len(out) == len(known) and all(known[i.tobytes()] == label for i, label in zip(out, given, strict=True))


def test_images_and_labels_are_split(tmp_path):
    data = load(store(tmp_path, images=IMAGES, labels=LABELS))
    assert (data.name, data.imgsz, data.channels, data.classes) == ("x", 12, 3, ("0", "1"))
    assert (len(data.train_labels), len(data.val_labels)) == (16, 4)
    assert owners(data, IMAGES, LABELS)


@pytest.mark.parametrize("val", ["val", "test"])
def test_two_parts(tmp_path, val):
    path = store(tmp_path, x_train=IMAGES, y_train=LABELS[:, None], **{f"x_{val}": IMAGES[:6], f"y_{val}": LABELS[:6]})
    data = load(path)
    np.testing.assert_array_equal(data.train_images, IMAGES)
    np.testing.assert_array_equal(data.val_labels, LABELS[:6])
    assert data.split.startswith(f"as the keys x_train and x_{val} say")
    assert ("x_test validates as no part is called val" in data.split) == (val == "test")


def test_validation_goes_before_test(tmp_path):
    parts = {"x_val": IMAGES[:4], "y_val": LABELS[:4], "x_test": IMAGES[:6], "y_test": LABELS[:6]}
    data = load(store(tmp_path, x_train=IMAGES, y_train=LABELS, **parts))
    assert len(data.val_labels) == 4
    assert data.notes == ("x_test is a test part and was left out",)


def test_a_key_that_is_there_twice_is_refused(tmp_path):
    path = store(tmp_path, images=IMAGES, labels=LABELS)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("labels.npy", archive.read("labels.npy"))
    with pytest.raises(DataError, match="the key labels is there 2 times; store it once"):
        load(path)
    with pytest.raises(DataError, match="x_train and train_images are both the part train"):
        load(store(tmp_path, x_train=IMAGES, y_train=LABELS, train_images=IMAGES, train_labels=LABELS))


@pytest.mark.parametrize("size", [1 << 50, 1 << 40])
def test_an_array_that_claims_more_than_the_machine_has_is_refused_before_it_is_made(tmp_path, size):
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({size >> 8}, 16, 16, 1), }}".ljust(117) + "\n"
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("images.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
        archive.writestr("labels.npy", b"")
    with pytest.raises(DataError, match=r"not a readable \.npz \("):
        load(tmp_path / "x.npz")


def test_medmnist_keys(tmp_path):
    parts = {"val_images": IMAGES[:4], "val_labels": LABELS[:4]}
    assert len(load(store(tmp_path, train_images=IMAGES, train_labels=LABELS, **parts)).val_labels) == 4


def test_class_names(tmp_path):
    assert load(store(tmp_path, images=IMAGES, labels=LABELS, classes=["cat", "dog"])).classes == ("cat", "dog")


@pytest.mark.parametrize(
    "same",
    [GREY, GREY[..., None], GREY.astype(np.int32), GREY / 255, GREY / np.float32(255)],
)
def test_shapes_and_types_of_pixels(tmp_path, same):
    data = load(store(tmp_path, images=same, labels=LABELS))
    assert data.channels == 1
    assert owners(data, IMAGES[..., :1], LABELS)


def test_booleans_are_black_and_white(tmp_path):
    assert set(load(store(tmp_path, images=IMAGES > 99, labels=LABELS)).train_images.ravel()) == {0, 255}


def test_grey_and_colour_parts_become_rgb(tmp_path):
    data = load(store(tmp_path, x_train=IMAGES[..., 0], y_train=LABELS, x_val=IMAGES, y_val=LABELS))
    assert data.channels == 3
    assert (data.train_images == IMAGES[..., :1]).all()


def test_resized_and_cropped(tmp_path):
    wide = np.random.default_rng(1).integers(0, 256, (20, 12, 36, 3), np.uint8)
    path = store(tmp_path, x_train=wide, y_train=LABELS, x_val=wide, y_val=LABELS)
    np.testing.assert_array_equal(load(path).train_images, wide[:, :, 12:24])
    for side in (8, 24):
        whole = Image.fromarray(wide[0]).resize((3 * side, side), Image.Resampling.BILINEAR)
        got, want = load(path, imgsz=side).train_images[0].astype(int), np.asarray(whole)[:, side : 2 * side]
        assert np.abs(got - want).max() <= 1  # rounding


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": LABELS}, "needs the keys images and labels or .*; it holds a"),
        ({"images": IMAGES}, "images needs labels beside it; it holds images. Store both"),
        ({"images": IMAGES, "labels": LABELS[:9]}, r"20 images need labels of shape \(20,\), not \(9,\)"),
        ({"images": IMAGES, "labels": LABELS * 0.5}, "labels must be integers 0..K-1, not float64"),
        ({"images": IMAGES, "labels": LABELS.astype(str)}, "labels must be integers"),
        ({"images": IMAGES, "labels": LABELS - 1}, "found -1; drop or renumber"),
        ({"images": IMAGES, "labels": LABELS.astype(np.uint64) + np.uint64(2**63)}, "renumber the classes from 0"),
        ({"images": IMAGES, "labels": LABELS + 1}, "class 0 has no training image; count from 0: subtract 1"),
        ({"images": IMAGES, "labels": LABELS * 2}, "class 1 has no training image; renumber"),
        ({"images": IMAGES, "labels": LABELS * 10**12}, "class 1 has no training image"),
        ({"images": IMAGES, "labels": LABELS * 0}, "only one class, 0; a classifier needs two"),
        ({"images": IMAGES, "labels": np.arange(20)}, r"needs two images per class; 20 have fewer: '0', '1'"),
        ({"images": IMAGES, "labels": LABELS, "classes": ["a"]}, "label 1 has no name: 1 class names cover 0..0"),
        ({"images": IMAGES, "labels": LABELS, "classes": list("abc")}, "class 'c' has no training image"),
        ({"images": IMAGES, "labels": LABELS, "classes": ["a", "a"]}, "two classes are called 'a'; rename one"),
        ({"images": IMAGES, "labels": LABELS, "classes": 0.5}, "classes must be K names, not float64"),
        ({"images": IMAGES * 2.0, "labels": LABELS}, "float images must be in 0..1, not 0..510"),
        ({"images": IMAGES * np.nan, "labels": LABELS}, "images hold NaN"),
        ({"images": IMAGES.astype(int) * 2, "labels": LABELS}, r"integer images must be in 0\.\.255, not 0\.\.510"),
        ({"images": IMAGES * 1j, "labels": LABELS}, "images must be numbers, not complex128"),
        ({"images": IMAGES[0, 0], "labels": LABELS}, r"images must be \(N, H, W\)"),
        ({"images": IMAGES.transpose(0, 3, 1, 2), "labels": LABELS}, r"store images.transpose\(0, 2, 3, 1\)"),
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, "no images in an array of shape"),
        ({"images": IMAGES[:, :4, :4], "labels": LABELS}, "imgsz must be 8..1024 px, not 4; pass another imgsz"),
        ({"images": np.array([None] * 20), "labels": LABELS}, r"pickled \(object\) arrays are never loaded"),
        (
            {"x_train": IMAGES, "y_train": LABELS, "x_val": IMAGES[:, :10, :10], "y_val": LABELS},
            "must have one size, not",
        ),
        (
            {"x_train": IMAGES, "y_train": LABELS, "x_val": IMAGES, "y_val": LABELS + 1},
            "class 2 is in validation but not in training",
        ),
    ],
)
def test_every_error(tmp_path, arrays, message):
    with pytest.raises(DataError, match=message) as caught:
        load(store(tmp_path, **arrays))
    assert "x.npz" in str(caught.value)


def test_not_an_archive(tmp_path):
    path = tmp_path / "x.npz"
    path.write_bytes(b"not a zip")
    with pytest.raises(DataError, match=r"x\.npz: not a \.npz archive"):
        load(path)
    np.save(tmp_path / "y.npy", IMAGES)
    (tmp_path / "y.npy").rename(path)
    with pytest.raises(DataError, match=r"not a \.npz archive"):
        load(path)


def test_a_member_that_is_no_array(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("images.npy", b"junk")
        archive.writestr("labels.npy", b"junk")
    with pytest.raises(DataError, match=r"images must be \(N, H, W\)"):
        load(tmp_path / "x.npz")


@pytest.mark.parametrize("where", [60, 200, 5000])
def test_damaged_archive(tmp_path, where):
    path = store(tmp_path, images=IMAGES, labels=LABELS)
    damaged = bytearray(path.read_bytes())
    damaged[where : where + 40] = bytes(40)
    path.write_bytes(damaged)
    with pytest.raises(DataError, match=r"x\.npz: not a readable \.npz"):
        load(path)
