"""One XML of Pascal VOC: bounded, without entities, its objects and their boxes."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from hwnas.documents import MIB, brief, read_text
from hwnas.errors import DataError

LARGEST_BYTES = 16 * MIB
_FORBIDDEN = re.compile(r"<!(DOCTYPE|ENTITY)", re.IGNORECASE)
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class Thing:
    """An object: x0, y0, x1, y1 as they are written, NaN where one is not."""

    name: str
    box: tuple[float, float, float, float]
    difficult: bool


def read_tree(file: Path) -> ElementTree.Element:
    """The annotation in a file.

    It is decoded here, as UTF-8: in an encoding of the file's own choice a declaration of entities would not be seen.

    Raises:
        DataError: too large, entities, no XML, or not VOC's.
    """
    text = read_text(file, LARGEST_BYTES, DataError)
    if "\0" in text:  # UTF-16 without a mark: expat would know it by its zero bytes, the pattern below would not
        raise DataError(f"{file} holds zero bytes; store it as UTF-8")
    if _FORBIDDEN.search(text):
        raise DataError(f"{file}: annotations are small and declare no entities; this one is refused")
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, LookupError) as err:
        raise DataError(f"{file} is not XML: {err}; export it again") from err
    if root.tag != "annotation":
        raise DataError(f"{file}: the root is {brief(root.tag, 40)}, not 'annotation'; this is not Pascal VOC")
    return root


def objects(tree: ElementTree.Element, file: Path) -> list[Thing]:
    """The objects of an annotation.

    Raises:
        DataError: one without a name, or with a corner that is no number.
    """
    found = []
    for i, element in enumerate(tree.findall("object")):
        name = (element.findtext("name") or "").strip()
        if not name:
            raise DataError(f"{file}: an object has no <name>; name its class")
        texts = [element.findtext(f"bndbox/{corner}") for corner in _CORNERS]
        box = [number(text) for text in texts]
        if any(text and text.strip() and math.isnan(value) and text.strip().lower() != "nan"
               for text, value in zip(texts, box, strict=True)):
            raise DataError(f"{file}: object {i} must have bndbox with the numbers xmin, ymin, xmax, ymax, not "
                            f"{brief(next(t for t, v in zip(texts, box, strict=True) if t and math.isnan(v)))}")
        difficult = (element.findtext("difficult") or "0").strip() == "1"
        found.append(Thing(name, (box[0], box[1], box[2], box[3]), difficult))
    return found


def number(text: str | None) -> float:
    """A number, NaN where there is none."""
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan
