"""From all boxes of a network to the detections of an image: class-wise non-maximum suppression, numpy only.

Glossary
    N, P, K   images, boxes an image before suppression, classes
    IoU       area of the intersection over that of the union; 0 where both boxes are empty
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwnas.errors import InputError, UsageError

Array = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]

CANDIDATES = 1000  # (box, class) pairs of an image that take part, the best by score
ALL_PAIRS = 200  # boxes whose overlaps are computed all at once: less work than call by call up to here


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


def detections(boxes: Array, scores: Array, *, threshold: float = 0.05, iou: float = 0.6,
               most: int = 100) -> list[Detections]:
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
    return [_one_image(b, s, threshold, iou, most) for b, s in zip(boxes, scores, strict=True)]


def _one_image(boxes: Array, scores: Array, threshold: float, iou: float, most: int) -> Detections:
    flat = scores.reshape(-1)
    above = np.flatnonzero(flat > threshold)
    best = above[np.argsort(-flat[above], kind="stable")[:CANDIDATES]]
    place, labels = np.divmod(best, scores.shape[1])
    kept = nms(boxes[place], flat[best], labels, iou=iou, most=most)
    return Detections(boxes[place[kept]], flat[best[kept]], labels[kept].astype(np.int64))


def nms(boxes: Array, scores: Array, labels: Indices, *, iou: float, most: int) -> Indices:
    """Which boxes stay, best first: int64 (n,), n <= most.

    The best box that is left stays and removes those of its class that overlap it by more than `iou`; of equal scores
    the first is the better. O(most * n) time, O(n) memory.

    Args:
        boxes: (n, 4), px.
        scores: (n,).
        labels: (n,).
        iou: largest overlap that two boxes of a class may have.
        most: boxes to keep.
    """
    left = np.argsort(-scores, kind="stable")
    if len(left) <= ALL_PAIRS:
        return left[_greedy(boxes[left], labels[left], iou, most)]
    kept: list[int] = []
    while left.size and len(kept) < most:
        first, left = left[0], left[1:]
        kept.append(int(first))
        rivals = (labels[left] == labels[first]) & (overlaps(boxes[first], boxes[left]) > iou)
        left = left[~rivals]
    return np.array(kept, np.int64)


def _greedy(boxes: Array, labels: Indices, iou: float, most: int) -> Indices:
    """`nms` of boxes that are sorted, from the overlaps of all pairs."""
    rivals = (labels[:, None] == labels) & (overlaps(boxes[:, None], boxes) > iou)
    alive = np.ones(len(boxes), bool)
    kept: list[int] = []
    for place in range(len(boxes)):
        if alive[place]:
            kept.append(place)
            if len(kept) == most:
                break
            alive[rivals[place]] = False
    return np.array(kept, np.int64)


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
