"""From a path to a data set of labels: a table, or the classes of the boxes of a detection data set.

Images are taken whole, with grey around, so that no label is of something that was cut off.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from hwnas.data.arrays import ArrayPart
from hwnas.data.detection.listed import without_shared
from hwnas.data.detection.load import LAYOUTS, list_boxes
from hwnas.data.encoded import EncodedSource
from hwnas.data.location import source_path
from hwnas.data.memory import opened
from hwnas.data.multilabel import tables
from hwnas.data.multilabel.data import MultiLabelData
from hwnas.data.multilabel.listed import Listed, Picture
from hwnas.data.names import checked_names
from hwnas.data.notes import plain, told_unseen
from hwnas.data.source import Indices, Labelled, Pixels, Size
from hwnas.data.split import divided
from hwnas.errors import DataError
from hwnas.imaging.letterbox import Letterbox
from hwnas.imaging.picture import Picture as Decodable
from hwnas.progress import Progress, silent

SIZE = 128
_WAYS = f"a .csv beside its images, a .parquet, a folder with one of them, or a folder of boxes ({LAYOUTS})"


class WholeSource(EncodedSource):
    """Encoded images, whole and in colour."""

    may_be_grey = False

    @property
    def size(self) -> Size:
        return SIZE, SIZE

    def channels(self, indices: Indices, progress: Progress = silent) -> int:
        super().channels(indices, progress)  # so that broken ones are told
        return 3

    def fitted(self, index: int, picture: Decodable, size: Size, channels: int | None) -> Pixels:
        return picture.letterboxed(Letterbox.fit(*picture.size, size))


def load_multilabel(source: str | Path, *, size: tuple[int, int] | None = None, val_fraction: float = 0.2,
                    seed: int = 0, limit: int | None = None, memory: int | None = None,
                    progress: Progress = silent) -> MultiLabelData:
    """Load images with labels.

    Args:
        source: a table as tables.py reads it, or a folder of boxes as `hwnas.data.detection.load_detection` does: an
            image then shows the classes of its boxes, crowds left out.
        size: height and width of the input, px; None for `SIZE`.
        val_fraction, seed, limit, memory, progress: as of `load_detection`.

    Raises:
        DataError: anything wrong with the data; says which file, which entry and what to do.
    """
    found = _listed(*source_path(source, _WAYS))
    classes, notes = _classes(found), found.notes
    held = [picture.held_out for picture in found.pictures]
    held_out = None if not held or held[0] is None else np.array(held, bool)
    train, val = divided(len(held), held_out, val_fraction, limit, seed, found.source)
    chosen = [found.pictures[i] for i in np.concatenate([train, val])]
    labels = _labels(chosen, classes)
    images = WholeSource(lambda i: (chosen[i].name, chosen[i].content), len(chosen), found.source,
                         Labelled(classes, [np.flatnonzero(row) for row in labels]))
    pixels = opened(images, size or images.size, memory, progress)
    cut = len(train)
    how = found.split or f"random split, {val_fraction:g} of the images validate, seed {seed}"
    how += f"; limited to {limit} of {len(held)} images, seed {seed}" if len(chosen) < len(held) else ""
    counts = labels[:cut].sum(axis=0, dtype=np.int64), labels[cut:].sum(axis=0, dtype=np.int64)
    return MultiLabelData(
        found.name, ArrayPart(pixels[:cut], labels[:cut]), ArrayPart(pixels[cut:], labels[cut:]), classes, found.source,
        how, (*notes.told(), *told_unseen(classes, *counts, "image")), tuple(picture.name for picture in chosen[cut:]))


def _listed(path: Path, exists: bool) -> Listed:
    if not exists:
        raise DataError(f"no such file or folder: {plain(str(path))}; pass {_WAYS}")
    if files := tables.tables_of(path):
        return tables.read(path, files)
    boxes = list_boxes(path, exists)
    pictures = tuple(Picture(record.name, record.path, tuple(dict.fromkeys(
        boxes.classes[mark.label] for mark in record.marks if not mark.crowd)), record.held_out)
        for record in without_shared(list(boxes.records), boxes.notes))
    return Listed(boxes.name, boxes.source, pictures, boxes.classes, boxes.split, boxes.notes)


def _classes(found: Listed) -> tuple[str, ...]:
    """Those that an image shows, in the order of the source.

    Raises:
        DataError: fewer than two.
    """
    shown = {name for picture in found.pictures for name in picture.labels}
    order = found.classes if found.classes is not None else sorted(shown)
    classes = [name for name in order if name in shown]
    if len(classes) < 2:
        raise DataError(f"{found.source}: {len(classes)} class; labels need two or more: for one, take --task classify "
                        "with the classes 'is' and 'is not'")
    if unused := [name for name in order if name not in shown]:
        found.notes.left_out("classes that no image shows left out", unused[0], len(unused))
    return tuple(checked_names(classes, found.source))


def _labels(pictures: list[Picture], classes: tuple[str, ...]) -> npt.NDArray[np.uint8]:
    numbers = {name: k for k, name in enumerate(classes)}
    found = np.zeros((len(pictures), len(classes)), np.uint8)
    for row, picture in zip(found, pictures, strict=True):
        row[[numbers[name] for name in picture.labels]] = 1
    return found
