"""From a path to a detection data set: which layout, which images, and whether they are decoded at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from hwnas.data.detection import coco, coco_files, voc, yolo
from hwnas.data.detection.listed import Checked, Listed, Record, checked_marks, without_shared
from hwnas.data.detection.parts import DetectionData, DetectionPart, Frame
from hwnas.data.encoded import LetterboxedSource
from hwnas.data.listing import files_in
from hwnas.data.location import source_path
from hwnas.data.memory import opened
from hwnas.data.notes import plain, told_unseen
from hwnas.data.source import Labelled
from hwnas.data.split import divided
from hwnas.data.turning import headers, turned
from hwnas.data.views import ImageView, lazily
from hwnas.errors import DataError
from hwnas.imaging.letterbox import Letterbox
from hwnas.imaging.opening import Header
from hwnas.progress import Progress, silent

SIZE = (320, 320)
LAYOUTS = ("COCO: train.json, val.json and images/; COCO's own annotations/instances_*.json; VOC: Annotations/*.xml "
           "and JPEGImages/; YOLO: images/train, labels/train and data.yaml")


def load_detection(source: str | Path, *, size: tuple[int, int] | None = None, val_fraction: float = 0.2, seed: int = 0,
                   limit: int | None = None, memory: int | None = None,
                   progress: Progress = silent) -> DetectionData:
    """Load images with boxes.

    Args:
        source: a folder in one of the layouts of coco_files.py, voc.py and yolo.py, a COCO JSON, or YOLO's YAML.
        size: (height, width) of the network's input; images are letterboxed to it.
        val_fraction: share of the images that validates where the source has no validation part of its own.
        seed: for the split and for `limit`.
        limit: use at most this many images, both parts together, in the proportions of the source.
        memory: bytes that decoded images may take, as of `hwnas.data.load`.
        progress: told while headers are read and images are decoded.

    Raises:
        DataError: anything wrong with the data; says which file, which entry and what to do.
    """
    listed = list_boxes(*source_path(source, f"a folder in one of these layouts: {LAYOUTS}"))
    notes = listed.notes
    records = without_shared(list(listed.records), notes)
    held = [record.held_out for record in records]
    held_out = None if None in held else np.array(held, bool)
    train, val = divided(len(held), held_out, val_fraction, limit, seed, listed.source, _kinds(records, listed.source))
    chosen = [records[i] for i in np.concatenate([train, val])]
    found = headers([record.path for record in chosen], progress)
    upright = turned([record.name for record in chosen], found, [_told(record) for record in chosen], notes)
    sizes = [_size(*each) for each in zip(chosen, found, upright, strict=True)]
    checked = checked_marks(chosen, sizes, notes, listed.source)
    _check_parts(checked, len(train), listed.source)
    images = LetterboxedSource([record.path for record in chosen], [record.name for record in chosen], listed.source,
                               size or SIZE, upright, Labelled(listed.classes, checked.labels))
    part = _part(chosen, sizes, checked, opened(images, images.size, memory, progress))
    how = listed.split or f"random split, {val_fraction:g} of the images validate, seed {seed}"
    if len(chosen) < len(held):
        how += f"; limited to {limit} of {len(held)} images, seed {seed}"
    order = np.arange(len(chosen))
    data = DetectionData(listed.name, part.take(order[: len(train)]), part.take(order[len(train) :]), listed.classes,
                         listed.category_ids, size or SIZE, listed.source, how, checked.clipped, notes.told())
    return data.with_notes(told_unseen(data.classes, data.counts(data.train), data.counts(data.val), "box"))


def list_boxes(path: Path, exists: bool) -> Listed:
    """A data set of boxes before anything is decoded; raises DataError where it is in no known layout."""
    if not exists:
        raise DataError(f"no such file or folder: {plain(str(path))}; pass a folder in one of these layouts: {LAYOUTS}")
    if (layout := yolo.find(path)) is not None:
        return yolo.read(path, layout)
    if (files := coco_files.find(path)) is not None:
        return coco.read(path, files)
    if (trees := voc.find(path)) is not None:
        return voc.read(path, trees)
    several = files_in(path, (".json",))
    way = f"; it holds {len(several)} JSON files: pass the path of the one with the boxes" if len(several) > 1 else ""
    raise DataError(f"{path} has no boxes that hwnas can read{way}; known layouts: {LAYOUTS}")


def _kinds(records: list[Record], source: str) -> npt.NDArray[np.int64]:
    """0 for an image with a box to be found, 1 for one without.

    Raises:
        DataError: no image has one.
    """
    kinds = np.array([all(mark.crowd for mark in record.marks) for record in records], np.int64)
    if kinds.all():
        crowds = sum(len(record.marks) for record in records)
        why = f": its {crowds} boxes are crowds or difficult, which need not be found" if crowds else ""
        raise DataError(f"{source}: no image has a box{why}; there is nothing to learn: annotate some")
    return kinds


def _told(record: Record) -> tuple[int, int] | None:
    return None if record.height is None or record.width is None else (record.height, record.width)


def _size(record: Record, header: Header | None, upright: bool) -> tuple[int, int]:
    """Height and width of an image as it is read.

    Raises:
        DataError: not what its annotation says.
    """
    told = _told(record)
    if header is None:  # told with all the others that cannot be read, when they are decoded
        return told or (1, 1)
    found = header.upright if upright else header.size
    if told is not None and told != found:
        raise DataError(f"{record.name} is {found[1]}x{found[0]} px, its annotation says {told[1]}x{told[0]}; annotate "
                        "the image that is there")
    return found


def _check_parts(checked: Checked, train: int, source: str) -> None:
    """There is something to learn from, and something to judge by; known before anything is decoded.

    Raises:
        DataError: a part without a box that is to be found.
    """
    counts = np.array([int((~crowd).sum()) for crowd in checked.crowd])
    crowds = int(sum(int(crowd.sum()) for crowd in checked.crowd))
    why = f" ({crowds} boxes are crowds or difficult, which need not be found)" if crowds else ""
    if not counts[:train].sum():
        raise DataError(f"{source}: no training image has a box{why}; there is nothing to learn: annotate some")
    if not counts[train:].sum():
        raise DataError(f"{source}: no validation image has a box{why}; there is nothing to judge by: annotate some, "
                        "or take another --seed where hwnas splits")


def _part(records: list[Record], sizes: list[tuple[int, int]], checked: Checked, images: ImageView) -> DetectionPart:
    size = images.shape[1], images.shape[2]
    boxes = tuple(Letterbox.fit(*told, size).to_input(found) for told, found in zip(sizes, checked.boxes, strict=True))
    frames = tuple(Frame(r.name, r.path, *told) for r, told in zip(records, sizes, strict=True))
    return DetectionPart(lazily(images), frames, boxes, tuple(checked.labels), tuple(checked.crowd))
