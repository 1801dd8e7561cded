"""What a reader of boxes gives before anything is decoded, and the rules that every box must keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hwnas.errors import DataError

Boxes = npt.NDArray[np.float32]

REPORTED = 5


@dataclass(frozen=True)
class Mark:
    """One box as its file has it: x0, y0, x1, y1 in pixels of the image, its class number, and where it stands."""

    box: tuple[float, float, float, float]
    label: int
    crowd: bool
    where: str


@dataclass(frozen=True)
class Record:
    """One image and its marks.

    Attributes:
        height, width: as the annotation says; None where it does not.
        held_out: whether it validates; None where the source does not say.
        relative: whether boxes are shares of the image's sides.
    """

    name: str
    path: Path
    height: int | None
    width: int | None
    marks: tuple[Mark, ...]
    held_out: bool | None
    relative: bool = False


@dataclass(frozen=True)
class Listed:
    """A source that has been read but not decoded."""

    name: str
    source: str
    records: tuple[Record, ...]
    classes: tuple[str, ...]
    category_ids: tuple[int, ...]
    split: str


def checked_boxes(record: Record, height: int, width: int) -> tuple[Boxes, int]:
    """Boxes of an image of height x width in its pixels, float32 (n, 4), and how many were cut at its border.

    Raises:
        DataError: boxes that are no numbers, have no area or lie outside; names the first five.
    """
    raw = np.array([mark.box for mark in record.marks], np.float64).reshape(-1, 4)
    if record.relative:
        raw = raw * np.array([width, height, width, height])
    clipped = np.clip(raw, 0, [width, height, width, height])
    wrong = [f"{mark.where}: {_reason(box, cut, width, height)}"
             for mark, box, cut in zip(record.marks, raw, clipped, strict=True) if _reason(box, cut, width, height)]
    refuse(wrong)
    beyond = np.abs(clipped - raw).max(axis=1, initial=0) > 0.5  # half a pixel is rounding
    return clipped.astype(np.float32), int(beyond.sum())


def refuse(wrong: Sequence[str]) -> None:
    """Raise DataError with the first five faults, if there are any."""
    if wrong:
        more = f"; and {len(wrong) - REPORTED} more" if len(wrong) > REPORTED else ""
        raise DataError("; ".join(wrong[:REPORTED]) + more)


def _reason(box: npt.NDArray[np.float64], cut: npt.NDArray[np.float64], width: int, height: int) -> str:
    told = ", ".join(f"{v:g}" for v in box)
    if not np.isfinite(box).all():
        return f"box ({told}) is not made of numbers; correct or remove it"
    if box[2] <= box[0] or box[3] <= box[1]:
        return f"box ({told}) has no area (x0, y0, x1, y1); correct or remove it"
    if cut[2] <= cut[0] or cut[3] <= cut[1]:
        return f"box ({told}) lies outside its image of {width}x{height} px; correct or remove it"
    return ""
