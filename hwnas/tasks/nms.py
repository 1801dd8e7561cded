"""From all boxes of a network to the detections of an image: class-wise non-maximum suppression, numpy only.

This file travels in bundles: Python 3.8, and a numpy without numpy.typing.

Glossary
    N, P, K   images, boxes an image before suppression, classes
    IoU       area of the intersection over that of the union; 0 where both boxes are empty
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hwnas.errors import InputError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]
    Indices = NDArray[np.int64]
    Flags = NDArray[np.bool_]
else:
    Array = Indices = Flags = np.ndarray

THRESHOLD, OVERLAP, MOST = 0.05, 0.6, 100
CANDIDATES = 1000  # (box, class) pairs of an image that take part, the best by score
BLOCK = 128  # boxes whose overlaps with each other and with those kept are computed at once


@dataclass(frozen=True, eq=False)
class Detections:
    """What was found in one image, best first.

    Attributes:
        boxes: float32 (n, 4), x0, y0, x1, y1 in px.
        scores: float32 (n,), in 0..1, falling.
        labels: int64 (n,), in 0..K-1.
    """

    boxes: Array
    scores: Array
    labels: Indices

    def __len__(self) -> int:
        return len(self.scores)


def detections(boxes: Array, scores: Array, *, threshold: float = THRESHOLD, iou: float = OVERLAP,
               most: int = MOST) -> list[Detections]:
    """The detections of each image; a box may be found once for each class.

    Args:
        boxes: (N, P, 4), px; the detections are in the same px.
        scores: (N, P, K), in 0..1.
        threshold: least score, itself not enough.
        iou: a box that overlaps a better one of its class by more is suppressed.
        most: detections an image, of all classes together.

    Raises:
        UsageError: a threshold outside 0..1, or `most` under 1.
        InputError: boxes and scores that are not of the same images.
    """
    if not (0 <= threshold <= 1 and 0 <= iou <= 1 and most >= 1):
        raise UsageError(f"threshold and iou must be in 0..1 and most 1 or more, not {threshold}, {iou} and {most}")
    if boxes.ndim != 3 or scores.ndim != 3 or boxes.shape != (*scores.shape[:2], 4):
        raise InputError(f"boxes must be (N, P, 4) and scores (N, P, K), not {boxes.shape} and {scores.shape}")
    return [detected(boxes[i], scores[i], threshold=threshold, iou=iou, most=most) for i in range(len(boxes))]


def detected(boxes: Array, scores: Array, *, threshold: float = THRESHOLD, iou: float = OVERLAP,
             most: int = MOST) -> Detections:
    """`detections` of one image, from boxes (P, 4) and scores (P, K)."""
    flat = scores.reshape(-1)
    best = _best(flat, np.flatnonzero(flat > threshold))
    place, labels = np.divmod(best, scores.shape[1])
    kept = nms(boxes[place], flat[best], labels, iou=iou, most=most)
    return Detections(boxes[place[kept]], flat[best[kept]], labels[kept].astype(np.int64))


def _best(scores: Array, places: Indices) -> Indices:
    """The `CANDIDATES` of `places` with the highest scores, best first, of equal ones the first."""
    if len(places) > CANDIDATES:  # before anything was learnt, every box may be of every class: sorting would take ms
        least = np.partition(scores[places], -CANDIDATES)[-CANDIDATES]
        places = places[scores[places] >= least]
    found: Indices = places[np.argsort(-scores[places], kind="stable")[:CANDIDATES]]
    return found


def nms(boxes: Array, scores: Array, labels: Indices, *, iou: float, most: int) -> Indices:
    """Which boxes stay, best first: int64 (n,), n <= most.

    The best box that is left stays and removes those of its class that overlap it by more than `iou`; of equal scores
    the first is the better. So a box stays if it overlaps none that stay before it, and those after the last that
    stays need no look. O(seen * most) time, in blocks; O(BLOCK * most) memory.

    Args:
        boxes: (n, 4), px.
        scores: (n,).
        labels: (n,).
        iou: largest overlap that two boxes of a class may have.
        most: boxes to keep.
    """
    order = np.argsort(-scores, kind="stable")
    kept = np.zeros(0, np.int64)
    for start in range(0, len(order), BLOCK):
        block = order[start : start + BLOCK]
        block = block[~_rivals(boxes, labels, kept, block, iou).any(axis=0)]
        alive, rivals = np.ones(len(block), bool), _rivals(boxes, labels, block, block, iou)
        for place in range(len(block)):
            if alive[place]:
                alive[place + 1 :] &= ~rivals[place, place + 1 :]
        kept = np.concatenate([kept, block[alive]])
        if len(kept) >= most:
            break
    return kept[:most]


def _rivals(boxes: Array, labels: Indices, some: Indices, others: Indices, iou: float) -> Flags:
    """Whether boxes of a class overlap by more than `iou`, pair by pair: (some, others)."""
    found: Flags = labels[some, None] == labels[others]
    if found.any():
        found &= overlaps(boxes[some, None], boxes[others]) > iou
    return found


def overlaps(box: Array, boxes: Array) -> Array:
    """IoU of one box (4,) with each of `boxes` (n, 4): float32 (n,); of boxes (m, 1, 4) float32 (m, n)."""
    inner = np.maximum(np.minimum(box[..., 2:], boxes[..., 2:]) - np.maximum(box[..., :2], boxes[..., :2]), 0)
    shared = inner[..., 0] * inner[..., 1]
    union = _area(box) + _area(boxes) - shared
    found: Array = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return found


def _area(boxes: Array) -> Array:
    found: Array = np.maximum(boxes[..., 2] - boxes[..., 0], 0) * np.maximum(boxes[..., 3] - boxes[..., 1], 0)
    return found
