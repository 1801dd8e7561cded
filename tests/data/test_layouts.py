"""Every layout of boxes that people have gives the same boxes, classes and parts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hwnas.data.detection import DetectionData, load_detection
from hwnas.errors import DataError
from tests.data import layouts
from tests.data.layouts import BOX, COLOURS, GIVEN, HEIGHT, NAMES, UNSPLIT, WIDTH, Make, picture, write
from tests.data.turned import turned_set


def check(data: DetectionData) -> None:
    """The box of every image is where it was drawn, and its class is the one whose colour it has."""
    assert data.classes == NAMES
    for part in (data.train, data.val):
        for image, boxes, labels in zip(part.images, part.boxes, part.labels, strict=True):
            np.testing.assert_allclose(boxes, [BOX], atol=1e-3)
            inside = image[12:16, 8:20].reshape(-1, 3).astype(int)
            assert np.abs(inside - COLOURS[labels[0]]).max() < 20


@pytest.mark.parametrize("make", GIVEN)
def test_parts_that_the_source_gives(make: Make, tmp_path: Path) -> None:
    data = load_detection(make(tmp_path / "data"), size=(HEIGHT, WIDTH))
    assert (len(data.train), len(data.val)) == (6, 4)
    check(data)
    assert data.split.startswith("as ")


@pytest.mark.parametrize("make", UNSPLIT)
def test_sets_that_are_to_be_split(make: Make, tmp_path: Path) -> None:
    data = load_detection(make(tmp_path / "data"), size=(HEIGHT, WIDTH), val_fraction=0.4)
    assert (len(data.train), len(data.val)) == (6, 4)
    check(data)
    assert "random split" in data.split


@pytest.mark.parametrize("make", [layouts.coco_roboflow, layouts.yolo_ultralytics, layouts.yolo_roboflow,
                                  layouts.voc_official, layouts.voc_roboflow])
def test_the_test_part_is_left_out_and_counted(make: Make, tmp_path: Path) -> None:
    data = load_detection(make(tmp_path / "data"))
    assert [note for note in data.notes if "of the test part left out: 2 (first: " in note]


def test_test_validates_where_no_part_is_called_val(tmp_path: Path) -> None:
    folder = layouts.yolo_roboflow(tmp_path / "data")
    (folder / "data.yaml").write_text("names: [blue, red]\n")
    (folder / "valid").rename(folder / "other")
    data = load_detection(folder)
    assert (len(data.train), len(data.val)) == (6, 2)
    assert "where test validates as no part is called val" in data.split


def test_an_empty_validation_part_is_refused(tmp_path: Path) -> None:
    folder = layouts.yolo_folders(tmp_path / "yolo")
    for image in (folder / "images" / "Validation").iterdir():
        image.unlink()
    with pytest.raises(DataError, match="Validation holds no image; add some, or remove it"):
        load_detection(folder)
    folder = layouts.voc_official(tmp_path / "voc")
    write(folder / "ImageSets" / "Main" / "val.txt", "")
    with pytest.raises(DataError, match=r"val\.txt names no image that is there; correct it, or remove it"):
        load_detection(folder)


def test_a_category_that_only_groups_the_others_is_left_out(tmp_path: Path) -> None:
    data = load_detection(layouts.coco_roboflow(tmp_path / "data"))
    assert "category 0 (boxes) only groups the others and was left out" in data.notes
    assert data.category_ids == (1, 2)


@pytest.mark.parametrize("suffix", [".yaml", ".yml"])
def test_the_yaml_itself_may_be_given(suffix: str, tmp_path: Path) -> None:
    folder = layouts.yolo_roboflow(tmp_path / "data")
    (folder / "data.yaml").rename(folder / f"boxes{suffix}")
    check(load_detection(folder / f"boxes{suffix}", size=(HEIGHT, WIDTH)))
    check(load_detection(folder, size=(HEIGHT, WIDTH)))


def test_the_json_of_annotations_may_be_given(tmp_path: Path) -> None:
    folder = layouts.coco_official(tmp_path / "data")
    data = load_detection(folder / "annotations" / "instances_train2017.json", size=(HEIGHT, WIDTH))
    assert len(data.train) + len(data.val) == 6
    check(data)


@pytest.mark.parametrize(("names", "classes"), [
    ("[yes, no]", ("yes", "no")), ("[1, 2020-99-99]", ("1", "2020-99-99")), ("[0x1f, 1e3]", ("0x1f", "1e3")),
    ("{0: on, 1: null}", ("on", "null")), ('{"0": red, "1": "2"}', ("red", "2")), ("\n- 1.0\n- ~", ("1.0", "~")),
])
def test_names_are_the_texts_that_stand_there(names: str, classes: tuple[str, ...], tmp_path: Path) -> None:
    folder = layouts.yolo_unsplit(tmp_path / "data")
    (folder / "dataset.yaml").write_text(f"names: {names}\n")
    assert load_detection(folder).classes == classes


@pytest.mark.parametrize("path", ["{root}", ".", "../data", "/no/such/folder", "../datasets/data", "data"])
def test_path_of_a_yaml_means_its_folder(path: str, tmp_path: Path) -> None:
    folder = layouts.yolo_roboflow(tmp_path / "data")
    root = path.format(root=folder.resolve())
    (folder / "data.yaml").write_text(f"path: {root}\ntrain: train/images\nval: valid/images\nnames: [blue, red]\n")
    data = load_detection(folder, size=(HEIGHT, WIDTH))
    check(data)
    assert any("is not there; its own folder was taken" in note for note in data.notes) == (
        path not in ("{root}", ".", "../data"))


@pytest.mark.parametrize("text", [
    "path: {other}\ntrain: .", "train: {other}", "train: ../other", "path: ../other\ntrain: .",
    "train: [train/images, ../../etc]", "train: train/images\nval: ../../../etc", "train: C:\\windows"])
def test_a_yaml_that_leads_out_is_refused(text: str, tmp_path: Path) -> None:
    folder = layouts.yolo_roboflow(tmp_path / "data")
    pictures = tmp_path / "other"
    layouts.pictures(pictures, 3)
    (folder / "data.yaml").write_text(text.format(other=pictures) + "\nnames: [blue, red]\n")
    with pytest.raises(DataError, match=r"leads out of .*copy it there and name it from there") as caught:
        load_detection(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["/etc/x.png", "../../x.png", "..\\..\\x.png", "C:\\x.png", "a/../../../x.png"])
def test_a_file_name_that_leads_out_is_refused(name: str, tmp_path: Path) -> None:
    picture(tmp_path / "x.png", 0)
    folder = layouts.coco_plain(tmp_path / "a" / "data")
    content = json.loads((folder / "train.json").read_text())
    content["images"][0]["file_name"] = name
    (folder / "train.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="leads out of"):
        load_detection(folder)


def test_paths_that_stay_inside_are_followed(tmp_path: Path) -> None:
    folder = layouts.coco_official(tmp_path / "data")
    file = folder / "annotations" / "instances_train2017.json"
    content = json.loads(file.read_text())
    for number, name in enumerate(("../train2017/0.png", str(folder / "train2017" / "1.png"), "./2.png",
                                   "train2017\\3.png", "train2017/../train2017/4.png", "5.PNG")):
        content["images"][number]["file_name"] = name
    file.write_text(json.dumps(content))
    check(load_detection(folder, size=(HEIGHT, WIDTH)))


def test_a_list_that_leads_out_is_refused_and_images_that_are_not_there_are_counted(tmp_path: Path) -> None:
    folder = layouts.yolo_lists(tmp_path / "data")
    write(folder / "val.txt", "images/7.png\nimages/77.png\n")
    assert "images of a list that are not there left out: 1 (first: images/77.png)" in load_detection(folder).notes
    write(folder / "val.txt", "images/7.png\n../../x.png\n")
    with pytest.raises(DataError, match=r"val\.txt: line 2: '\.\./\.\./x\.png' leads out of"):
        load_detection(folder)


def test_xml_in_no_list_is_left_out_and_counted(tmp_path: Path) -> None:
    folder = layouts.voc_official(tmp_path / "data")
    for name in ("test", "trainval"):
        (folder / "ImageSets" / "Main" / f"{name}.txt").unlink()
    write(folder / "ImageSets" / "Main" / "val.txt", "img (6)\nimg (7)\nimg (0)\nimg (99)\n")
    data = load_detection(folder)
    assert (len(data.train), len(data.val)) == (5, 3)
    assert set(data.notes) == {
        f"XML in no list left out: 4 (first: {folder / 'Annotations' / 'img (10).xml'})",
        "names in lists have no XML, left out: 1 (first: img (99))",
        "images that are in training and in validation only validate: 1 (first: img (0))"}


def test_classes_txt_gives_the_order_of_voc(tmp_path: Path) -> None:
    folder = layouts.voc_beside(tmp_path / "data")
    write(folder / "classes.txt", "\ufeffred\nblue\ngreen\n")
    data = load_detection(folder)
    assert data.classes == ("red", "blue", "green")
    write(folder / "classes.txt", "red\n")
    with pytest.raises(DataError, match=r"classes\.txt does not name 'blue', which the XML has: add it"):
        load_detection(folder)


def test_train_and_val_that_are_the_same_images_are_split(tmp_path: Path) -> None:
    folder = layouts.yolo_unsplit(tmp_path / "data")
    write(folder / "dataset.yaml", "train: images\nval: images\nnames: [blue, red]\n")
    data = load_detection(folder, val_fraction=0.4)
    assert (len(data.train), len(data.val)) == (6, 4)
    assert any("holds the very images of train:" in note for note in data.notes)


def test_images_in_both_parts_only_validate(tmp_path: Path) -> None:
    folder = layouts.yolo_lists(tmp_path / "data")
    write(folder / "val.txt", "".join(f"images/{i}.png\n" for i in range(4, 10)))
    data = load_detection(folder)
    assert (len(data.train), len(data.val)) == (4, 6)
    assert "images that are in training and in validation only validate: 2 (first: 4.png)" in data.notes


def test_what_systems_leave_behind_is_no_image(tmp_path: Path) -> None:
    folder = layouts.yolo_ultralytics(tmp_path / "data")
    for junk in ("._0.png", ".DS_Store", "Thumbs.db"):
        (folder / "images" / "train2017" / junk).write_bytes(b"junk")
        (folder / "labels" / "train2017" / junk).write_bytes(b"junk")
    (folder / "__MACOSX" / "images").mkdir(parents=True)
    (folder / "._data.yaml").write_bytes(b"\x00\x05")
    check(load_detection(folder, size=(HEIGHT, WIDTH)))


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("upright", [True, False])
@pytest.mark.parametrize("square", [True, False])
def test_exif_is_decided_for_the_whole_set(orientation: int, upright: bool, square: bool, tmp_path: Path) -> None:
    """Boxes that were drawn upright, and boxes that were drawn on stored pixels: both land on their pixels, also those
    of images whose size does not tell, as long as one of the set tells."""
    folder, told = turned_set(tmp_path / "data", orientation, upright, square)
    data = load_detection(folder, size=(64, 64))
    for part in (data.train, data.val):
        for image, boxes in zip(part.images, part.boxes, strict=True):
            x0, y0, x1, y1 = boxes[0].round().astype(int)
            assert image[y0 + 1 : y1 - 1, x0 + 1 : x1 - 1].min() > 200
    assert told(data.notes)


def test_the_table_of_the_documentation_names_tests_that_are_there() -> None:
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text("utf-8").partition("## Layouts")[2]
    rows = [line.split("|")[3] for line in page.partition("## A file")[0].splitlines() if line.startswith("| ")][2:]
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    tests = "".join(file.read_text("utf-8") for file in Path(__file__).parent.glob("test_*.py"))
    made = {make.__name__ for make in (*GIVEN, *UNSPLIT)}
    for name in named:
        file, _, test = name.partition("::")
        assert name in made or (Path(__file__).parent / Path(file).name).is_file(), name
        assert not test or f"def {test}(" in tests
    assert made <= named


def test_images_are_read(tmp_path: Path) -> None:
    """The set that the others are variations of holds what `check` believes it holds."""
    with Image.open(layouts.coco_plain(tmp_path) / "images" / "train" / "1.png") as image:
        assert image.getpixel((BOX[0], BOX[1])) == COLOURS[1]
