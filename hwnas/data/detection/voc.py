"""Pascal VOC: an XML an image, in DIR/Annotations with DIR/JPEGImages and DIR/ImageSets/Main, or beside the images.

A box marked `difficult` counts as a crowd: it need not be found, and excuses what is found in it, as VOC judges it.
Without those lists the folders train and val (or valid, validation) are the parts, if they hold the XML.
Coordinates of VOC count from 1 and include the last pixel: (xmin - 1, ymin - 1) to (xmax, ymax).
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from xml.etree import ElementTree

from hwnas.data.detection.listed import Listed, Mark, Record, refuse
from hwnas.data.folder import SUFFIXES
from hwnas.errors import DataError

LARGEST_BYTES = 16 << 20
_FORBIDDEN = re.compile(rb"<!(DOCTYPE|ENTITY)", re.IGNORECASE)


def find(path: Path) -> list[Path] | None:
    """The XML files of a folder, or None where it has none."""
    if not path.is_dir():
        return None
    if not (path / "Annotations").is_dir() and (parts := _part_folders(path)):
        return sorted(file for folder in parts for file in folder.rglob("*.xml"))
    folder = path / "Annotations" if (path / "Annotations").is_dir() else path
    return sorted(folder.rglob("*.xml")) or None


def _part_folders(path: Path) -> dict[Path, bool]:
    """The folders train and val (or valid, validation) of XML, and whether each validates; test is left alone."""
    folders = [path / "train", *(path / name for name in ("val", "valid", "validation"))]
    held = [folder for folder in folders if folder.is_dir() and any(folder.rglob("*.xml"))]
    return {folder: folder.name != "train" for folder in held[:2]} if folders[0] in held else {}


def read(path: Path, files: list[Path]) -> Listed:
    """Read what `find` found.

    Raises:
        DataError: files that are not VOC's XML, images that are not there; names the first five.
    """
    parts = _parts(path)
    trees = {file: _tree(file) for file in files if not parts or file.stem in parts}
    names = sorted({_text(o, "name", file) for file, tree in trees.items() for o in tree.iter("object")})
    if not names:
        raise DataError(f"{path}: no object in any XML; there is nothing to learn")
    folders = {} if (path / "Annotations").is_dir() else _part_folders(path)
    told = folders if len(folders) > 1 else {}
    held = {file: next((val for folder, val in told.items() if folder in file.parents), parts.get(file.stem))
            for file in trees}
    found = [_record(path, file, tree, names, held[file]) for file, tree in trees.items()]
    refuse([entry for entry in found if isinstance(entry, str)])
    missing = sorted(set(parts) - {file.stem for file in files})
    refuse([f"{path}: ImageSets lists {name}, which has no XML; annotate it or remove it" for name in missing])
    note = f"as the folders {' and '.join(folder.name for folder in told)} say" if told else ""
    note = "as ImageSets/Main says" if parts else note
    return Listed(path.resolve().name, str(path), tuple(r for r in found if isinstance(r, Record)), tuple(names),
                  tuple(range(1, len(names) + 1)), note)


def _parts(path: Path) -> dict[str, bool]:
    """Stem of an image -> whether it validates; empty where no lists say so."""
    folder = path / "ImageSets" / "Main"
    for train, val in (("train", "val"), ("trainval", "test")):
        both = [folder / f"{name}.txt" for name in (train, val)]
        if all(file.is_file() for file in both):
            return {line.split()[0]: held for file, held in zip(both, (False, True), strict=True)
                    for line in file.read_text(encoding="utf-8").splitlines() if line.strip()}
    return {}


def _tree(file: Path) -> ElementTree.Element:
    try:
        content = file.read_bytes()
    except OSError as err:
        raise DataError(f"{file} cannot be read: {err.strerror}") from err
    if len(content) > LARGEST_BYTES or _FORBIDDEN.search(content):
        raise DataError(f"{file}: annotations are small and declare no entities; this one is refused")
    if b"\0" in content:  # UTF-16, in which the pattern above would not be seen
        raise DataError(f"{file} holds zero bytes; store it as UTF-8")
    try:
        root = ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError, LookupError) as err:
        raise DataError(f"{file} is not XML: {err}; export it again") from err
    if root.tag != "annotation":
        raise DataError(f"{file}: the root is <{root.tag[:40]}>, not <annotation>; this is not Pascal VOC")
    return root


def _record(path: Path, file: Path, tree: ElementTree.Element, names: list[str], held_out: bool | None) -> Record | str:
    listed = tree.findtext("filename") or ""
    stems = [listed, *(f"{file.stem}{suffix}" for suffix in sorted(SUFFIXES))]
    folders = (path / "JPEGImages", path / "images", file.parent)
    places = (folder / name for folder in folders for name in stems if name)
    image = next((place for place in places if os.path.isfile(place)), None)
    if image is None:
        return f"{file}: its image {listed or file.stem} is not there; copy it or remove the XML"
    try:
        height, width = (int(tree.findtext(f"size/{side}") or 0) or None for side in ("height", "width"))
    except ValueError as err:
        return f"{file}: its size is not a number: {err}"
    marks = []
    for i, found in enumerate(tree.iter("object")):
        try:
            x0, y0, x1, y1 = (float(found.findtext(f"bndbox/{k}") or "nan") for k in ("xmin", "ymin", "xmax", "ymax"))
        except ValueError as err:
            return f"{file}: object {i} must have bndbox with xmin, ymin, xmax, ymax: {err}"
        difficult = (found.findtext("difficult") or "0").strip() == "1"
        marks.append(Mark((x0 - 1, y0 - 1, x1, y1), names.index(_text(found, "name", file)), difficult,
                          f"{file}: object {i}"))
    return Record(image.name, image, height, width, tuple(marks), held_out)


def _text(element: ElementTree.Element, tag: str, file: Path) -> str:
    text = (element.findtext(tag) or "").strip()
    if not text:
        raise DataError(f"{file}: an object has no <{tag}>; name its class")
    return text
