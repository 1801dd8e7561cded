"""From a path to a detection data set: which layout, which images, then pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from hwnas.data.decode import decode_each, labelled_picture
from hwnas.data.detection import coco, voc, yolo
from hwnas.data.detection.listed import Boxes, Listed, Record, checked_boxes
from hwnas.data.detection.parts import DetectionData, DetectionPart, Frame
from hwnas.data.split import divided
from hwnas.errors import DataError
from hwnas.imaging.letterbox import Letterbox
from hwnas.progress import Progress, silent

SIZE = (320, 320)
LAYOUTS = ("COCO: train.json, val.json and images/; COCO's own annotations/instances_*.json; VOC: Annotations/*.xml "
           "and JPEGImages/; YOLO: images/train, labels/train and data.yaml")


def load_detection(source: str | Path, *, size: tuple[int, int] | None = None, val_fraction: float = 0.2, seed: int = 0,
                   limit: int | None = None, progress: Progress = silent) -> DetectionData:
    """Load images with boxes into memory.

    Args:
        source: a folder in one of the layouts of coco.py, voc.py and yolo.py, or a COCO JSON.
        size: (height, width) of the network's input; images are letterboxed to it.
        val_fraction: share of the images that validates where the source has no validation part of its own.
        seed: for the split and for `limit`.
        limit: use at most this many images, both parts together, in the proportions of the source.
        progress: told while images are decoded.

    Raises:
        DataError: anything wrong with the data; says which file, which entry and what to do.
    """
    listed = _listed(Path(source).expanduser())
    held = [r.held_out for r in listed.records]
    held_out = None if None in held else np.array(held, bool)
    train, val = divided(len(held), held_out, val_fraction, limit, seed, listed.source)
    chosen = np.concatenate([train, val])
    part, clipped = _decoded([listed.records[i] for i in chosen], size or SIZE, progress, listed.source)
    how = listed.split or f"random split, {val_fraction:g} of the images validate, seed {seed}"
    if len(chosen) < len(held):
        how += f"; limited to {limit} of {len(held)} images, seed {seed}"
    order = np.arange(len(chosen))
    return DetectionData(listed.name, part.take(order[: len(train)]), part.take(order[len(train) :]), listed.classes,
                         listed.category_ids, size or SIZE, listed.source, how, clipped)


def _listed(path: Path) -> Listed:
    if not path.exists():
        raise DataError(f"no such file or folder: {path}; pass a folder in one of these layouts: {LAYOUTS}")
    if (folders := yolo.find(path)) is not None:
        return yolo.read(path, folders)
    if (files := coco.find(path)) is not None:
        return coco.read(path, files)
    if (trees := voc.find(path)) is not None:
        return voc.read(path, trees)
    raise DataError(f"{path} has no boxes that hwnas can read; known layouts: {LAYOUTS}")


def _decoded(records: list[Record], size: tuple[int, int], progress: Progress,
             source: str) -> tuple[DetectionPart, int]:
    images = np.empty((len(records), *size, 3), np.uint8)
    frames: list[Frame | None] = [None] * len(records)
    boxes: list[Boxes] = [np.zeros((0, 4), np.float32)] * len(records)
    clipped = np.zeros(len(records), np.int64)

    def one(i: int) -> None:
        record = records[i]
        known = None if record.height is None or record.width is None else (record.height, record.width)
        picture = labelled_picture(record.path, known)
        height, width = picture.size
        if record.height is not None and (height, width) != (record.height, record.width):
            said = f"{record.width}x{record.height}"
            raise DataError(f"{record.name} is {width}x{height} px, its annotation says {said}; annotate the image "
                            "that is there")
        box = Letterbox.fit(height, width, size)
        images[i] = picture.letterboxed(box)
        found, clipped[i] = checked_boxes(record, height, width)
        boxes[i], frames[i] = box.to_input(found), Frame(record.name, record.path, height, width)

    decode_each(len(records), one, lambda i: records[i].name, progress, source)
    labels = tuple(np.array([m.label for m in r.marks], np.int64) for r in records)
    crowd: tuple[npt.NDArray[np.bool_], ...] = tuple(np.array([m.crowd for m in r.marks], bool) for r in records)
    placed = tuple(frame for frame in frames if frame is not None)
    return DetectionPart(images, placed, tuple(boxes), labels, crowd), int(clipped.sum())
