"""What a score is made of: the figures of every class, what is taken for what, and how two networks differ.

| task     | figures of a class, percent | counted in | taken for what |
|----------|-----------------------------|------------|----------------|
| classify | recall, precision           | images     | images         |
| segment  | iou, recall, precision      | pixels     | pixels         |
| detect   | ap, ap50                    | boxes      |                |

Glossary
    C       confusion: how many of class i were called j     (K, K), rows truth, columns answers
    recall, precision    C_ii over the sum of row i, of column i; None where that is 0
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hwnas.tasks.chance import LEVEL, Matrix, differs, exceeds, informed, mean_recall, spread_of_miou, wilson
from hwnas.tasks.coco_map import RECALLS, CocoMap
from hwnas.tasks.mean_iou import MeanIou
from hwnas.tasks.standing import Standing

SCHEMA = 2  # of the file that holds breakdowns
MOST_CLASSES = 100  # up to which a file holds the whole matrix
MOST_PAIRS = 20  # of the confused pairs that are named
EVERY = 5  # of the recalls of a curve; enough for a line
Rows = tuple[dict[str, Any], ...]


@dataclass(frozen=True, eq=False)
class Breakdown:
    """A score, taken apart.

    Args:
        standing: the score and what it is worth.
        classes: names, K.
        rows: of every class its name, what there is to find of it (`count`), and its figures in percent or None.
        unit: what is counted: images, pixels or boxes.
        confusion: C; None of a detector.
        more: further figures of the task, as JSON values.
        each: what every image contributes, to hold two networks against each other: whether it is right, (N,), or its
            confusion, (N, K, K); None where that is not known.
    """

    standing: Standing
    classes: tuple[str, ...]
    rows: Rows
    unit: str
    confusion: Matrix | None = None
    more: dict[str, Any] = field(default_factory=dict)
    each: npt.NDArray[Any] | None = None

    def confused(self, most: int = MOST_PAIRS) -> list[dict[str, Any]]:
        """The pairs that are mixed up most: class, what it was called, how often, and percent of the class."""
        if self.confusion is None:
            return []
        off = self.confusion * (1 - np.eye(len(self.confusion), dtype=np.int64))
        order = np.argsort(-off, axis=None, kind="stable")[:most]
        pairs = [divmod(int(i), len(off)) for i in order]
        return [{"is": self.classes[i], "called": self.classes[j], "count": int(off[i, j]),
                 "share": 100 * int(off[i, j]) / int(self.confusion[i].sum())} for i, j in pairs if off[i, j]]

    def to_json(self) -> dict[str, Any]:
        """JSON values; the matrix is left out above `MOST_CLASSES` classes."""
        whole = self.confusion is not None and len(self.confusion) <= MOST_CLASSES
        return {"standing": self.standing.to_json(), "unit": self.unit, "per_class": list(self.rows),
                "confusion": self.confusion.tolist() if whole and self.confusion is not None else None,
                "confused": self.confused(), **self.more}


def of_classifier(confusion: Matrix, right: npt.NDArray[np.bool_], classes: Sequence[str]) -> Breakdown:
    """From C of the images and which of them are right, (N,)."""
    images, sizes, found = int(confusion.sum()), confusion.sum(axis=1), np.diag(confusion)
    common = int(sizes.argmax())
    # Only the network is right about the images of other classes that it finds; always the commonest, about its own.
    gained, lost = int(found.sum() - found[common]), int(sizes[common] - found[common])
    p = exceeds(gained, lost)
    standing = Standing(
        "accuracy", 100 * int(found.sum()) / images, images, classes[common], 100 * int(sizes[common]) / images,
        wilson(int(found.sum()), images), mean_recall(confusion), p, None if p < LEVEL else informed(confusion),
        _never(classes, sizes, found))
    rows = _rows(classes, sizes, recall=_percent(found, sizes), precision=_percent(found, confusion.sum(axis=0)))
    return Breakdown(standing, tuple(classes), rows, "images", confusion, each=right)


def of_segmenter(each: Matrix | None, total: Matrix, images: int, classes: Sequence[str]) -> Breakdown:
    """From the confusions of every image, if there is room for them, and C of all pixels."""
    found, sizes, right = MeanIou(total), total.sum(axis=1), np.diag(total)
    common = int(sizes.argmax())
    alone = np.zeros_like(total)
    alone[:, common] = sizes
    standing = Standing("mIoU", _finite(found.miou) or 0.0, images, classes[common],
                        _finite(MeanIou(alone).miou) or 0.0, never=_never(classes, sizes, right))
    rows = _rows(classes, sizes, iou=found.per_class, recall=_percent(right, sizes),
                 precision=_percent(right, total.sum(axis=0)))
    return Breakdown(standing, tuple(classes), rows, "pixels", total, {"pixel_accuracy": _finite(found.pixel_accuracy)},
                     each)


def of_detector(found: CocoMap, boxes: npt.NDArray[np.int64], images: int, classes: Sequence[str]) -> Breakdown:
    """From average precisions and the boxes to be found of every class, (K,)."""
    standing = Standing("mAP", _finite(found.map) or 0.0, images,
                        never=_never(classes, boxes, np.nan_to_num(found.per_class50)))
    curves = [[None if np.isnan(p) else round(float(p), 4) for p in row[::EVERY]] for row in found.precision]
    more = {"map50": _finite(found.map50), "recalls": [round(float(r), 2) for r in RECALLS[::EVERY]], "curves": curves}
    return Breakdown(standing, tuple(classes), _rows(classes, boxes, ap=found.per_class, ap50=found.per_class50),
                     "boxes", more=more)


def difference(reference: Breakdown, result: Breakdown) -> dict[str, Any]:
    """What the images tell of the points between two networks that answered the same ones.

    Returns:
        `points`; `beyond_chance`, None where it is not known; `p` of a classifier (sign test on the images that only
        one gets right) or the 95 % `interval` of a segmenter (images drawn again); `told`, the same in words.
    """
    points, images = result.standing.score - reference.standing.score, result.standing.images
    told: dict[str, Any] = {"points": points, "beyond_chance": None, "p": None, "interval": None}
    if reference.each is None or result.each is None or reference.each.shape != result.each.shape:
        return told | {"told": f"{points:+.2f} points of {result.standing.metric}; what {images:,} images can tell of "
                               "it is not known"}
    if result.standing.metric == "accuracy":
        return told | _of_answers(points, reference.each, result.each)
    low, high = spread_of_miou(result.each, reference.each)
    beyond = not low <= 0 <= high
    return told | {"interval": [low, high], "beyond_chance": beyond,
                   "told": f"{points:+.2f} points, 95 % of {low:+.2f} to {high:+.2f} over the {len(result.each)} "
                           f"images: {_chance(beyond)}"}


def _of_answers(points: float, before: npt.NDArray[Any], after: npt.NDArray[Any]) -> dict[str, Any]:
    gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
    p, net = differs(gained, lost), abs(gained - lost)
    many = "one image" if net == 1 else f"{net:,} images"
    counts = f"{gained:,} won, {lost:,} lost"
    if not net:
        return {"p": p, "beyond_chance": False, "told": f"as many of the {len(after):,} images are right ({counts})"}
    return {"p": p, "beyond_chance": p < LEVEL,
            "told": f"{points:+.2f} points {'is' if net == 1 else 'are'} {many} of {len(after):,} ({counts}): "
                    f"{_chance(p < LEVEL)} (p {p:.2g})"}


def _chance(beyond: bool) -> str:
    return "beyond chance" if beyond else "within what chance does"


def _rows(classes: Sequence[str], counts: npt.NDArray[Any], **figures: npt.NDArray[np.float64]) -> Rows:
    return tuple({"class": name, "count": int(counts[i])} | {key: _finite(row[i]) for key, row in figures.items()}
                 for i, name in enumerate(classes))


def _never(classes: Sequence[str], counts: npt.NDArray[Any], found: npt.NDArray[Any]) -> tuple[str, ...]:
    return tuple(name for name, count, right in zip(classes, counts, found, strict=True) if count and not right)


def _percent(part: npt.NDArray[Any], whole: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """NaN where there is nothing to divide by."""
    found: npt.NDArray[np.float64] = 100 * np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return found


def _finite(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
