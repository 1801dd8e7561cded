"""YOLO text: a label file an image, a line a box; where files may lie stands in yolo_files.py.

A line is a class, then centre x, centre y, width and height as shares of the image, or the points x y x y ... of an
outline, of which the box around it is taken; one file may hold both. An image without a label has no box.
"""

from __future__ import annotations

import math
from pathlib import Path

from hwnas.data.detection.listed import Listed, Mark, Record, refuse
from hwnas.data.detection.yolo_files import Layout, find, images_of, label_folders, label_of, names_of
from hwnas.data.listing import files_below
from hwnas.data.notes import Notes, leave_out, plain
from hwnas.data.partnames import TRAIN, roles
from hwnas.documents import MIB, brief, read_text
from hwnas.errors import DataError
from hwnas.imaging.opening import SUFFIXES

__all__ = ["find", "read"]

_LABEL_BYTES = 16 * MIB
_NO_LABELS = ("classes.txt", "notes.txt", "readme.txt")
_FORM = "'class x y width height' or 'class x y x y x y ...'"


def read(path: Path, layout: Layout) -> Listed:
    """Read what `yolo_files.find` found.

    Raises:
        DataError: lines that are no boxes, classes without a name; names the first five.
    """
    names = names_of(layout)
    parts = {part: images_of(places, layout) for part, places in layout.parts.items()}
    train, held, note = _roles(path, layout, parts)
    keypoints = layout.told.keypoints if layout.told else 0
    wrong: list[str] = []
    records = [_record(image, layout, len(names), keypoints, held_out, wrong)
               for images, held_out in ((train, False if held else None), (held, True)) for image in images]
    refuse(wrong)
    if not records:
        raise DataError(f"{path}: no images ({' '.join(sorted(SUFFIXES))})")
    _orphans(layout, {record.path for record in records}, str(path))
    return Listed(layout.root.resolve().name, str(path), tuple(records), names, tuple(range(len(names))), note,
                  layout.notes)


def _roles(path: Path, layout: Layout, parts: dict[str, list[Path]]) -> tuple[list[Path], list[Path], str]:
    if "all" in parts:
        return parts["all"], [], ""
    if parts.get("val") == []:
        raise DataError(f"{path}: {layout.called['val']} holds no image; add some, or remove it to have training split")
    there = {part: images for part, images in parts.items() if images}
    what = "the folders" if not layout.told or not layout.told.parts else f"the keys of {layout.told.file.name}"
    if TRAIN not in there:
        where = layout.called.get(TRAIN, "train")
        raise DataError(f"{path}: {what} have no image for training where {where} is or should be (read: "
                        f"{' '.join(sorted(SUFFIXES))})")
    if there.get("val") == there[TRAIN]:  # as small examples are handed out
        layout.notes.say(f"{layout.called['val']} holds the very images of {layout.called[TRAIN]}, which were split")
        del there["val"]
        there.pop("test", None)
    found = roles(there, layout.called, str(path), what)
    if found.unused:
        layout.notes.left_out("images of the test part left out", found.unused[0].name, len(found.unused))
    return found.train, found.val or [], found.note


def _record(image: Path, layout: Layout, classes: int, keypoints: int, held_out: bool | None,
            wrong: list[str]) -> Record:
    label = label_of(image, layout.root)
    if label is None:
        layout.notes.left_out("images without a label file taken as images without a box", image.name)
    marks = _marks(label, classes, keypoints, wrong, layout.notes) if label else ()
    return Record(image.name, image, None, None, marks, held_out, relative=True, where=f"{label}: line")


def _orphans(layout: Layout, images: set[Path], source: str) -> None:
    """Count the labels that no image has."""
    stems = {label for image in images if (label := label_of(image, layout.root))}
    used = [part for part in layout.parts if part != "test" or "val" not in layout.parts]
    labels = [label for part in used for folder in label_folders(layout.parts[part], layout.root)
              for label in files_below(folder, (".txt",)) if label.name.casefold() not in _NO_LABELS]
    leave_out([str(label) for label in labels if label not in stems], len(labels), "labels have no image", layout.notes,
              source, "add the images or remove the labels")


def _marks(file: Path, classes: int, keypoints: int, wrong: list[str], notes: Notes) -> tuple[Mark, ...]:
    found: dict[tuple[object, ...], Mark] = {}
    for number, line in enumerate(read_text(file, _LABEL_BYTES, DataError).splitlines(), 1):
        words = line.split()
        if not words:
            continue
        where = f"{file}: line {number}"
        try:
            label, box, outline = _box([float(word) for word in words], keypoints)
        except ValueError:
            wrong.append(f"{where} must be {_FORM}, not {brief(line)}")
            continue
        if not 0 <= label < classes:
            shown = label if abs(label) < 10**6 else plain(words[0][:20])
            wrong.append(f"{where} is of class {shown}; data.yaml names 0..{classes - 1}")
            continue
        if outline:
            notes.left_out("outlines of which the box was taken", where)
        if (label, *box) in found:
            notes.left_out("boxes that are there twice taken once", where)
        found.setdefault((label, *box), Mark(box, label, False, number))
    return tuple(found.values())


def _box(numbers: list[float], keypoints: int) -> tuple[int, tuple[float, float, float, float], bool]:
    """Class, x0, y0, x1, y1 as shares, and whether they are of an outline.

    Raises:
        ValueError: another number of numbers, or a class that is no whole number.
    """
    if not math.isfinite(numbers[0]) or numbers[0] != int(numbers[0]):
        raise ValueError
    values = numbers[1:5] if keypoints and len(numbers) == 5 + keypoints else numbers[1:]
    if len(values) == 4:
        x, y, w, h = values
        return int(numbers[0]), (x - w / 2, y - h / 2, x + w / 2, y + h / 2), False
    if len(values) < 6 or len(values) % 2:
        raise ValueError
    if not all(map(math.isfinite, values)):
        return int(numbers[0]), (math.nan,) * 4, True
    return int(numbers[0]), (min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2])), True
