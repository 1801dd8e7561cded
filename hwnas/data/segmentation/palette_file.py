"""The file that says what masks hold, beside the data: classes.txt, or what other tools call it.

| file             | a line                                            | masks hold |
|------------------|---------------------------------------------------|------------|
| classes.txt      | `id name` or `id name r g b`                      | numbers; colours where they are in RGB |
| classes.txt      | `name r g b`, or `r g b name` as CamVid has it    | colours, also where they are in P or L |
| label_colors.txt | `r g b name`                                      | colours    |
| labelmap.txt     | `name:r,g,b:parts:actions`, as CVAT has it        | colours    |
| class_dict.csv   | name,r,g,b below a heading                        | colours    |

All lines of a file have one form. The names ignore, void, unlabelled mark what does not matter.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwnas.data.names import checked_names
from hwnas.data.segmentation.palette import MOST_CLASSES, Colour, Palette, colours_for
from hwnas.documents import MIB, brief, read_text
from hwnas.errors import DataError

IGNORED = ("ignore", "void", "unlabelled", "unlabeled")
_FILES = ("classes.txt", "label_colors.txt", "labelmap.txt", "class_dict.csv")
_BYTES = MIB
_WHOLE = re.compile(r"-?[0-9]{1,9}")
_FORMS = "'id name', 'id name r g b', 'name r g b' or 'r g b name', the same in all lines, with numbers of 0 to 255"


@dataclass(frozen=True)
class _Row:
    """A line: what it names, its number or colour as far as it gives them, and where it stands."""

    name: str
    number: int | None
    colour: Colour | None
    where: str


def read_palette(folder: Path) -> Palette | None:
    """The palette of a data set, or None where it has no such file.

    Raises:
        DataError: a line that cannot be read, or a number, colour or name that is there twice.
    """
    file = next((folder / name for name in _FILES if (folder / name).is_file()), None)
    if file is None:
        return None
    rows = _rows(file)
    numbered = rows[0].number is not None
    keys = [row.number if numbered else row.colour for row in rows]
    if len(set(keys)) < len(keys):
        rule = "a number is there twice; every class needs one of its own" if numbered else \
            f"the colour {Counter(keys).most_common(1)[0][0]} is there twice; every class needs one of its own"
        raise DataError(f"{file}: {rule}")
    kept = [row for row in rows if row.name.lower() not in IGNORED]
    if len(kept) > MOST_CLASSES:
        raise DataError(f"{file}: {len(kept)} classes; at most {MOST_CLASSES} are told apart: name some 'ignore'")
    ignored = [row for row in rows if row.name.lower() in IGNORED]
    made_up = colours_for(len(kept))
    colours = [row.colour or tuple(made_up[i].tolist()) for i, row in enumerate(kept)]
    coloured = all(row.colour for row in kept) and len(set(colours)) == len(colours)
    return Palette(checked_names([row.name for row in kept], str(file)), np.array(colours, np.uint8).reshape(-1, 3),
                   tuple(row.number for row in kept if row.number is not None),
                   tuple(row.number for row in ignored if row.number is not None), coloured,
                   tuple(row.colour for row in ignored if row.colour))


def _rows(file: Path) -> list[_Row]:
    lines = [(number, line.strip()) for number, line in enumerate(read_text(file, _BYTES, DataError).splitlines(), 1)
             if line.strip() and not line.lstrip().startswith("#")]
    if file.suffix == ".csv":
        lines = [(number, line.replace(",", " ")) for number, line in lines[1:]]
    if file.name == "labelmap.txt":
        lines = [(number, " ".join(line.split(":")[:2]).replace(",", " ")) for number, line in lines]
    words = [(line.split(), f"{file}: line {number}") for number, line in lines]
    if not words:
        raise DataError(f"{file} names no class; write a line a class: {_FORMS}")
    if empty := next((where for row, where in words if not row), None):
        raise _fault([], empty)
    first = all(_int(row[0]) is not None for row, _ in words)
    colour_first = first and all(len(row) > 3 and _colour(row[:3]) and _int(row[3]) is None for row, _ in words)
    read = _colour_first if colour_first else _colour_last if not any(_int(row[0]) is not None for row, _ in words) \
        else _number_first
    return [read(row, where) for row, where in words]


def _number_first(words: Sequence[str], where: str) -> _Row:
    number, name, colour = _int(words[0]), list(words[1:]), None
    if len(name) > 3 and all(_int(word) is not None for word in name[-3:]):
        name, colour = name[:-3], _colour(name[-3:])
        if colour is None:
            raise _fault(words, where)
    if not name or number is None or not 0 <= number <= 255:
        raise _fault(words, where)
    return _Row(" ".join(name), number, colour, where)


def _colour_first(words: Sequence[str], where: str) -> _Row:
    return _Row(" ".join(words[3:]), None, _colour(words[:3]), where)


def _colour_last(words: Sequence[str], where: str) -> _Row:
    colour = _colour(words[-3:])
    if len(words) < 4 or colour is None:
        raise _fault(words, where)
    return _Row(" ".join(words[:-3]), None, colour, where)


def _fault(words: Sequence[str], where: str) -> DataError:
    return DataError(f"{where} must be {_FORMS}, not {brief(' '.join(words))}")


def _colour(words: Sequence[str]) -> Colour | None:
    values = [value for word in words if (value := _int(word)) is not None and 0 <= value <= 255]
    return (values[0], values[1], values[2]) if len(values) == len(words) == 3 else None


def _int(word: str) -> int | None:
    return int(word) if _WHOLE.fullmatch(word) else None
