"""COCO JSON, as COCO itself and most labelling tools write it; where files may lie stands in coco_files.py.

An annotation without a bbox takes that of its outline. Ids are numbers or texts. Annotations of images that are not
listed, those that are there twice, and images that are not there are left out and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hwnas.data.detection import coco_schema as schema
from hwnas.data.detection.coco_files import Files, Places
from hwnas.data.detection.listed import Listed, Mark, Record
from hwnas.data.detection.outlines import Boxes
from hwnas.data.names import check_count, checked_names
from hwnas.data.notes import Notes, leave_out, plain
from hwnas.data.partnames import roles
from hwnas.documents import brief
from hwnas.errors import DataError

Told = list[tuple[str, Path, schema.Document, bool | None]]  # part, file, content, whether it validates


def read(path: Path, files: Files) -> Listed:
    """Read what `coco_files.find` found.

    Raises:
        DataError: files that are not COCO's JSON, ids that are not listed, half of the images not there.
    """
    notes = Notes()
    told, note = _told(path, files, notes)
    names = _categories(told, notes)
    numbers = {key: number for number, key in enumerate(names)}
    records: list[Record] = []
    for part, file, content, held_out in told:
        places = Places(files.root, file, part)
        records += _records(content, file, places, numbers, held_out, notes)
    classes = checked_names(list(names.values()), str(told[0][1]))
    ids = tuple(int(key) if key.lstrip("-").isdigit() else number for number, key in enumerate(names))
    return Listed(files.root.resolve().name, str(path), tuple(records), classes, ids, note, notes)


def _told(path: Path, files: Files, notes: Notes) -> tuple[Told, str]:
    """What the files of training and validation hold, and how they say which is which."""
    if "all" in files.parts or (len(files.parts) == 1 and path.is_dir()):
        part, file = next(iter(files.parts.items()))
        return [(part, file, schema.load(file), None)], ""
    found = roles(files.parts, {part: file.name for part, file in files.parts.items()}, str(path), "the files")
    if len({file.name for file in files.parts.values()}) < len(files.parts):  # Roboflow's, one name in every folder
        found = roles(files.parts, {part: file.parent.name for part, file in files.parts.items()}, str(path),
                      "the folders")
    if found.unused:
        notes.left_out("images of the test part left out", found.unused.name, len(schema.load(found.unused)["images"]))
    if found.val is None:
        return [("train", found.train, schema.load(found.train), None)], ""
    held = next(part for part, file in files.parts.items() if file == found.val)
    return [("train", found.train, schema.load(found.train), False),
            (held, found.val, schema.load(found.val), True)], found.note


def _categories(told: Told, notes: Notes) -> dict[str, str]:
    """Id -> name, in the order of the ids."""
    names: dict[str, str] = {}
    for _, file, content, _ in told:
        for entry in content["categories"]:
            number, name = schema.key(entry["id"]), str(entry["name"]).strip()
            if names.setdefault(number, name) != name:
                raise DataError(f"{file}: category {plain(number)} is {brief(name)} here and {brief(names[number])} "
                                "before; give every category one name")
    if not names:
        raise DataError(f"{told[0][1]}: no categories; name the classes under 'categories'")
    check_count(len(names), str(told[0][1]))
    used = {schema.key(entry["category_id"]) for _, _, content, _ in told for entry in content["annotations"]}
    below: dict[str, set[str]] = {}
    for _, _, content, _ in told:
        for entry in content["categories"]:
            below.setdefault(str(entry.get("supercategory")), set()).add(schema.key(entry["id"]))
    for number, name in list(names.items()):
        if number not in used and below.get(name, set()) - {number}:
            notes.say(f"category {plain(number)} ({plain(name)}) only groups the others and was left out")
            del names[number]
    numeric = all(number.lstrip("-").isdigit() for number in names)
    return {k: names[k] for k in sorted(names, key=lambda k: (int(k), "") if numeric else (0, k))}


def _records(content: schema.Document, file: Path, places: Places, labels: dict[str, int], held_out: bool | None,
             notes: Notes) -> list[Record]:
    images = _images(content, file, notes)
    marks: dict[str, list[Mark]] = {number: [] for number in images}
    _sort_in(content["annotations"], file, labels, marks, notes)
    found, gone = [], []
    for number, entry in images.items():
        path = places.find(entry["file_name"], f"{file}: image {plain(number)}")
        if path is None:
            gone.append(entry["file_name"])
            continue
        found.append(Record(entry["file_name"], path, entry.get("height") or None, entry.get("width") or None,
                            tuple(marks[number]), held_out, where=f"{file.name}: annotation"))
    leave_out(gone, len(images), "images are not there", notes, str(file), "copy the images or remove their entries")
    return found


def _images(content: schema.Document, file: Path, notes: Notes) -> dict[str, schema.Image]:
    images: dict[str, schema.Image] = {}
    names: dict[str, str] = {}
    for entry in content["images"]:
        number = schema.key(entry["id"])
        if number in images and images[number] == entry:
            notes.left_out("images listed twice taken once", entry["file_name"])
            continue
        if number in images:
            raise DataError(f"{file}: image id {plain(number)} is there twice; number the images anew")
        if entry["file_name"] in names:
            raise DataError(f"{file}: {brief(entry['file_name'])} is listed twice; remove one entry")
        images[number], names[entry["file_name"]] = entry, number
    if not images:
        raise DataError(f"{file}: no images; list them under 'images'")
    return images


def _sort_in(entries: Sequence[schema.Annotation], file: Path, labels: dict[str, int], marks: dict[str, list[Mark]],
             notes: Notes) -> None:
    """Add every annotation to its image."""
    lost: list[str] = []
    seen: set[tuple[str, int, tuple[float, ...]]] = set()
    boxes = Boxes(file)
    for i, entry in enumerate(entries):
        image, category = schema.key(entry["image_id"]), schema.key(entry["category_id"])
        if image not in marks:
            lost.append(f"annotation {i} of image {plain(image)}")
            continue
        if category not in labels:
            raise DataError(f"{file}: annotation {i} is of category {plain(category)}, which is not listed; known: "
                            f"{', '.join(map(plain, list(labels)[:20]))}")
        box = boxes.of(i, entry)
        same = image, labels[category], box or ()
        if box is None or same in seen:
            kind = "boxes that are there twice taken once" if box else \
                "annotations with neither a bbox nor an outline left out"
            notes.left_out(kind, f"{file.name}: annotation {i}")
            continue
        seen.add(same)
        crowd = bool(entry.get("iscrowd"))
        if crowd:
            notes.left_out("boxes of crowds (iscrowd) that need not be found", f"{file.name}: annotation {i}")
        x, y, w, h = box
        marks[image].append(Mark((x, y, x + w, y + h), labels[category], crowd, i))
    leave_out(lost, len(entries), "annotations are of images that are not listed", notes, str(file),
              "list the images or remove the annotations")
