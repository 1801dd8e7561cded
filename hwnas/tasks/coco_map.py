"""Mean average precision as COCO counts it: the numbers of pycocotools, to the last bit, in a fraction of its time.

The truth is sorted once, and any number of networks are held against it: `CocoTruth(...).score(found)`.

Glossary
    K           classes
    IoU         overlap from which a detection is right: .50, .55, ... .95, ten of them
    AP          mean of the precision at the recalls 0, .01, ... 1, at one IoU or averaged over the ten
    mAP         mean AP of the classes that have at least one box to be found
    T           thresholds of IoU
    D, G        detections and true boxes of one class in one image
    place       x0, y0, width and height of a box
    crowd       a box that need not be found and excuses what is found in it; VOC's `difficult` counts as one

Source: T.-Y. Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014, and the code of pycocotools.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hwnas.errors import InputError
from hwnas.tasks.nms import Detections

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

MOST = 100  # detections of a class in an image that count, the best by score
RECALLS = np.linspace(0, 1, 101)
_IOUS = np.linspace(0.5, 0.95, 10)
_LARGEST = 1e10  # px^2; boxes of a larger area, or of a negative one, are left out of account


@dataclass(frozen=True, eq=False)
class CocoMap:
    """How good detections are, percent; NaN where there is nothing to be found.

    Attributes:
        map: mAP@[.5:.95].
        map50: mAP@.5.
        per_class: AP@[.5:.95] of each class, (K,).
        per_class50: AP@.5 of each class, (K,).
        precision: at IoU .5 and the recalls of `RECALLS`, in 0..1: a curve for each class, (K, 101).
    """

    map: float
    map50: float
    per_class: Floats
    per_class50: Floats
    precision: Floats

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON values, without the curves; None for NaN."""
        return {
            "map": _finite(self.map), "map50": _finite(self.map50),
            "per_class": [_finite(ap) for ap in self.per_class],
            "per_class50": [_finite(ap) for ap in self.per_class50],
        }


class CocoTruth:
    """What is to be found in some images.

    Args:
        boxes: true boxes of each image, (n, 4), px of the original image.
        labels: their classes, (n,).
        crowd: whether each is a crowd, (n,).
        classes: K.

    Raises:
        InputError: not one entry an image in each argument.
    """

    def __init__(self, boxes: Sequence[npt.NDArray[np.float32]], labels: Sequence[npt.NDArray[np.int64]],
                 crowd: Sequence[Flags], classes: int) -> None:
        if not len(boxes) == len(labels) == len(crowd):
            raise InputError(f"boxes of {len(boxes)} images do not fit labels of {len(labels)} and crowds of "
                             f"{len(crowd)}: give one entry an image in each")
        self.classes, self.images = classes, len(boxes)
        self._kinds = [np.unique(kinds).tolist() for kinds in labels]
        self._wanted: dict[tuple[int, int], _Wanted] = {}
        for image, (own, kinds, crowds) in enumerate(zip(boxes, labels, crowd, strict=True)):
            places = _places(own)
            for kind in self._kinds[image]:
                here = kinds == kind
                self._wanted[image, kind] = _Wanted.of(places[here], np.asarray(crowds, bool)[here])

    def score(self, found: Sequence[Detections]) -> CocoMap:
        """How good detections are.

        Args:
            found: of each image, px of the original image.

        Raises:
            InputError: not of as many images.
        """
        if len(found) != self.images:
            raise InputError(f"detections of {len(found)} images cannot be compared with the truth of {self.images}: "
                             "give one entry an image in each")
        rows: list[list[_Matched]] = [[] for _ in range(self.classes)]
        for image, seen in enumerate(found):
            places, scores = _places(seen.boxes), np.asarray(seen.scores, np.float64)
            for kind in {*np.unique(seen.labels).tolist(), *self._kinds[image]} & set(range(self.classes)):
                here = np.flatnonzero(seen.labels == kind)
                best = here[np.argsort(-scores[here], kind="mergesort")[:MOST]]
                rows[kind].append(_matched(places[best], scores[best], self._wanted.get((image, kind), _NOTHING)))
        return _summary(np.stack([_precision(row) for row in rows], axis=2))


def coco_map(found: Sequence[Detections], boxes: Sequence[npt.NDArray[np.float32]],
             labels: Sequence[npt.NDArray[np.int64]], crowd: Sequence[Flags], classes: int) -> CocoMap:
    """`CocoTruth.score` of one network: arguments and errors of both."""
    return CocoTruth(boxes, labels, crowd, classes).score(found)


@dataclass(frozen=True, eq=False)
class _Wanted:
    """True boxes of one class in one image.

    Attributes:
        places: (G, 4), those that must be found first.
        crowd: (G,).
        needed: how many must be found; the others are left out of account, and so is what is found in them.
    """

    places: Floats
    crowd: Flags
    needed: int

    @classmethod
    def of(cls, places: Floats, crowd: Flags) -> _Wanted:
        ignored = crowd | _out_of_range(places)
        order = np.argsort(ignored, kind="mergesort")
        return cls(places[order], crowd[order], int((~ignored).sum()))


@dataclass(frozen=True, eq=False)
class _Matched:
    """Detections of one class in one image, best first.

    Attributes:
        scores: (D,).
        right, ignored: at each threshold whether each took a box that must be found, or is left out of account, (T, D).
        needed: boxes that had to be found.
    """

    scores: Floats
    right: Flags
    ignored: Flags
    needed: int


def _places(boxes: npt.NDArray[Any]) -> Floats:
    corners = np.asarray(boxes, np.float64).reshape(-1, 4)
    return np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)


def _out_of_range(places: Floats) -> Flags:
    areas = places[:, 2] * places[:, 3]
    return np.asarray((areas < 0) | (areas > _LARGEST))


_NOTHING = _Wanted.of(np.zeros((0, 4)), np.zeros(0, bool))


def _matched(places: Floats, scores: Floats, wanted: _Wanted) -> _Matched:
    """One detection after the other takes the box it overlaps most of those not taken; one that must be found first."""
    right, ignored = (np.zeros((len(_IOUS), len(scores)), bool) for _ in range(2))
    taken = np.zeros((len(_IOUS), len(wanted.places)), bool)
    ious, needed = _overlaps(places, wanted) if taken.size else np.zeros((0, 0)), wanted.needed
    for place in np.flatnonzero((ious >= _IOUS[0]).any(axis=1)):
        right[:, place] = _take(taken[:, :needed], ious[place, :needed], _IOUS)
        rest = taken[:, needed:] & ~wanted.crowd[needed:]  # a crowd may be taken any number of times
        ignored[:, place] = _take(rest, ious[place, needed:], np.where(right[:, place], np.inf, _IOUS))
        taken[:, needed:] |= rest
    return _Matched(scores, right, ignored | (~right & _out_of_range(places)), needed)


def _take(taken: Flags, ious: Floats, least: Floats) -> Flags:
    """Marks in `taken` (T, G) the box of largest IoU that is free, of equal ones the last; where it is enough: (T,)."""
    if not len(ious):
        return np.zeros(len(taken), bool)
    free = np.where(taken, -1.0, ious)
    best = free.shape[1] - 1 - free[:, ::-1].argmax(axis=1)
    levels = np.arange(len(taken))
    enough: Flags = free[levels, best] >= least
    taken[levels[enough], best[enough]] = True
    return enough


def _overlaps(places: Floats, wanted: _Wanted) -> Floats:
    """IoU of detections (D, 4) with boxes (G, 4), of a crowd the share of the detection that lies in it: (D, G)."""
    low, high = places[:, None, :2], places[:, None, :2] + places[:, None, 2:]
    other = wanted.places
    sides = np.minimum(high, other[:, :2] + other[:, 2:]) - np.maximum(low, other[:, :2])
    shared, own = sides[..., 0] * sides[..., 1], (places[:, 2] * places[:, 3])[:, None]
    union = np.where(wanted.crowd, own, own + other[:, 2] * other[:, 3] - shared)
    found: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=(sides > 0).all(axis=-1))
    return found


def _precision(rows: Sequence[_Matched]) -> Floats:
    """Precision of a class by IoU and recall, (T, 101); -1 where nothing is to be found."""
    found, needed = np.zeros((len(_IOUS), len(RECALLS))), sum(row.needed for row in rows)
    if not needed:
        return found - 1
    order = np.argsort(-np.concatenate([row.scores for row in rows]), kind="mergesort")
    right, ignored = (np.concatenate(parts, axis=1)[:, order] for parts in ([row.right for row in rows],
                                                                            [row.ignored for row in rows]))
    hits, faults = np.cumsum(right, axis=1).astype(float), np.cumsum(~right & ~ignored, axis=1).astype(float)
    precision = hits / (faults + hits + np.spacing(1))
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]  # at this recall or any larger one
    for level, recall in enumerate(hits / needed):
        at = np.searchsorted(recall, RECALLS)
        at = at[at < len(order)]
        found[level, : len(at)] = best[level, at]
    return found


def _summary(precision: Floats) -> CocoMap:
    precision = np.where(precision < 0, np.nan, precision)
    average = precision.mean(axis=1) * 100  # (10, K)
    per_class, per_class50 = average.mean(axis=0), average[0]
    return CocoMap(_mean(per_class), _mean(per_class50), per_class, per_class50, precision[0].T)


def _mean(values: Floats) -> float:
    """Of those that are not NaN; NaN if none is."""
    present = values[~np.isnan(values)]
    return float(present.mean()) if present.size else float("nan")


def _finite(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
