"""Bad input that once passed unnoticed or ended in a traceback, and parts that once were mixed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hwnas.data.detection import load_detection
from hwnas.data.segmentation import load_segmentation
from hwnas.errors import DataError

NUMBERS = (1, 2, 3)
BOX = "<bndbox><xmin>5</xmin><ymin>7</ymin><xmax>14</xmax><ymax>18</ymax></bndbox>"


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30), (9, 9, 9)).save(path)


def coco(folder: Path, name: str = "train.json", **change: Any) -> Path:
    """Three images with a box each; `change` goes into the first record of its list."""
    held: dict[str, list[dict[str, Any]]] = {
        "images": [{"id": i, "file_name": f"{i}.png", "width": 40, "height": 30} for i in NUMBERS],
        "annotations": [{"id": i, "image_id": i, "category_id": 7, "bbox": [4, 6, 10, 12]} for i in NUMBERS],
        "categories": [{"id": 7, "name": "cat"}],
    }
    for key, fields in change.items():
        held[key][0].update(fields)
    for i in NUMBERS:
        picture(folder / "images" / f"{i}.png")
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(held))
    return folder


def voc(folder: Path, content: bytes) -> Path:
    (folder / "Annotations").mkdir()
    for i in NUMBERS:
        picture(folder / "JPEGImages" / f"{i}.png")
        text = f"<annotation><object><name>cat</name>{BOX}</object></annotation>"
        (folder / "Annotations" / f"{i}.xml").write_bytes(text.encode() if i < 3 else content)
    return folder


def yolo(folder: Path, names: str = "[cat, dog]") -> Path:
    for i in NUMBERS:
        picture(folder / "images" / "train" / f"{i}.png")
        label = folder / "labels" / "train" / f"{i}.txt"
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text("0 .5 .5 .5 .5\n")
    (folder / "data.yaml").write_text(f"names: {names}\n")
    return folder


def masks(folder: Path, value: int = 1) -> Path:
    for i in NUMBERS:
        picture(folder / "images" / f"{i}.png")
        mask = np.full((30, 40), value, np.uint8)
        if value == 1:
            mask[:9] = 0
        (folder / "masks").mkdir(exist_ok=True)
        Image.fromarray(mask).save(folder / "masks" / f"{i}.png")
    return folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": {"file_name": "2.png"}}, r"'2\.png' is listed twice; remove one entry"),
        ({"images": {"file_name": "x" * 5000}}, "is no path of at most 4096 printable characters"),
        ({"images": {"file_name": "a\nb.png"}}, r"'a\\nb\.png' is no path"),
        ({"images": {"width": "wide"}}, r"images\.0\.width: Input should be a valid integer"),
        ({"images": {"width": -1}}, r"images\.0\.width: Input should be greater than or equal to 0, not -1"),
        ({"images": {"width": 1e308}}, r"images\.0\.width: "),
    ],
)
def test_coco(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=rf"train\.json.*{message}"):
        load_detection(coco(tmp_path, **change))


def test_coco_does_not_choose_between_two_files(tmp_path: Path) -> None:
    for year in (2014, 2017):
        coco(tmp_path, f"annotations/instances_train{year}.json")
    with pytest.raises(DataError, match=r"holds 2 files for one part \(instances_train2014\.json, instances_train2017"):
        load_detection(tmp_path)


@pytest.mark.parametrize(("encoding", "message"), [
    ("utf-16", "is UTF-16 text; store it as UTF-8"), ("utf-16-le", "holds zero bytes; store it as UTF-8"),
    ("cp037", "is not UTF-8 text"),
    ("utf-8", "declare no entities"), ("utf-8-sig", "declare no entities"), ("latin-1", "declare no entities"),
])
def test_voc_entities_do_not_hide_in_an_encoding(tmp_path: Path, encoding: str, message: str) -> None:
    steps = zip("abcdef", "bcdefg", strict=True)
    entities = '<!ENTITY a "x">' + "".join(f'<!ENTITY {new} "{f"&{old};" * 10}">' for old, new in steps)
    text = f"<!DOCTYPE a [{entities}]><annotation><filename>&g;</filename></annotation>"
    told = f'<?xml version="1.0" encoding="{encoding}"?>'
    head = told.encode("ascii" if encoding == "cp037" else encoding)
    with pytest.raises(DataError, match=rf"3\.xml.*{message}") as caught:
        load_detection(voc(tmp_path, head + text.encode(encoding)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html/>", "the root is 'html', not 'annotation'; this is not Pascal VOC"),
        (b"<annotation", "is not XML: "),
        (b"<annotation>\x00</annotation>", "holds zero bytes"),
        (b"<annotation>" + b"<a>" * 200_000, "is not XML: "),
        (b"<annotation><object><name>a\x1b[1m</name></object></annotation>", "is not XML: "),
        (f"<annotation><object><name>{'a' * 500}</name>{BOX}</object></annotation>".encode(), "at most 250 printable"),
        (b"<annotation><object><name>a\xc2\x9b</name></object></annotation>", "at most 250 printable"),
        (f"<annotation><filename>/etc/x.png</filename><object><name>a</name>{BOX}</object></annotation>".encode(),
         "'/etc/x.png' leads out of"),
        (f"<annotation><filename>../../x.png</filename><object><name>a</name>{BOX}</object></annotation>".encode(),
         "'../../x.png' leads out of"),
    ],
)
def test_voc(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_detection(voc(tmp_path, content))


@pytest.mark.parametrize("val", ["val", "valid", None])
def test_voc_folders_are_the_parts_and_test_validates_where_there_is_no_other(tmp_path: Path, val: str | None) -> None:
    for part, count in (("train", 6), (val, 2), ("test", 4)):
        for i in range(count if part else 0):
            file = tmp_path / str(part) / f"{part}{i}.png"
            picture(file)
            file.with_suffix(".xml").write_text(f"<annotation><object><name>cat</name>{BOX}</object></annotation>")
    data = load_detection(tmp_path)
    names = [{frame.name[:-5] for frame in part.frames} for part in (data.train, data.val)]
    assert names == [{"train"}, {val or "test"}]
    assert (len(data.train), len(data.val)) == (6, 2 if val else 4)
    assert data.split.startswith(f"as the folders train and {val or 'test'} say")
    assert [note for note in data.notes if "XML of the test part left out: 4" in note] or not val


@pytest.mark.parametrize(
    ("names", "message"),
    [("[cat, cat]", "two classes are called 'cat'; rename one"), ("{0: cat, 5: dog}", r"must have a list 'names'"),
     ("[]", "no class is named"), ("[[cat], dog]", "the name of a class is text, not a list of 1"),
     ("7", "must have a list 'names' of the classes"), ('["a\\e[1m", b]', "at most 250 printable"),
     ("[cat, dog]\nnc: 3", "nc says '3' classes and names has 2")],
)
def test_yolo_names(tmp_path: Path, names: str, message: str) -> None:
    with pytest.raises(DataError, match=rf"data\.yaml.*{message}"):
        load_detection(yolo(tmp_path, names))


def test_yolo_labels_without_an_image(tmp_path: Path) -> None:
    for name in ("9", "classes"):
        (yolo(tmp_path) / "labels" / "train" / f"{name}.txt").write_text("0 .5 .5 .5 .5\n")
    data = load_detection(tmp_path)
    label = tmp_path / "labels" / "train" / "9.txt"
    assert data.notes[0] == f"labels have no image, left out: 1 (first: {label})"


def classes(content: bytes) -> Callable[[Path], object]:
    return lambda folder: (masks(folder) / "classes.txt").write_bytes(content)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (classes(b"0 a\n1 a\n"), r"classes\.txt: two classes are called 'a'; rename one"),
        (classes(b"0 \xff\n1 b\n"), r"classes\.txt is not UTF-8 text"),
        (lambda folder: [(folder / "images" / f"{i}.png").unlink() for folder in [masks(folder)] for i in (1, 2)],
         r"images: 2 of 3 masks have no image: 1\.png, 2\.png; add the images or remove the masks"),
        (
            lambda folder: (masks(folder, 9) / "classes.txt").write_text("0 a\n1 b\n9 ignore\n"),
            "every pixel of the training masks is ignored; there is nothing to learn",
        ),
    ],
)
def test_segmentation(tmp_path: Path, make: Callable[[Path], object], message: str) -> None:
    make(tmp_path)
    with pytest.raises(DataError, match=message):
        load_segmentation(tmp_path)
