"""What a reader of boxes gives before anything is decoded, and the rules that every box must keep.

symbol  meaning                                              shape
boxes   x0, y0, x1, y1 in pixels, of every image in turn     (n, 4)
limits  width, height, width, height of the image of a box   (n, 4)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hwnas.data.notes import REPORTED, WRONG, Notes
from hwnas.errors import DataError

Boxes = npt.NDArray[np.float32]
Box = tuple[float, float, float, float]

ROUNDING = 0.5  # px beyond the border that are no cut


@dataclass(frozen=True)
class Mark:
    """One box as its file has it: x0, y0, x1, y1 in pixels of the image, its class number, and where it stands."""

    box: Box
    label: int
    crowd: bool
    number: int


@dataclass(frozen=True)
class Record:
    """One image and its marks.

    Attributes:
        height, width: as the annotation says; None where it does not.
        held_out: whether it validates; None where the source does not say.
        relative: whether boxes are shares of the image's sides.
        where: what the number of a mark is counted in, like 'x.txt: line'.
    """

    name: str
    path: Path
    height: int | None
    width: int | None
    marks: tuple[Mark, ...]
    held_out: bool | None
    relative: bool = False
    where: str = ""


@dataclass(frozen=True)
class Listed:
    """A source that has been read but not decoded."""

    name: str
    source: str
    records: tuple[Record, ...]
    classes: tuple[str, ...]
    category_ids: tuple[int, ...]
    split: str
    notes: Notes = field(default_factory=Notes)


@dataclass(frozen=True)
class Checked:
    """The marks of some images that can be learned from: per image the boxes in pixels, classes, crowds."""

    boxes: list[Boxes]
    labels: list[npt.NDArray[np.int64]]
    crowd: list[npt.NDArray[np.bool_]]
    clipped: int


def checked_marks(records: Sequence[Record], sizes: Sequence[tuple[int, int]], notes: Notes, source: str) -> Checked:
    """The boxes of images of known height and width, cut at the border; those that cannot be learned from are counted.

    Raises:
        DataError: half of them or more cannot: the file is wrong as a whole; names the first five.
    """
    counts = [len(record.marks) for record in records]
    marks = [(record, mark) for record in records for mark in record.marks]
    raw = np.array([mark.box for _, mark in marks], np.float64).reshape(-1, 4)
    sides = np.array(sizes, np.float64).reshape(-1, 2)[:, [1, 0, 1, 0]]
    limits = np.repeat(sides, counts, axis=0)
    relative = np.repeat(np.array([record.relative for record in records], bool), counts)
    with np.errstate(over="ignore", invalid="ignore"):  # 1e308 of a hostile file
        raw[relative] *= limits[relative]
        cut = np.clip(raw, 0, limits)
        faults = _faults(raw, cut)
        beyond = (np.abs(cut - raw).max(axis=1, initial=0) > ROUNDING) & (faults == 0)
    _leave_out([f"{record.where} {mark.number}" for record, mark in marks] if faults.any() else [], raw, faults, notes,
               source)
    numbers = np.array([mark.label for _, mark in marks], np.int64)
    crowds = np.array([mark.crowd for _, mark in marks], bool)
    ends = np.cumsum(counts)[:-1]
    kept = [np.flatnonzero(part == 0) for part in np.split(faults, ends)]

    def per_image(values: npt.NDArray[np.generic]) -> list[npt.NDArray[np.generic]]:
        return [np.ascontiguousarray(part[k]) for part, k in zip(np.split(values, ends), kept, strict=True)]

    return Checked(per_image(cut.astype(np.float32)), per_image(numbers),  # type: ignore[arg-type]
                   per_image(crowds), int(beyond.sum()))  # type: ignore[arg-type]


_KINDS = ("", "boxes that are not made of numbers left out", "boxes without area left out",
          "boxes outside their image left out")


def _faults(raw: npt.NDArray[np.float64], cut: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """0 for a box to learn from, else the number of its kind of fault."""
    finite = np.isfinite(raw).all(axis=1)
    area = (raw[:, 2] > raw[:, 0]) & (raw[:, 3] > raw[:, 1])
    inside = (cut[:, 2] > cut[:, 0]) & (cut[:, 3] > cut[:, 1])
    return np.select([~finite, ~area, ~inside], [1, 2, 3], 0).astype(np.int64)


def _leave_out(where: list[str], raw: npt.NDArray[np.float64], faults: npt.NDArray[np.int64], notes: Notes,
               source: str) -> None:
    wrong = np.flatnonzero(faults)
    told = [f"{where[i]}: box ({', '.join(f'{v:g}' for v in raw[i])})" for i in wrong[:REPORTED]]
    if wrong.size and wrong.size >= WRONG * len(faults):
        kinds = " or ".join(_KINDS[k].removesuffix(" left out").removeprefix("boxes ")
                            for k in np.unique(faults[wrong]))
        raise DataError(f"{source}: {wrong.size} of {len(faults)} boxes are {kinds}: {'; '.join(told)} (x0, y0, x1, y1 "
                        "in px); correct the form in which they are written")
    for kind in np.unique(faults[wrong]):
        those = wrong[faults[wrong] == kind]
        notes.left_out(_KINDS[kind], f"{where[those[0]]}: ({', '.join(f'{v:g}' for v in raw[those[0]])})", len(those))


def without_shared(records: list[Record], notes: Notes) -> list[Record]:
    """No image in both parts: what trains and validates would be judged by what it has seen, so it only validates."""
    held = {record.path for record in records if record.held_out}
    shared = [record for record in records if not record.held_out and record.path in held]
    if shared:
        notes.left_out("images that are in training and in validation only validate", shared[0].name, len(shared))
    return [record for record in records if record.held_out or record.path not in held]


def refuse(wrong: Sequence[str]) -> None:
    """Raise DataError with the first five faults, if there are any."""
    if wrong:
        more = f"; and {len(wrong) - REPORTED} more" if len(wrong) > REPORTED else ""
        raise DataError("; ".join(wrong[:REPORTED]) + more)
