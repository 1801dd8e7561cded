"""Boxes on images: the same boxes from every layout, and one clear line for everything that is wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hwnas.data.detection import DetectionData, DetectionPolicy, epoch_detection, load_detection
from hwnas.data.detection.augment import PLAIN, augmented
from hwnas.errors import DataError, UsageError

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
HEIGHT, WIDTH = 60, 90
BOXES = [[[10, 20, 40, 50]], [[0, 0, 90, 60], [30, 5, 50, 25]], []]  # x0, y0, x1, y1 of three images
KINDS = [[0], [1, 0], []]
NAMES = ("cat", "dog")


def picture(path: Path, seed: int = 0, size: tuple[int, int] = (HEIGHT, WIDTH)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def coco(folder: Path, **changes: Any) -> Path:
    for part in ("train", "val"):
        images, annotations = [], []
        for i, (boxes, kinds) in enumerate(zip(BOXES, KINDS, strict=True)):
            picture(folder / "images" / f"{part}{i}.png", i)
            images.append({"id": i, "file_name": f"{part}{i}.png", "height": HEIGHT, "width": WIDTH})
            for (x0, y0, x1, y1), kind in zip(boxes, kinds, strict=True):
                annotations.append({"id": len(annotations), "image_id": i, "category_id": 10 * (kind + 1),
                                    "bbox": [x0, y0, x1 - x0, y1 - y0], "iscrowd": 0})
        told = {"images": images, "annotations": annotations,
                "categories": [{"id": 20, "name": "dog"}, {"id": 10, "name": "cat"}]}
        (folder / f"{part}.json").write_text(json.dumps(told | changes))
    return folder


def voc(folder: Path) -> Path:
    for part, offset in (("train", 0), ("val", 3)):
        listed = []
        for i, (boxes, kinds) in enumerate(zip(BOXES, KINDS, strict=True)):
            stem = f"{offset + i:06d}"
            picture(folder / "JPEGImages" / f"{stem}.png", i)
            objects = "".join(
                f"<object><name>{NAMES[k]}</name><difficult>0</difficult><bndbox><xmin>{x0 + 1}</xmin>"
                f"<ymin>{y0 + 1}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
                for (x0, y0, x1, y1), k in zip(boxes, kinds, strict=True))
            text = (f"<annotation><filename>{stem}.png</filename><size><width>{WIDTH}</width><height>{HEIGHT}</height>"
                    f"</size>{objects}</annotation>")
            (folder / "Annotations").mkdir(exist_ok=True)
            (folder / "Annotations" / f"{stem}.xml").write_text(text)
            listed.append(stem)
        lists = folder / "ImageSets" / "Main"
        lists.mkdir(parents=True, exist_ok=True)
        (lists / f"{part}.txt").write_text("\n".join(listed))
    return folder


def yolo(folder: Path) -> Path:
    for part in ("train", "val"):
        for i, (boxes, kinds) in enumerate(zip(BOXES, KINDS, strict=True)):
            picture(folder / "images" / part / f"{i}.png", i)
            lines = [f"{k} {(x0 + x1) / 2 / WIDTH} {(y0 + y1) / 2 / HEIGHT} {(x1 - x0) / WIDTH} {(y1 - y0) / HEIGHT}"
                     for (x0, y0, x1, y1), k in zip(boxes, kinds, strict=True)]
            (folder / "labels" / part).mkdir(parents=True, exist_ok=True)
            (folder / "labels" / part / f"{i}.txt").write_text("\n".join(lines))
    (folder / "data.yaml").write_text("names: {0: cat, 1: dog}\n")
    return folder


@pytest.mark.parametrize("make", [coco, voc, yolo])
def test_every_layout_gives_the_same_boxes(make: Any, tmp_path: Path) -> None:
    found = load_detection(make(tmp_path / "data"), size=(HEIGHT, WIDTH))
    assert found.classes == NAMES
    for part in (found.train, found.val):
        assert len(part) == 3
        for boxes, labels, wanted, kinds in zip(part.boxes, part.labels, BOXES, KINDS, strict=True):
            np.testing.assert_allclose(boxes, np.array(wanted, np.float32).reshape(-1, 4), atol=1e-3)
            assert labels.tolist() == kinds
        assert not np.concatenate(part.crowd).any()
    assert found.clipped == 0
    assert "3 training images with 3 boxes" in found.summary()
    assert found.describe()["classes"]["cat"] == {"train": 2, "val": 2}


def test_difficult_boxes_of_voc_are_crowds(tmp_path: Path) -> None:
    folder = voc(tmp_path / "data")
    file = folder / "Annotations" / "000000.xml"
    file.write_text(file.read_text().replace("<difficult>0", "<difficult>1"))
    found = load_detection(folder, size=(HEIGHT, WIDTH))
    assert found.train.crowd[0].tolist() == [True]
    assert found.describe()["classes"]["cat"]["train"] == 1


def test_one_file_is_split_by_the_seed(tmp_path: Path) -> None:
    folder = coco(tmp_path / "data")
    (folder / "val.json").unlink()
    first, again, other = (load_detection(folder / "train.json", size=(32, 32), val_fraction=0.34, seed=s)
                           for s in (0, 0, 1))
    assert (len(first.train), len(first.val)) == (2, 1)
    assert first.fingerprint == again.fingerprint
    assert "random split" in first.split
    assert {first.val.frames[0].name, other.val.frames[0].name} <= {f"train{i}.png" for i in range(3)}


def broken(folder: Path, edit: Any) -> Path:
    content = json.loads((folder / "train.json").read_text())
    edit(content)
    (folder / "train.json").write_text(json.dumps(content))
    return folder


def box(values: list[float]) -> Any:
    return lambda content: content["annotations"][0].update(bbox=values)


@pytest.mark.parametrize(("edit", "note"), [
    (box([100, 20, 10, 10]), "boxes outside their image left out: 1 (first: train.json: annotation 0: (100, 20, 110"),
    (box([10, 20, 0, 10]), "boxes without area left out: 1 (first: train.json: annotation 0: (10, 20, 10, 30))"),
    (box([10, 20, 5, 0]), "boxes without area left out: 1 (first: train.json: annotation 0: (10, 20, 15, 20))"),
    (box([10, 20, -5, 10]), "boxes without area left out: 1 (first: train.json: annotation 0: (10, 20, 5, 30))"),
    (box([float("nan"), 20, 5, 10]), "boxes that are not made of numbers left out: 1 (first: train.json: annotation 0"),
    (lambda c: c["annotations"][0].update(image_id=99),
     "annotations are of images that are not listed, left out: 1 (first: annotation 0 of image 99)"),
    (lambda c: c["images"].append(dict(c["images"][0])), "images listed twice taken once: 1 (first: train0.png)"),
    (lambda c: c["images"][0].update(file_name="gone.png"), "images are not there, left out: 1 (first: gone.png)"),
    (lambda c: c["annotations"].append(dict(c["annotations"][0])),
     "boxes that are there twice taken once: 1 (first: train.json: annotation 3)"),
    (lambda c: c["annotations"][0].update(iscrowd=1),
     "boxes of crowds (iscrowd) that need not be found: 1 (first: train.json: annotation 0)"),
    (lambda c: c["annotations"][0].pop("bbox"),
     "annotations with neither a bbox nor an outline left out: 1 (first: train.json: annotation 0)"),
])
def test_a_few_faults_cost_no_data_set_and_are_counted(edit: Any, note: str, tmp_path: Path) -> None:
    data = load_detection(broken(coco(tmp_path / "data"), edit), size=(32, 32))
    assert [told for told in data.notes if told.startswith(note)]
    assert note in data.summary()
    assert any(told.startswith(note) for told in data.describe()["notes"])


def test_a_form_that_is_wrong_as_a_whole_is_refused_before_anything_is_decoded(tmp_path: Path) -> None:
    def corners(content: Any) -> None:
        for entry in content["annotations"]:
            entry["bbox"] = [200, 100, 10, 10]

    coco(tmp_path / "data")
    for part in ("train", "val"):
        file = tmp_path / "data" / f"{part}.json"
        content = json.loads(file.read_text())
        corners(content)
        file.write_text(json.dumps(content))
    calls: list[str] = []
    with pytest.raises(DataError, match=r"6 of 6 boxes are outside their image: train\.json: annotation 0: box \(200"):
        load_detection(tmp_path / "data", progress=lambda what, *_: calls.append(what))
    assert "decode images" not in calls


@pytest.mark.parametrize("part", ["train", "val"])
def test_nothing_to_learn_from_or_to_judge_by_is_refused(part: str, tmp_path: Path) -> None:
    folder = coco(tmp_path / "data")
    content = json.loads((folder / f"{part}.json").read_text())
    for entry in content["annotations"]:
        entry["iscrowd"] = 1
    (folder / f"{part}.json").write_text(json.dumps(content))
    what = {"train": "no training image has a box .*nothing to learn", "val": "no validation image .*nothing to judge"}
    with pytest.raises(DataError, match=what[part]):
        load_detection(folder)
    content["annotations"] = []
    (folder / f"{part}.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="nothing to"):
        load_detection(folder)


def test_classes_without_a_box_are_said_by_name(tmp_path: Path) -> None:
    data = load_detection(broken(coco(tmp_path / "data"), lambda c: c["categories"].append({"id": 5, "name": "cow"})))
    assert data.notes == ("classes without a training box: cow", "classes without a validation box: cow")


@pytest.mark.parametrize(("edit", "message"), [
    (box([1, 2, 3]), r"must have image_id, category_id and bbox"),
    (lambda c: c["annotations"][0].update(category_id=99), "of category 99, which is not listed; known: 10, 20"),
    (lambda c: c["images"].append(dict(c["images"][0], file_name="x.png")), "image id 0 is there twice"),
    (lambda c: c["images"][0].update(height=61), r"is 90x60 px, its annotation says 90x61"),
    (lambda c: c["images"][0].pop("id"), r"images\.0\.id: Field required.*images \(id, file_name\)"),
    (lambda c: c.pop("categories"), "categories: Field required; COCO's JSON is an object with the lists"),
    (lambda c: c["categories"].append({"id": 30, "name": "dog"}), "two classes are called 'dog'"),
    (lambda c: c["categories"].append({"name": "cow"}), r"categories\.2\.id: Field required"),
])
def test_bad_coco_is_one_line_with_the_entry(edit: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message) as caught:
        load_detection(broken(coco(tmp_path / "data"), edit), size=(32, 32))
    assert "train" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_box_over_the_border_is_cut_and_counted(tmp_path: Path) -> None:
    found = load_detection(broken(coco(tmp_path / "data"), box([80, 50, 30, 30])), size=(HEIGHT, WIDTH))
    np.testing.assert_allclose(found.train.boxes[0], [[80, 50, 90, 60]], atol=1e-3)
    assert found.clipped == 1
    assert "1 boxes were cut" in found.summary()


def test_json_that_is_none_says_where(tmp_path: Path) -> None:
    folder = coco(tmp_path / "data")
    (folder / "train.json").write_text('{"images": [\n}')
    with pytest.raises(DataError, match=r"train\.json is not JSON: .* line 2"):
        load_detection(folder)


@pytest.mark.parametrize(("text", "message"), [
    ("<annotation>", "is not XML"), ('<!DOCTYPE x [<!ENTITY a "b">]><annotation/>', "declare no entities"),
    ("<annotation><object><bndbox/></object></annotation>", "an object has no <name>"),
])
def test_bad_xml_is_refused(text: str, message: str, tmp_path: Path) -> None:
    folder = voc(tmp_path / "data")
    (folder / "Annotations" / "000001.xml").write_text(text)
    with pytest.raises(DataError, match=message):
        load_detection(folder)


@pytest.mark.parametrize(("line", "message"), [
    ("0 0.5 0.5 0.2", r"0\.txt: line 1 must be 'class x y width height'"),
    ("7 0.5 0.5 0.2 0.2", r"line 1 is of class 7; data\.yaml names 0\.\.1"),
    ("x 0.5 0.5 0.2 0.2", "line 1 must be"), ("0.5 0.5 0.5 0.2 0.2", "line 1 must be"),
    ("inf 1 1 1 1", "line 1 must be"),
    ("0 .5 .5 .5 .5 .9", "line 1 must be"), ("1e300 0.5 0.5 0.2 0.2", "line 1 is of class 1e300"),
])
def test_bad_lines_of_yolo_are_named(line: str, message: str, tmp_path: Path) -> None:
    folder = yolo(tmp_path / "data")
    (folder / "labels" / "train" / "0.txt").write_text(line)
    with pytest.raises(DataError, match=message):
        load_detection(folder)


def test_unknown_layouts_list_the_known_ones(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(DataError, match=r"COCO: .* VOC: .* YOLO: "):
            load_detection(path)


def test_damaged_images_are_named(tmp_path: Path) -> None:
    folder = coco(tmp_path / "data")
    whole = (folder / "images" / "train0.png").read_bytes()
    (folder / "images" / "train0.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"1 of 6 images cannot be read: train0\.png"):
        load_detection(folder)


@pytest.fixture
def data(tmp_path: Path) -> DetectionData:
    return load_detection(coco(tmp_path / "data"), size=(HEIGHT, WIDTH))


@pytest.mark.parametrize("policy", [
    DetectionPolicy(flip=True, scale=(1.0, 1.0), jitter=0.0), DetectionPolicy(flip=False, scale=(0.5, 0.5), jitter=0.0),
    DetectionPolicy(flip=False, scale=(1.8, 1.8), jitter=0.0), DetectionPolicy(jitter=0.0),
])
def test_boxes_move_with_their_pixels(data: DetectionData, policy: DetectionPolicy) -> None:
    """The box is painted white, and the white region after the change is the changed box."""
    part = data.train.take(np.array([0]))
    x0, y0, x1, y1 = part.boxes[0][0].astype(int)
    part.images[0] = 0
    part.images[0, y0:y1, x0:x1] = 255
    for seed in range(30):
        image, boxes, labels, crowd = augmented(part, 0, np.random.default_rng(seed), policy)
        assert len(boxes) == len(labels) == len(crowd)
        ys, xs = np.nonzero(image[..., 0] > 127)
        if len(boxes):
            found = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
            np.testing.assert_allclose(boxes[0], found, atol=1.6)


def test_a_mirror_twice_changes_nothing(data: DetectionData) -> None:
    policy = DetectionPolicy(scale=(1.0, 1.0), jitter=0.0)
    seed = next(s for s in range(20) if np.random.default_rng(s).random() < 0.5)
    once = augmented(data.train, 1, np.random.default_rng(seed), policy)
    assert not np.array_equal(once[0], data.train.images[1])
    turned = replace(data.train.take(np.array([1])), images=once[0][None], boxes=(once[1],))
    image, boxes, *_ = augmented(turned, 0, np.random.default_rng(seed), policy)
    assert np.array_equal(image, data.train.images[1])
    np.testing.assert_allclose(boxes, data.train.boxes[1])


def test_a_mosaic_holds_four_images(data: DetectionData) -> None:
    image, boxes, labels, _ = augmented(data.train, 1, np.random.default_rng(0), DetectionPolicy(
        flip=False, scale=(1.0, 1.0), jitter=0.0, mosaic=1.0))
    assert image.shape == (HEIGHT, WIDTH, 3)
    assert len(boxes) == len(labels) >= 2
    np.testing.assert_allclose(boxes[0], [0, 0, 45, 30], atol=1)


def test_an_epoch_is_each_image_once_the_same_for_a_seed_and_leaves_the_data_alone(data: DetectionData) -> None:
    before = data.fingerprint
    first, again = (list(epoch_detection(data.train, 2, np.random.default_rng(3))) for _ in range(2))
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(first, again, strict=True))
    assert [len(b[0]) for b in first] == [2]  # the third alone is dropped
    plain = list(epoch_detection(data.train, 1, np.random.default_rng(0), PLAIN))
    assert sorted(b[0].tobytes() for b in plain) == sorted(i[None].tobytes() for i in data.train.images)
    assert DetectionData(data.name, data.train, data.val, data.classes, data.category_ids, data.size,
                         data.source).fingerprint == before
    with pytest.raises(UsageError, match="batch must be 1 or more"):
        epoch_detection(data.train, 0, np.random.default_rng(0))


def test_policies_out_of_range_are_refused() -> None:
    for values in ({"scale": (0.0, 1.0)}, {"scale": (2.0, 1.0)}, {"jitter": 1.0}, {"mosaic": 2.0}):
        with pytest.raises(UsageError):
            DetectionPolicy(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "train", "val", "classes"), [("bccd", 205, 87, 3), ("coco128", None, None, 80)])
def test_real_data(name: str, train: int | None, val: int | None, classes: int) -> None:
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"{folder.name} is not in shared/data")
    found = load_detection(folder, size=(64, 64))
    assert len(found.classes) == classes
    if train is not None:
        assert (len(found.train), len(found.val)) == (train, val)
        assert int(found.counts(found.train).sum()) == 2804
        assert int(found.counts(found.val).sum()) == 1137
    else:
        assert len(found.train) + len(found.val) == 128
