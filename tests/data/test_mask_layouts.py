"""Every layout and every numbering of masks that people have gives the same masks, classes and parts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hwnas.data.segmentation import SegmentationData, load_segmentation
from hwnas.errors import DataError

SIZE = (32, 64)
GROUND, FIELD = (60, 60, 60), (30, 160, 30)

Save = Callable[[Path, np.ndarray], None]
"""Stores a mask of 0 (ground) and 1 (field)."""


def numbers(path: Path, mask: np.ndarray) -> None:
    Image.fromarray(mask.astype(np.uint8)).save(path)


def black_and_white(path: Path, mask: np.ndarray) -> None:
    Image.fromarray((mask * 255).astype(np.uint8)).save(path)


def one_bit(path: Path, mask: np.ndarray) -> None:
    Image.fromarray(mask.astype(bool)).save(path)


def colours(path: Path, mask: np.ndarray) -> None:
    Image.fromarray(np.array([GROUND, FIELD], np.uint8)[mask]).save(path)


def with_alpha(path: Path, mask: np.ndarray) -> None:
    Image.fromarray(np.array([(*GROUND, 255), (*FIELD, 255)], np.uint8)[mask]).save(path)


def palette(path: Path, mask: np.ndarray) -> None:
    image = Image.fromarray((mask * 5).astype(np.uint8), "L").convert("P")
    image.putdata((mask * 5).reshape(-1).tolist())
    flat = [0] * 768
    flat[0:3], flat[15:18] = GROUND, FIELD
    image.putpalette(flat)
    image.save(path)


def both(image: Path, mask: Path, seed: int, save: Save = numbers) -> None:
    """An image that shows its mask."""
    rng = np.random.default_rng(seed)
    field = np.zeros(SIZE, np.int64)
    left = int(rng.integers(4, 40))
    field[8:24, left : left + 20] = 1
    for path in (image, mask):
        path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array([GROUND, FIELD], np.uint8)[field]).save(image, quality=100)
    save(mask, field)


def filled(folder: Path, image: str, mask: str, parts: dict[str, int], save: Save = numbers) -> Path:
    for part, count in parts.items():
        for i in range(count):
            both(folder / image.format(part=part, i=i), folder / mask.format(part=part, i=i), i, save)
    return folder


LAYOUTS = [
    ("{part}/{i}.png", "{part}annot/{i}.png", ("train", "val")),
    ("{part}/{i}.png", "{part}_labels/{i}_L.png", ("train", "val")),
    ("{part}/{i}.jpg", "{part}_masks/{i}.PNG", ("Training", "Validation")),
    ("images/{part}/{i}.jpg", "annotations/{part}/{i}.png", ("training", "validation")),
    ("images/{part}/{i}.JPG", "masks/{part}/{i}_mask.png", ("train2017", "val2017")),
    ("{part}/images/{i}.png", "{part}/masks/{i}.bmp", ("train", "valid")),
    ("Images/{part}/a/{i}.png", "Labels/{part}/a/{i}.tif", ("TRAIN", "VAL")),
    ("images/{part}/{i}.png", "masks/{part}/{i}.png", ("train", "test")),
]


def check(data: SegmentationData, classes: tuple[str, ...] = ("class 0", "class 1")) -> None:
    """Masks are where images show them."""
    assert data.classes == classes
    for part in (data.train, data.val):
        seen = part.images.astype(int)[..., 1] > 110
        assert (part.masks == seen).all()


@pytest.mark.parametrize(("image", "mask", "parts"), LAYOUTS)
def test_parts_that_folders_give(image: str, mask: str, parts: tuple[str, str], tmp_path: Path) -> None:
    data = load_segmentation(filled(tmp_path, image, mask, dict(zip(parts, (5, 3), strict=True))), size=SIZE)
    assert (len(data.train), len(data.val)) == (5, 3)
    check(data)
    assert data.split.startswith(f"as the folders {parts[0]} and {parts[1]} say")


@pytest.mark.parametrize(("image", "mask"), [
    ("images/{i}.png", "masks/{i}.png"), ("imgs/{i}.png", "labels/{i}_seg.gif"), ("JPEGImages/{i}.jpg",
                                                                                 "SegmentationClass/{i}.png"),
    ("701_StillsRaw_full/{i}.png", "LabeledApproved_full/{i}_L.png"), ("train/{i}.png", "trainannot/{i}.png"),
])
def test_sets_that_are_to_be_split(image: str, mask: str, tmp_path: Path) -> None:
    data = load_segmentation(filled(tmp_path, image, mask, {"": 8}), size=SIZE, val_fraction=0.25)
    assert (len(data.train), len(data.val)) == (6, 2)
    check(data)


def test_voc_takes_its_lists_and_leaves_the_rest_out(tmp_path: Path) -> None:
    folder = filled(tmp_path, "JPEGImages/im {i}.jpg", "SegmentationClass/im {i}.png", {"": 9}, palette)
    for i in range(20, 40):
        Image.new("RGB", (64, 32)).save(folder / "JPEGImages" / f"im {i}.jpg")
    lists = folder / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    for part, names in (("train", range(4)), ("val", range(4, 6)), ("test", range(6, 8)), ("trainval", range(6))):
        (lists / f"{part}.txt").write_text("\ufeff" + "".join(f"im {i}\n" for i in names), encoding="utf-8")
    data = load_segmentation(folder, size=SIZE)
    assert (len(data.train), len(data.val)) == (4, 2)
    check(data, ("class 0", "class 5"))
    assert set(data.notes) == {
        "images without a mask left out: 20 (first: im 20.jpg)",
        f"images of the test part left out: 2 (first: {folder / 'JPEGImages' / 'im 6.jpg'})",
        f"images in no list left out: 1 (first: {folder / 'JPEGImages' / 'im 8.jpg'})"}


def test_the_test_part_and_folders_of_no_part_are_counted(tmp_path: Path) -> None:
    folder = filled(tmp_path, "images/{part}/{i}.png", "masks/{part}/{i}.png",
                    {"train": 4, "val": 2, "test": 3, "more": 2})
    data = load_segmentation(folder, size=SIZE)
    assert (len(data.train), len(data.val)) == (4, 2)
    assert [note.partition(" (")[0] for note in data.notes] == [
        "images of no part left out: 2", "images of the test part left out: 3"]


NAMES = ("ground", "field")
PALETTES: list[tuple[str, str, Save]] = [
    ("classes.txt", "0 ground\n1 field\n", numbers),
    ("classes.txt", "0 ground\n1 field\n", one_bit),
    ("classes.txt", "0 ground\n255 field\n", black_and_white),
    ("classes.txt", "255 field\n0 ground\n254 ignore\n", black_and_white),
    ("classes.txt", "0 ground 60 60 60\n7 field 30 160 30\n", colours),
    ("classes.txt", "0 ground 60 60 60\n5 field 30 160 30\n", palette),
    ("classes.txt", "ground 60 60 60\nfield 30 160 30\n", colours),
    ("classes.txt", "ground 60 60 60\nfield 30 160 30\nvoid 0 0 0\n", with_alpha),
    ("classes.txt", "60 60 60 ground\n30 160 30 field\n", colours),
    ("classes.txt", "ground 60 60 60\nfield 30 160 30\n", palette),
    ("classes.txt", "ground 0 0 0\nfield 255 255 255\n", black_and_white),
    ("classes.txt", "ground 0 0 0\nfield 255 255 255\n", one_bit),
    ("label_colors.txt", "60 60 60\tground\n30 160 30\t\tfield\n", colours),
    ("labelmap.txt", "# label:color_rgb:parts:actions\nground:60,60,60::\nfield:30,160,30::\n", colours),
    ("class_dict.csv", "name,r,g,b\nground,60,60,60\nfield,30,160,30\n", colours),
]


@pytest.mark.parametrize(("name", "text", "save"), PALETTES)
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_what_masks_hold_is_what_the_file_says(name: str, text: str, save: Save, mark: str, tmp_path: Path) -> None:
    folder = filled(tmp_path, "{part}/{i}.png", "{part}annot/{i}.png", {"train": 4, "val": 2}, save)
    (folder / name).write_text(mark + text, encoding="utf-8")
    data = load_segmentation(folder, size=SIZE)
    assert sorted(data.classes) == sorted(NAMES)
    field = data.classes.index("field")
    for part in (data.train, data.val):
        assert ((part.images.astype(int)[..., 1] > 110) == (part.masks == field)).all()


@pytest.mark.parametrize(("save", "text", "message"), [
    (black_and_white, "", "masks hold 0 and 255, and 255 does not matter unless classes.txt names it: write one, like "
                          "'0 background' and '255 lesion'"),
    (colours, "", "is in mode RGB; .* the colours that classes.txt gives"),
    (colours, "0 ground\n1 field\n", "is in mode RGB; a mask holds one class number a pixel"),
    (colours, "ground 60 60 60\nsky 1 2 3\n", r"holds the colours \(30, 160, 30\), which are no class"),
    (colours, "ground 60 60 60\nsky 60 60 60\n", r"the colour \(60, 60, 60\) is there twice"),
    (colours, "ground 60 60\n", "line 1 must be 'id name'"), (colours, "ground 60 60 600\n", "line 1 must be"),
    (numbers, "0 ground\nfield 1 2 3\n", "line 2 must be"), (numbers, "\n# nothing\n", "names no class"),
    (numbers, "0 \u2028\n1 b\n", "line 1 must be"), (numbers, "0 a\x1b[1m\n1 b\n", "at most 250 printable"),
    (numbers, "".join(f"{i} c{i}\n" for i in range(256)), "256 classes; at most 254 are told apart"),
    (numbers, "0 ground\n1 ignore\n", "1 class; telling pixels apart needs two"),
    (numbers, "0 ignore\n1 field\n2 x\n", "every pixel of the training masks is 'field' or ignored"),
    (numbers, "0 ignore\n1 void\n", "no class is named"),
    (numbers, "1" * 5000 + " a\n1 b\n", "line 1 must be"),
])
def test_palettes_that_do_not_fit(save: Save, text: str, message: str, tmp_path: Path) -> None:
    folder = filled(tmp_path, "{part}/{i}.png", "{part}annot/{i}.png", {"train": 4, "val": 2}, save)
    if text:
        (folder / "classes.txt").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message) as caught:
        load_segmentation(folder)
    assert str(caught.value).isprintable()


def test_every_mask_ignored_in_either_part_is_refused_and_absent_classes_are_said(tmp_path: Path) -> None:
    folder = filled(tmp_path, "{part}/{i}.png", "{part}annot/{i}.png", {"train": 4, "val": 2})
    (folder / "classes.txt").write_text("0 ground\n1 field\n2 lake\n")
    data = load_segmentation(folder)
    assert data.notes == ("classes without a training pixel: lake", "classes without a validation pixel: lake")
    assert "lake" in data.summary()
    for mask in (folder / "valannot").iterdir():
        numbers(mask, np.full(SIZE, 255))
    with pytest.raises(DataError, match="every pixel of the validation masks is ignored; there is nothing to judge by"):
        load_segmentation(folder)


def town(folder: Path, part: str, i: int, kinds: tuple[str, ...]) -> None:
    stem = f"town_{i:06d}_000019"
    for kind in kinds:
        ids = np.array([0, 13] if kind == "labelTrainIds" else [7, 26])
        both(folder / "leftImg8bit" / part / "town" / f"{stem}_leftImg8bit.png",
             folder / "gtFine" / part / "town" / f"{stem}_gtFine_{kind}.png", i,
             lambda path, mask, ids=ids: numbers(path, ids[mask]))


@pytest.mark.parametrize(("first", "rest", "outcome"), [
    (("labelIds",), ("labelIds",), ""),
    (("labelTrainIds",), ("labelTrainIds",), ""),
    (("labelIds", "labelTrainIds"), ("labelIds", "labelTrainIds"), ""),
    (("labelIds", "labelTrainIds"), ("labelIds",),
     "all images have labelIds, which were read; 1 of 5 have labelTrainIds"),
    (("labelTrainIds",), ("labelIds",), "refused"),
])
def test_cityscapes_is_read_in_one_numbering(first: tuple[str, ...], rest: tuple[str, ...], outcome: str,
                                             tmp_path: Path) -> None:
    for i in range(5):
        town(tmp_path, "train" if i < 3 else "val", i, first if i == 0 else rest)
    town(tmp_path, "test", 9, ("labelIds",))
    if outcome == "refused":
        with pytest.raises(DataError, match="1 of 5 images have labelTrainIds and 4 of 5 images have labelIds, and "
                                            "none is there for all"):
            load_segmentation(tmp_path)
        return
    data = load_segmentation(tmp_path, size=SIZE)
    assert (len(data.train), len(data.val), len(data.classes)) == (3, 2, 19)
    assert set(np.unique(data.train.masks)) == {0, 13}
    assert any(outcome in note for note in data.notes)
    assert any("images of the test part left out: 1" in note for note in data.notes)


@pytest.mark.parametrize("upright", [True, False])
@pytest.mark.parametrize("orientation", [3, 6])
def test_masks_of_turned_images_are_decided_for_the_set(orientation: int, upright: bool, tmp_path: Path) -> None:
    back: dict[int, Any] = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90}
    for i in range(6):
        turn = orientation if i < 4 else 6
        image, mask = tmp_path / "images" / f"{i}.png", tmp_path / "masks" / f"{i}.png"
        both(image, mask, i)
        seen = Image.open(image)
        exif = Image.Exif()
        exif[0x0112] = turn
        seen.transpose(back[turn]).save(image, exif=exif)
        if not upright:
            Image.open(mask).transpose(back[turn]).save(mask)
    data = load_segmentation(tmp_path, size=(64, 64))
    for part in (data.train, data.val):
        inside = part.masks != 255
        assert ((part.images.astype(int)[..., 1] > 110) == part.masks)[inside].mean() > 0.97


def test_names_that_clash_are_refused(tmp_path: Path) -> None:
    folder = filled(tmp_path, "images/{i}.png", "masks/{i}.png", {"": 3})
    Image.new("L", (64, 32)).save(folder / "masks" / "1.bmp")
    with pytest.raises(DataError, match=r"1\.bmp and 1\.png are both the mask of one image"):
        load_segmentation(folder)
    (folder / "masks" / "1.bmp").unlink()
    Image.new("RGB", (64, 32)).save(folder / "images" / "1.jpg")
    with pytest.raises(DataError, match=r"1\.png is the mask of two images"):
        load_segmentation(folder)
