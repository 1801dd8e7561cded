"""Lists of images, a name a line, as Pascal VOC's ImageSets has them: which part an image is of.

A name may hold blanks. Lists of one class (`cat_train.txt`) give 1, 0 or -1 after the name: whether the class is there.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from hwnas.data.listing import files_in
from hwnas.data.notes import Notes
from hwnas.data.partnames import TRAIN, VAL, parts_among, roles
from hwnas.documents import read_text
from hwnas.errors import DataError

_MARK = re.compile(r"\s+(?:-1|0|1)$")


@dataclass(frozen=True)
class Lists:
    """Name of an image -> whether it validates (None where that is to be split); empty where no lists say so.

    Attributes:
        unused: names of the test part where another one validates.
        missing: names that nothing is there for.
    """

    held: dict[str, bool | None] = field(default_factory=dict)
    note: str = ""
    unused: frozenset[str] = frozenset()
    missing: tuple[str, ...] = ()


def read_lists(folder: Path, known: Collection[str], notes: Notes) -> Lists:
    """The lists of a folder, by the table of part names.

    Args:
        known: the names that there is something for; a line means one of them, or is missing.
        notes: told of names that are in training and in validation.

    Raises:
        DataError: two lists for a part, none for training, or a list that cannot be read.
    """
    files = {file.stem: file for file in files_in(folder, (".txt",))}
    parts = {part: name for name, part in parts_among(files).items()}
    if not parts:
        return Lists()
    if TRAIN not in parts:
        raise DataError(f"{folder}: the list {parts.popitem()[1]}.txt is there and none for training: add train.txt")
    read = {part: _names(files[name], known) for part, name in parts.items()}
    if VAL in read and not read[VAL][0]:
        raise DataError(f"{files[parts[VAL]]} names no image that is there; correct it, or remove it to have training "
                        "split")
    found = roles({part: names for part, (names, _) in read.items() if names or part == TRAIN}, parts, str(folder),
                  f"the lists of {folder.parent.name}/{folder.name}")
    val = found.val or []
    shared = sorted(set(found.train) & set(val))
    if shared:
        notes.left_out("images that are in training and in validation only validate", shared[0], len(shared))
    held: dict[str, bool | None] = dict.fromkeys(found.train, False if val else None)
    held |= dict.fromkeys(val, True)
    lost = [name for part, (names, gone) in read.items() for name in gone if names is found.train or names is found.val]
    return Lists(held, found.note, frozenset(found.unused or ()) - set(held), tuple(lost))


def _names(file: Path, known: Collection[str]) -> tuple[list[str], list[str]]:
    there: list[str] = []
    gone: list[str] = []
    for line in read_text(file, error=DataError).splitlines():
        text = line.strip().replace("\\", "/")
        if not text:
            continue
        plain = _MARK.sub("", text)
        ways = [way for name in (text, plain, text.rpartition("/")[2], plain.rpartition("/")[2])
                for way in (name, name.rpartition(".")[0])]
        found = next((way for way in ways if way in known), None)
        (there if found else gone).append(found or text)
    return there, gone
