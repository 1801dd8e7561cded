"""YOLO text: DIR/images/{train,val} with DIR/labels/{train,val}, classes in DIR/data.yaml or DIR/classes.txt.

A line of a label file is a box: class, then centre x, centre y, width and height as shares of the image.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from hwnas.data.detection.listed import Listed, Mark, Record, refuse
from hwnas.data.folder import SUFFIXES
from hwnas.errors import DataError

PARTS = {"train": False, "val": True, "valid": True}


def find(path: Path) -> dict[str, Path] | None:
    """The folders of images by part, or None where it is no such layout."""
    if not (path / "labels").is_dir() or not (path / "images").is_dir():
        return None
    parts = {part: path / "images" / part for part in PARTS if (path / "images" / part).is_dir()}
    return parts or {"all": path / "images"}


def read(path: Path, folders: dict[str, Path]) -> Listed:
    """Read what `find` found.

    Raises:
        DataError: lines that are no boxes, classes without a name; names the first five.
    """
    names = _names(path)
    split = sum(folder.is_dir() for folder in folders.values()) > 1
    records, wrong = [], list[str]()
    for part, folder in folders.items():
        for image in sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES):
            label = (path / "labels" / image.relative_to(path / "images")).with_suffix(".txt")
            marks = _marks(label, len(names), wrong) if label.is_file() else ()
            records.append(Record(image.name, image, None, None, marks, PARTS[part] if split else None, relative=True))
    wrong += _orphans(path, folders)
    refuse(wrong)
    if not records:
        raise DataError(f"{path / 'images'}: no images ({' '.join(sorted(SUFFIXES))})")
    return Listed(path.resolve().name, str(path), tuple(records), names, tuple(range(len(names))),
                  "as the folders train and val say" if split else "")


def _orphans(path: Path, folders: dict[str, Path]) -> list[str]:
    """Labels that no image has."""
    found = []
    for folder in folders.values():
        files = (p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
        images = {p.relative_to(path / "images").with_suffix("") for p in files}
        labels = sorted((path / "labels" / folder.relative_to(path / "images")).rglob("*.txt"))
        found += [f"{label} has no image in {folder}; add the image or remove the label" for label in labels
                  if label.name != "classes.txt" and label.relative_to(path / "labels").with_suffix("") not in images]
    return found


def _marks(file: Path, classes: int, wrong: list[str]) -> tuple[Mark, ...]:
    found = []
    for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if not line.strip():
            continue
        where = f"{file}: line {number}"
        try:
            label, x, y, w, h = int(line.split()[0]), *(float(v) for v in line.split()[1:])
        except (ValueError, IndexError):
            wrong.append(f"{where} must be 'class x y width height', not {line[:60]!r}")
            continue
        if not 0 <= label < classes:
            wrong.append(f"{where} is of class {label}; data.yaml names 0..{classes - 1}")
            continue
        found.append(Mark((x - w / 2, y - h / 2, x + w / 2, y + h / 2), label, False, where))
    return tuple(found)


def _different(names: list[str], file: Path) -> tuple[str, ...]:
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    refuse([f"{file}: two classes are called {name!r}; rename one" for name in twice])
    return tuple(names)


def _names(path: Path) -> tuple[str, ...]:
    import yaml

    for file in (path / "data.yaml", path / "dataset.yaml"):
        if file.is_file():
            try:
                content: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
                names = content["names"]
                # A gap would number the classes after it differently from their labels.
                found = [names[k] for k in range(len(names))] if isinstance(names, dict) else list(names)
            except (yaml.YAMLError, KeyError, TypeError, UnicodeDecodeError) as err:
                raise DataError(f"{file} must have a list 'names' of the classes: {err!r}") from err
            return _different(list(map(str, found)), file)
    if (path / "classes.txt").is_file():
        return tuple(line.strip() for line in (path / "classes.txt").read_text("utf-8").splitlines() if line.strip())
    raise DataError(f"{path} has no data.yaml with the names of its classes; write one: names: [first, second]")
