"""COCO JSON: DIR/train.json and DIR/val.json with DIR/images, COCO's own folders, or one JSON beside its images.

Known layouts
    DIR/train.json [DIR/val.json] DIR/images/*               as exported by most labelling tools
    DIR/annotations/instances_train*.json, instances_val*.json with DIR/train*/ and DIR/val*/    as COCO ships
    FILE.json with images beside it or in images/              one part, to be split
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

from hwnas.data.detection.listed import Listed, Mark, Record, refuse
from hwnas.errors import DataError

LARGEST_BYTES = 4 << 30


def find(path: Path) -> dict[str, Path] | None:
    """The annotation files of a folder by part ('train', 'val', 'all'), or None where it has none."""
    if path.is_file():
        return {"all": path} if path.suffix.lower() == ".json" else None
    for folder, names in ((path, ("{}.json", "_annotations.{}.json")),
                          (path / "annotations", ("instances_{}*.json", "{}.json"))):
        for name in names:
            train, val = (_only(sorted(folder.glob(name.format(part)))) for part in ("train", "val"))
            if train is not None:
                return {"train": train} | ({"val": val} if val else {})
    alone = sorted(path.glob("*.json"))
    return {"all": alone[0]} if len(alone) == 1 else None


def _only(files: list[Path]) -> Path | None:
    if len(files) > 1:
        names = ", ".join(file.name for file in files[:5])
        raise DataError(f"{files[0].parent} holds {len(files)} files for one part ({names}); pass the path of one")
    return files[0] if files else None


def read(path: Path, files: dict[str, Path]) -> Listed:
    """Read what `find` found.

    Raises:
        DataError: files that are not COCO's JSON, unknown ids, images that are not there; names the first five.
    """
    root = path if path.is_dir() else path.parent
    told = {part: _load(file) for part, file in files.items()}
    names = _categories(told, files)
    ids = sorted(names)
    split = "train" in files and "val" in files
    records: list[Record] = []
    for part, content in told.items():
        records += _records(content, files[part], root, part, {k: i for i, k in enumerate(ids)},
                            part == "val" if split else None)
    note = f"as {files['train'].name} and {files['val'].name} say" if split else ""
    return Listed(root.resolve().name, str(path), tuple(records), tuple(names[k] for k in ids), tuple(ids), note)


def _load(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > LARGEST_BYTES:
            raise DataError(f"{file} is larger than {LARGEST_BYTES >> 30} GiB: split it")
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, RecursionError) as err:
        raise DataError(f"{file} cannot be read: {err}") from err
    except json.JSONDecodeError as err:
        raise DataError(f"{file} is not JSON: {err.msg} at line {err.lineno}, column {err.colno}; export it again"
                        ) from err
    lists = ("images", "annotations", "categories")
    if not isinstance(content, dict) or not all(isinstance(content.get(key), list) for key in lists):
        raise DataError(f"{file} is not COCO's JSON: it must be an object with the lists {', '.join(lists)}")
    return content


def _categories(told: dict[str, dict[str, Any]], files: dict[str, Path]) -> dict[int, str]:
    names: dict[int, str] = {}
    for part, content in told.items():
        for i, entry in enumerate(content["categories"]):
            try:
                number, name = int(entry["id"]), str(entry["name"])
            except (TypeError, KeyError, ValueError) as err:
                raise DataError(f"{files[part]}: category {i} must have an id and a name: {err!r}") from err
            if names.setdefault(number, name) != name:
                raise DataError(f"{files[part]}: category {number} is {name!r} here and {names[number]!r} before; give "
                                "every category one name")
    if not names:
        raise DataError(f"{next(iter(files.values()))}: no categories; name the classes under 'categories'")
    if len(set(names.values())) < len(names):
        twice = next(n for n in names.values() if list(names.values()).count(n) > 1)
        raise DataError(f"{next(iter(files.values()))}: two categories are called {twice!r}; rename one")
    return names


def _records(content: dict[str, Any], file: Path, root: Path, part: str, labels: dict[int, int],
             held_out: bool | None) -> list[Record]:
    marks: dict[int, list[Mark]] = {}
    images: dict[int, dict[str, Any]] = {}
    wrong: list[str] = []
    for i, entry in enumerate(content["images"]):
        try:
            number = int(entry["id"])
            str(entry["file_name"])
        except (TypeError, KeyError, ValueError) as err:
            raise DataError(f"{file}: image {i} must have an id and a file_name: {err!r}") from err
        if number in images:
            wrong.append(f"{file}: image id {number} is there twice; number the images anew")
        images[number], marks[number] = entry, []
    wrong += [f"{file}: {twice} is listed twice; remove one entry"
              for twice, count in Counter(str(entry["file_name"]) for entry in images.values()).items() if count > 1]
    numbers = Counter(str(entry["id"]) for entry in content["annotations"] if isinstance(entry, dict) and "id" in entry)
    wrong += [f"{file}: annotation id {number} is there twice; renumber one"
              for number, count in numbers.items() if count > 1]
    for i, entry in enumerate(content["annotations"]):
        fault = _mark(entry, f"{file}: annotation {i}", labels, marks)
        if fault:
            wrong.append(fault)
    refuse(wrong)
    found = [_record(entry, file, root, part, tuple(marks[number]), held_out) for number, entry in images.items()]
    refuse([f"{file}: {record} is not there; copy the image or remove its entry"
            for record in found if isinstance(record, str)])
    return [record for record in found if isinstance(record, Record)]


def _mark(entry: Any, where: str, labels: dict[int, int], marks: dict[int, list[Mark]]) -> str:
    """Add an annotation to its image; what is wrong with it, if anything."""
    try:
        image, category, box = int(entry["image_id"]), int(entry["category_id"]), [float(v) for v in entry["bbox"]]
        x, y, w, h = box
    except (TypeError, KeyError, ValueError, OverflowError) as err:
        return f"{where} must have image_id, category_id and bbox [x, y, width, height]: {err!r}"
    if image not in marks:
        return f"{where} is of image {image}, which is not listed; remove it or list the image"
    if category not in labels:
        return f"{where} is of category {category}, which is not listed; known: {', '.join(map(str, labels))}"
    marks[image].append(Mark((x, y, x + w, y + h), labels[category], bool(entry.get("iscrowd", 0)), where))
    return ""


def _record(entry: dict[str, Any], file: Path, root: Path, part: str, marks: tuple[Mark, ...],
            held_out: bool | None) -> Record | str:
    name = str(entry["file_name"])
    places = [root / "images" / name, root / name, root / "images" / part / name, root / part / name,
              *(folder / name for folder in sorted(root.glob(f"{part}*")) if folder.is_dir()), file.parent / name]
    path = next((place for place in places if os.path.isfile(place)), None)
    if path is None:
        return name
    try:
        height, width = (int(entry[key]) if entry.get(key) else None for key in ("height", "width"))
    except (TypeError, ValueError, OverflowError) as err:
        raise DataError(f"{file}: height and width of {name} must be whole numbers of px: {err}") from err
    return Record(name, path, height, width, marks, held_out)
