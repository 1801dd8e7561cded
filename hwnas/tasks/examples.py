"""Good and bad cases as pictures: what was found beside what is there, for people who look rather than read.

Glossary
    score of an image    detection: F1 of the boxes at an overlap of .5 and a score of .3; segmentation: its mIoU
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwnas.data.views import AnyImages
from hwnas.tasks.drawing import draw_boxes, draw_mask
from hwnas.tasks.judge import BoxJudge, Judge, MaskJudge, Outputs
from hwnas.tasks.mean_iou import MeanIou, confusion
from hwnas.tasks.nms import Array, Detections, overlaps

Pixels = npt.NDArray[np.uint8]

SHOWN, OVERLAP = 0.3, 0.5
GAP = 8  # pixels of white between the two pictures


@dataclass(frozen=True)
class Example:
    """One image of the validation set.

    Args:
        number: which.
        score: of this image, percent.
        good: whether it is among the best, or among the worst.
        picture: uint8 (H, 2 W + gap, 3): the truth at the left, the answer at the right.
    """

    number: int
    score: float
    good: bool
    picture: Pixels


def examples(judge: Judge, images: AnyImages, batches: Iterable[Outputs], classes: Sequence[str],
             palette: Pixels | None = None, count: int = 3) -> list[Example]:
    """The `count` best and the `count` worst images, worst last; fewer where there are not as many.

    Args:
        judge: of detection or segmentation.
        images: uint8 (N, H, W, 3) that it judges.
        batches: outputs for them, in order.
        classes: names.
        palette: uint8 (K, 3), of a segmenter.
    """
    if isinstance(judge, BoxJudge):
        found = [_confident(d) for d in judge.found(batches)]
        scores = [box_score(d, judge.boxes[i], judge.labels[i], judge.crowd[i]) for i, d in enumerate(found)]
    elif isinstance(judge, MaskJudge):
        masks = np.concatenate([outputs[0].argmax(1) for outputs in batches]).astype(np.uint8)
        scores = [MeanIou(confusion(a, b, judge.classes)).miou for a, b in zip(masks, judge.masks, strict=True)]
    else:
        return []

    def drawn(i: int) -> Pixels:
        if isinstance(judge, BoxJudge):
            truth = Detections(judge.boxes[i], np.ones(len(judge.boxes[i]), np.float32), judge.labels[i])
            return _beside(draw_boxes(images[i], truth, classes), draw_boxes(images[i], found[i], classes))
        assert isinstance(judge, MaskJudge)
        assert palette is not None
        return _beside(draw_mask(images[i], judge.masks[i], palette), draw_mask(images[i], masks[i], palette))

    order = [int(i) for i in np.argsort([-s for s in scores], kind="stable") if not np.isnan(scores[i])]
    count = min(count, len(order) // 2)
    chosen = [(i, True) for i in order[:count]] + [(i, False) for i in order[len(order) - count :]]
    return [Example(i, float(scores[i]), good, drawn(i)) for i, good in chosen]


def box_score(found: Detections, boxes: Array, labels: npt.NDArray[np.int64], crowd: npt.NDArray[np.bool_]) -> float:
    """F1 of the detections of one image, percent; 100 where nothing is to be found and nothing was."""
    left, right, counted = [i for i in range(len(boxes)) if not crowd[i]], 0, 0
    for box, label in zip(found.boxes, found.labels, strict=True):
        shares = overlaps(box, boxes) if len(boxes) else np.zeros(0, np.float32)
        fits = [i for i in left if labels[i] == label and shares[i] >= OVERLAP]
        if fits:
            left.remove(max(fits, key=lambda i: shares[i]))
            right += 1
        elif any(crowd[i] and shares[i] >= OVERLAP for i in range(len(boxes))):
            continue
        counted += 1
    total = counted + right + len(left)
    return 100.0 if total == 0 else 100 * 2 * right / total


def _confident(found: Detections) -> Detections:
    kept = found.scores >= SHOWN
    return Detections(found.boxes[kept], found.scores[kept], found.labels[kept])


def _beside(left: Pixels, right: Pixels) -> Pixels:
    gap = np.full((left.shape[0], GAP, 3), 255, np.uint8)
    return np.concatenate([left, gap, right], axis=1)
