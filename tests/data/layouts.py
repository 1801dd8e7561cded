"""Small data sets in the layouts of labelling tools, to be read and to be damaged. Each is a red and a blue box."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 30, 40
NAMES = ("blue", "red")
COLOURS = ((30, 30, 220), (220, 30, 30))
BOX = (4, 6, 24, 22)  # x0, y0, x1, y1 of the box in every image

Make = Callable[[Path], Path]


def picture(path: Path, kind: int, **options: Any) -> None:
    """A box of the colour of its class on grey, where BOX says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((HEIGHT, WIDTH, 3), 110, np.uint8)
    x0, y0, x1, y1 = BOX
    pixels[y0:y1, x0:x1] = COLOURS[kind]
    Image.fromarray(pixels).save(path, **options)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def told(count: int, name: str = "{}.png", **changes: Any) -> dict[str, Any]:
    """COCO's JSON of `count` images; `changes` replace a list, or edit every entry of it."""
    x0, y0, x1, y1 = BOX
    found: dict[str, Any] = {
        "images": [{"id": i, "file_name": name.format(i), "width": WIDTH, "height": HEIGHT} for i in range(count)],
        "annotations": [{"id": i, "image_id": i, "category_id": i % 2 + 1, "bbox": [x0, y0, x1 - x0, y1 - y0]}
                        for i in range(count)],
        "categories": [{"id": 1, "name": "blue"}, {"id": 2, "name": "red"}],
    }
    for key, change in changes.items():
        found[key] = [change(entry) for entry in found[key]] if callable(change) else change
    return found


def pictures(folder: Path, count: int, name: str = "{}.png") -> None:
    for i in range(count):
        picture(folder / name.format(i), i % 2)


def coco_json(folder: Path, file: str, place: str, count: int, name: str = "{}.png", **changes: Any) -> None:
    pictures(folder / place, count)
    write(folder / file, json.dumps(told(count, name, **changes)))


def coco_plain(folder: Path) -> Path:
    for part, count in (("train", 6), ("val", 4)):
        coco_json(folder, f"{part}.json", f"images/{part}", count)
    return folder


def coco_official(folder: Path) -> Path:
    for part, count in (("train2017", 6), ("val2017", 4)):
        coco_json(folder, f"annotations/instances_{part}.json", part, count)
        write(folder / f"annotations/captions_{part}.json", "{}")
    return folder


def coco_roboflow(folder: Path) -> Path:
    dummy = [{"id": 0, "name": "boxes", "supercategory": "none"}] + [
        {"id": i + 1, "name": name, "supercategory": "boxes"} for i, name in enumerate(NAMES)]
    for part, count in (("train", 6), ("valid", 4), ("test", 2)):
        coco_json(folder, f"{part}/_annotations.coco.json", part, count, categories=dummy)
    return folder


def coco_cvat(folder: Path) -> Path:
    coco_json(folder, "annotations/instances_default.json", "images/default", 10)
    return folder


def coco_fiftyone(folder: Path) -> Path:
    coco_json(folder, "labels.json", "data", 10)
    write(folder / "metadata.json", "{}")
    return folder


def coco_fiftyone_parts(folder: Path) -> Path:
    for part, count in (("train", 6), ("validation", 4)):
        coco_json(folder / part, "labels.json", "data", count)
    return folder


def coco_label_studio(folder: Path) -> Path:
    coco_json(folder, "result.json", "images", 10, "images\\{}.png")
    return folder


def coco_texts(folder: Path) -> Path:
    """Ids that are texts, outlines without a bbox."""
    x0, y0, x1, y1 = BOX
    outline = [[x0, y0, x1, y0, x1, y1, x0, y1]]
    coco_json(folder, "train.json", "images", 10, images=lambda e: e | {"id": f"img-{e['id']}"},
              annotations=lambda e: {"image_id": f"img-{e['image_id']}", "category_id": str(e["category_id"]),
                                     "segmentation": outline})
    return folder


def coco_runs(folder: Path) -> Path:
    """Run lengths without a bbox."""
    x0, y0, x1, y1 = BOX
    inside = np.zeros((HEIGHT, WIDTH), bool)
    inside[y0:y1, x0:x1] = True
    flat = inside.T.reshape(-1)
    ends = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff(np.concatenate([[0], ends, [flat.size]])).tolist()
    coco_json(folder, "train.json", "images", 10, annotations=lambda e: {
        "image_id": e["image_id"], "category_id": e["category_id"],
        "segmentation": {"counts": counts, "size": [HEIGHT, WIDTH]}})
    return folder


def line(kind: int, form: str = "{} {} {} {} {}") -> str:
    x0, y0, x1, y1 = BOX
    return form.format(kind, (x0 + x1) / 2 / WIDTH, (y0 + y1) / 2 / HEIGHT, (x1 - x0) / WIDTH, (y1 - y0) / HEIGHT)


def outline(kind: int) -> str:
    x0, y0, x1, y1 = BOX
    points = [x0, y0, x1, y0, x1, y1, x0, y1]
    return " ".join([f"{kind}", *(f"{v / (HEIGHT if i % 2 else WIDTH):.8f}" for i, v in enumerate(points))])


def yolo_part(images: Path, labels: Path, count: int, form: str = "{} {} {} {} {}", bom: str = "") -> None:
    pictures(images, count)
    for i in range(count):
        write(labels / f"{i}.txt", bom + (line(i % 2, form) if i % 3 else outline(i % 2)) + "\n")


def yolo_ultralytics(folder: Path) -> Path:
    for part, count in (("train2017", 6), ("val2017", 4), ("test2017", 2)):
        yolo_part(folder / "images" / part, folder / "labels" / part, count)
    write(folder / "data.yaml", f"path: {folder.resolve()}\ntrain: images/train2017\nval: images/val2017\ntest: "
                                "images/test2017\nnames:\n  0: blue\n  1: red\n")
    return folder


def yolo_folders(folder: Path) -> Path:
    for part, count in (("Training", 6), ("Validation", 4)):
        yolo_part(folder / "images" / part, folder / "labels" / part, count, "{}.0 {} {} {} {}")
    write(folder / "classes.txt", "\ufeffblue\r\nred\r\n")
    return folder


def yolo_roboflow(folder: Path) -> Path:
    for part, count in (("train", 6), ("valid", 4), ("test", 2)):
        yolo_part(folder / part / "images", folder / part / "labels", count)
    write(folder / "data.yaml", "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnc: 2\n"
                                "names: ['blue', 'red']\nroboflow:\n  license: Public Domain\n")
    return folder


def yolo_lists(folder: Path) -> Path:
    yolo_part(folder / "images", folder / "labels", 10, "{}e+00 {} {} {} {}", "\ufeff")
    write(folder / "train.txt", "".join(f"./images/{i}.png\n" for i in range(6)))
    write(folder / "val.txt", "\ufeff" + "".join(f"images/{i}.png\r\n" for i in range(6, 10)))
    write(folder / "my_boxes.yml", 'train: [train.txt]\nval: val.txt\nnames: {"0": blue, "1": red}\n')
    return folder


def yolo_cvat(folder: Path) -> Path:
    for part, count in (("train", 6), ("Validation", 4)):
        yolo_part(folder / f"obj_{part}_data", folder / f"obj_{part}_data", count)
        write(folder / f"{part}.txt", "".join(f"data/obj_{part}_data/{i}.png\n" for i in range(count)))
    write(folder / "obj.names", "blue\nred\n")
    write(folder / "obj.data", "classes = 2\nnames = data/obj.names\n")
    return folder


def yolo_unsplit(folder: Path) -> Path:
    yolo_part(folder / "images", folder / "labels", 10)
    write(folder / "dataset.yaml", "names: [blue, red]\n")
    return folder


def xml(kind: int, name: str, rest: str = "") -> str:
    x0, y0, x1, y1 = BOX
    return (f"<annotation><filename>{name}</filename><size><width>{WIDTH}</width><height>{HEIGHT}</height></size>{rest}"
            f"<object><name>{NAMES[kind]}</name><bndbox><xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin><xmax>{x1}</xmax>"
            f"<ymax>{y1}</ymax></bndbox></object></annotation>")


def voc_official(folder: Path) -> Path:
    for i in range(12):
        picture(folder / "JPEGImages" / f"img ({i}).jpg", i % 2, quality=100)
        write(folder / "Annotations" / f"img ({i}).xml", xml(i % 2, f"img ({i}).jpg"))
    lists = folder / "ImageSets" / "Main"
    for part, numbers in (("train", range(6)), ("val", range(6, 10)), ("trainval", range(10)), ("test", range(10, 12))):
        write(lists / f"{part}.txt", "\ufeff" + "".join(f"img ({i})\n" for i in numbers))
        write(lists / f"red_{part}.txt", "".join(f"img ({i}) {i % 2 * 2 - 1}\n" for i in numbers))
    return folder


def voc_marked(folder: Path) -> Path:
    """Lists of a class in the place of lists of images, suffixes in another case or left out, XML in a subfolder."""
    for i in range(10):
        picture(folder / "JPEGImages" / "day 1" / f"a {i}.JPG", i % 2, quality=100)
        write(folder / "Annotations" / "day 1" / f"a {i}.xml", xml(i % 2, f"a {i}" if i % 2 else f"a {i}.jpg"))
    for part, numbers in (("Train", range(6)), ("Val", range(6, 10))):
        write(folder / "ImageSets" / "Main" / f"{part}.txt", "".join(f"a {i}  {i % 2 * 2 - 1}\n" for i in numbers))
    return folder


def voc_roboflow(folder: Path) -> Path:
    for part, count in (("train", 6), ("valid", 4), ("test", 2)):
        for i in range(count):
            picture(folder / part / f"{i}.png", i % 2)
            write(folder / part / f"{i}.xml", "\ufeff" + xml(i % 2, f"{i}.png"))
    return folder


def voc_beside(folder: Path) -> Path:
    for i in range(10):
        picture(folder / f"{i}.png", i % 2)
        write(folder / f"{i}.xml", xml(i % 2, f"{i}.png"))
    return folder


GIVEN: list[Make] = [coco_plain, coco_official, coco_roboflow, coco_fiftyone_parts, yolo_ultralytics, yolo_folders,
                     yolo_roboflow, yolo_lists, yolo_cvat, voc_official, voc_marked, voc_roboflow]
"""Six images train and four validate, as the source says."""
UNSPLIT: list[Make] = [coco_cvat, coco_fiftyone, coco_label_studio, coco_texts, coco_runs, yolo_unsplit, voc_beside]
"""Ten images that are to be split."""
