"""The box of an annotation of COCO: its bbox, else that of its outline, polygons or run lengths."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

from hwnas.data.detection import coco_schema as schema
from hwnas.errors import DataError

Box = tuple[float, float, float, float]


class Boxes:
    """Boxes x, y, width, height of one file; outlines are read when the first box is missing."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._outlines: list[schema.Outline] | None = None

    def of(self, number: int, entry: schema.Annotation) -> Box | None:
        """Of the annotation `number`, or None where it has neither.

        Raises:
            DataError: a bbox that is not four numbers, or an outline of another form.
        """
        found = entry.get("bbox")
        if found:
            if len(found) != 4:
                raise DataError(f"{self._file}: annotation {number} has a bbox of {len(found)} numbers; annotations "
                                "must have image_id, category_id and bbox [x, y, width, height]")
            return found[0], found[1], found[2], found[3]
        if self._outlines is None:
            self._outlines = schema.load_outlines(self._file)
        try:
            return box_of(self._outlines[number].get("segmentation"))
        except (TypeError, ValueError, KeyError, IndexError, OverflowError) as err:
            raise DataError(f"{self._file}: annotation {number} has no bbox, and an outline that is neither polygons "
                            "[[x, y, ...]] nor run lengths {counts, size}: give it a bbox") from err


def box_of(outline: Any) -> Box | None:
    """The box around polygons or run lengths; None where there is no outline.

    Raises:
        TypeError, ValueError, KeyError, IndexError, OverflowError: another form.
    """
    if not outline:
        return None
    if isinstance(outline, dict):
        return _of_runs(outline)
    polygons = outline if isinstance(outline[0], list) else [outline]
    xs = [float(v) for polygon in polygons for v in polygon[0::2]]
    ys = [float(v) for polygon in polygons for v in polygon[1::2]]
    if not ys or not all(map(math.isfinite, (*xs, *ys))):
        return None
    return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)


def _of_runs(outline: dict[str, Any]) -> Box | None:
    """Run lengths count pixels outside and inside in turn, column by column."""
    height = int(outline["size"][0])
    counts = outline["counts"]
    runs = _decoded(counts) if isinstance(counts, str) else [int(count) for count in counts]
    if not 0 < height <= schema.MOST_SIDE or any(run < 0 for run in runs):
        raise ValueError("run lengths are counts")
    ends = list(itertools.accumulate(runs))
    inside = [(ends[i - 1], ends[i] - 1) for i in range(1, len(ends), 2) if ends[i] > ends[i - 1]]
    if not inside:
        return None
    left, right = inside[0][0] // height, inside[-1][1] // height
    spans = [(first % height, last % height) if first // height == last // height else (0, height - 1)
             for first, last in inside]
    top, bottom = min(a for a, _ in spans), max(b for _, b in spans)
    return float(left), float(top), float(right - left + 1), float(bottom - top + 1)


def _decoded(text: str) -> list[int]:
    """COCO's compressed counts: six bits a character from '0' on, the sixth says that more follow; from the third on
    they are differences to the count before the last."""
    found: list[int] = []
    value, shift = 0, 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 40:
            raise ValueError("not COCO's run lengths")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            found.append(value + (found[-2] if len(found) > 2 else 0))
            value, shift = 0, 0
    return found
