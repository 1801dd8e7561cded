"""Which part of a data set a name means: the one table for folders, lists, keys and files of every reader.

`train2017`, `Training`, `train_set` are training; `val`, `valid`, `validation-2014` validation; `test`, `Testing` test.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from hwnas.documents import brief
from hwnas.errors import DataError

T = TypeVar("T")

TRAIN, VAL, TEST = "train", "val", "test"
_WORDS = {
    TRAIN: ("train", "training", "trn"),
    VAL: ("val", "valid", "validation", "validate"),
    TEST: ("test", "testing", "tst"),
}
_PART = {word: part for part, words in _WORDS.items() for word in words}
_NAME = re.compile(r"([a-z]+?)(?:[ _.-]*(?:set|data|images|imgs|split|part))?(?:[ _.-]*\d{1,4})?")
_WEAK = {"dev": VAL, "devel": VAL, "eval": VAL, "evaluation": VAL, "trainval": TRAIN}  # parts beside surer ones only


def part_of(name: str) -> str | None:
    """'train', 'val' or 'test' where a name of a folder, a list, a key or a file's stem says so, else None."""
    found = _NAME.fullmatch(name.strip().casefold())
    return _PART.get(found[1]) if found else None


def parts_among(names: Iterable[str]) -> dict[str, str]:
    """Name -> part, of those names that are parts; `dev`, `eval` and `trainval` are, where nothing else is that part.

    Where none is called train, names that differ in the word alone are parts: `seg_train` beside `seg_test`.

    Raises:
        DataError: two names for one part.
    """
    listed = sorted(names)
    found = {name: part for name in listed if (part := part_of(name))}
    if TRAIN not in found.values():
        worded = [(name, part, _around(name)) for name in listed if (part := words_in(name))]
        for _, _, around in [entry for entry in worded if entry[1] == TRAIN]:
            alike = {name: part for name, part, its in worded if its == around}
            found = alike if len(alike) > 1 else found
    if found:
        for name in listed:
            part = _WEAK.get(name.strip().casefold())
            if part and part not in found.values():
                found[name] = part
    for part in (TRAIN, VAL, TEST):
        same = [name for name, its in found.items() if its == part]
        if len(same) > 1:
            raise DataError(f"{brief(same[0])} and {brief(same[1])} both look like the part {part!r}: keep one of them "
                            "there")
    return found


def words_in(stem: str) -> str | None:
    """The part that the words of a file's stem say: `instances_train2017`, `train-00000-of-00004`."""
    words = [part for word in re.split(r"[ _.-]+", stem) if (part := part_of(word))]
    return words[0] if len(set(words)) == 1 else part_of(stem)


def _around(name: str) -> str:
    """What a name holds besides the word for its part."""
    return " ".join(word for word in re.split(r"[ _.-]+", name.casefold()) if not part_of(word))


@dataclass(frozen=True)
class Roles(Generic[T]):
    """What trains and what validates.

    Attributes:
        train: what trains, or all, where `val` is None and it is to be split.
        val: what validates.
        note: how the source says it; empty where it is to be split.
        unused: the test part where another one validates; to be counted.
    """

    train: T
    val: T | None
    note: str
    unused: T | None = None


def roles(parts: Mapping[str, T], names: Mapping[str, str], where: str, what: str) -> Roles[T]:
    """Who trains and who validates: a test part validates where there is no other, and is not used where there is.

    Args:
        parts: 'train', 'val', 'test' -> what each holds.
        names: part -> its own name, for messages.
        where: of the data set.
        what: the names are of, like 'the folders'.

    Raises:
        DataError: no training part.
    """
    if TRAIN not in parts:
        found = " and ".join(sorted(brief(names[part]) for part in parts))
        raise DataError(f"{where}: among {what} {found} none is for training: add one named train, or pass {found} "
                        "itself to have it split")
    val = parts.get(VAL, parts.get(TEST))
    if val is None:
        return Roles(parts[TRAIN], None, "")
    held = VAL if VAL in parts else TEST
    note = f"as {what} {names[TRAIN]} and {names[held]} say"
    if held == TEST:
        note += f", where {names[TEST]} validates as no part is called val"
    return Roles(parts[TRAIN], val, note, parts.get(TEST) if held == VAL else None)
