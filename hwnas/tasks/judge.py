"""How good the outputs of a network are: one figure in percent, whoever computed them, torch or a runtime.

| task     | metric   | what it is                                                |
|----------|----------|-----------------------------------------------------------|
| classify | accuracy | images whose largest logit is their class                 |
| detect   | mAP      | mAP@[.5:.95] in pixels of the original images             |
| segment  | mIoU     | mean over the classes of intersection over union          |

Glossary
    N, K       images, classes
    outputs    what the network gives for a batch: float32 arrays, (n, K) logits, or a map a level, or (n, K, H, W)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from hwnas.data.detection import DetectionPart
from hwnas.data.views import AnyImages
from hwnas.errors import InputError
from hwnas.imaging.letterbox import IGNORE, Letterbox
from hwnas.tasks.breakdown import Breakdown, of_classifier, of_detector, of_segmenter
from hwnas.tasks.coco_map import CocoMap, coco_map
from hwnas.tasks.detection import DetectionHeadLayout
from hwnas.tasks.mean_iou import MeanIou, confusion
from hwnas.tasks.nms import Detections, detections

Array = npt.NDArray[np.float32]
Outputs = Sequence[Array]
Batches = Sequence[Outputs]
Arrays = dict[str, npt.NDArray[Any]]

EACH = 1 << 22  # numbers of the confusions of single images that are kept
_MOST_SIDE = 1_000_000
METRICS = {"classify": "accuracy", "detect": "mAP", "segment": "mIoU"}


class Judge(ABC):
    """The truth about some images, and how outputs are held against it."""

    task: ClassVar[str]

    @property
    def metric(self) -> str:
        """Name of the figure."""
        return METRICS[self.task]

    @abstractmethod
    def score(self, batches: Iterable[Outputs]) -> float:
        """Percent, from the outputs of all images in order, a batch at a time."""

    @abstractmethod
    def breakdown(self, batches: Iterable[Outputs], classes: Sequence[str]) -> Breakdown:
        """The score with what it is worth and made of.

        Args:
            batches: as of `score`.
            classes: names in the order of the outputs.
        """

    def lost(self, exact: Batches, rounded: Batches) -> tuple[float, float, float]:
        """What a lower precision costs: the score in fp32, points lost, and the standard error where it is known.

        Args:
            exact, rounded: outputs for all images of the same weights in fp32 and in the lower precision.
        """
        before = self.score(exact)
        return before, before - self.score(rounded), 0.0

    def agreement(self, exact: Batches, found: Batches) -> float:
        """How far two sets of outputs say the same, percent: 100 less the points between their scores."""
        return 100 - abs(self.score(exact) - self.score(found))

    @abstractmethod
    def head(self, count: int) -> Judge:
        """The same for the first `count` images."""

    @abstractmethod
    def arrays(self) -> Arrays:
        """The truth as arrays that a file can hold."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of images."""


@dataclass(frozen=True, eq=False)
class ClassJudge(Judge):
    """int64 labels, (N,)."""

    labels: npt.NDArray[np.int64]
    task: ClassVar[str] = "classify"

    def score(self, batches: Iterable[Outputs]) -> float:
        return float((self._answers(batches) == self.labels).mean() * 100)

    def breakdown(self, batches: Iterable[Outputs], classes: Sequence[str]) -> Breakdown:
        answers = self._answers(batches)
        return of_classifier(confusion(answers, self.labels, len(classes)), answers == self.labels, classes)

    def _answers(self, batches: Iterable[Outputs]) -> npt.NDArray[np.int64]:
        return np.concatenate([outputs[0].argmax(1) for outputs in batches])

    def lost(self, exact: Batches, rounded: Batches) -> tuple[float, float, float]:
        """The standard error is that of paired answers (McNemar 1947): 100 sqrt(a + b) / n."""
        right, still = self._answers(exact) == self.labels, self._answers(rounded) == self.labels
        a, b, n = int((right & ~still).sum()), int((still & ~right).sum()), len(self.labels)
        return 100 * float(right.mean()), 100 * (a - b) / n, float(100 * np.sqrt(a + b) / n)

    def agreement(self, exact: Batches, found: Batches) -> float:
        """Images with the same answer, percent."""
        return float((self._answers(exact) == self._answers(found)).mean() * 100)

    def head(self, count: int) -> ClassJudge:
        return ClassJudge(self.labels[:count])

    def arrays(self) -> Arrays:
        return {"labels": self.labels}

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class BoxJudge(Judge):
    """True boxes of every image.

    Args:
        layout: what the outputs mean.
        boxes: float32 (n_i, 4) each, pixels of the network's input.
        labels, crowd: int64 and bool, (n_i,) each.
        originals: int64 (N, 2), height and width of the images before they were fitted to the input.
    """

    layout: DetectionHeadLayout
    boxes: tuple[Array, ...]
    labels: tuple[npt.NDArray[np.int64], ...]
    crowd: tuple[npt.NDArray[np.bool_], ...]
    originals: npt.NDArray[np.int64]
    task: ClassVar[str] = "detect"

    def score(self, batches: Iterable[Outputs]) -> float:
        found = self.details(batches).map
        return 0.0 if np.isnan(found) else found

    def details(self, batches: Iterable[Outputs]) -> CocoMap:
        """Average precisions of every class as well."""
        found = [self._original(i, d) for i, d in enumerate(self.found(batches))]
        boxes = [self._fit(i).to_original(b) for i, b in enumerate(self.boxes)]
        return coco_map(found, boxes, self.labels, self.crowd, self.layout.classes)

    def breakdown(self, batches: Iterable[Outputs], classes: Sequence[str]) -> Breakdown:
        wanted = [k for labels, crowd in zip(self.labels, self.crowd, strict=True) for k in labels[~crowd].tolist()]
        return of_detector(self.details(batches), np.bincount(np.array(wanted, np.int64), minlength=len(classes)),
                           len(self), classes)

    def found(self, batches: Iterable[Outputs]) -> list[Detections]:
        """Detections of every image in pixels of the network's input."""
        return [d for outputs in batches for d in detections(*self.layout.decode(outputs))]

    def _original(self, image: int, found: Detections) -> Detections:
        return Detections(self._fit(image).to_original(found.boxes), found.scores, found.labels)

    def _fit(self, image: int) -> Letterbox:
        height, width = self.originals[image].tolist()
        return Letterbox.fit(height, width, self.layout.size)

    def head(self, count: int) -> BoxJudge:
        return BoxJudge(self.layout, self.boxes[:count], self.labels[:count], self.crowd[:count],
                        self.originals[:count])

    def arrays(self) -> Arrays:
        return {
            "boxes": np.concatenate([np.zeros((0, 4), np.float32), *self.boxes]),
            "labels": np.concatenate([np.zeros(0, np.int64), *self.labels]),
            "crowd": np.concatenate([np.zeros(0, np.bool_), *self.crowd]).astype(np.uint8),
            "counts": np.array([len(b) for b in self.boxes], np.int64), "originals": self.originals,
        }

    def __len__(self) -> int:
        return len(self.boxes)


@dataclass(frozen=True, eq=False)
class MaskJudge(Judge):
    """uint8 masks (N, H, W) of classes 0..K-1, 255 where it does not matter."""

    masks: AnyImages
    classes: int
    task: ClassVar[str] = "segment"

    def score(self, batches: Iterable[Outputs]) -> float:
        return self.details(batches).miou

    def details(self, batches: Iterable[Outputs]) -> MeanIou:
        """Intersection over union of every class as well."""
        return MeanIou(self._confusions(batches, each=False)[1])

    def breakdown(self, batches: Iterable[Outputs], classes: Sequence[str]) -> Breakdown:
        each, total = self._confusions(batches, each=len(self) * self.classes**2 <= EACH)
        return of_segmenter(each, total, len(self), classes)

    def _confusions(self, batches: Iterable[Outputs], *, each: bool) -> tuple[npt.NDArray[np.int64] | None,
                                                                              npt.NDArray[np.int64]]:
        """Of every image if asked for, (N, K, K), and of all, (K, K)."""
        total, found, start = np.zeros((self.classes, self.classes), np.int64), [], 0
        for outputs in batches:
            answers = outputs[0].argmax(1)
            truth = np.asarray(self.masks[start : start + len(answers)])
            if each:
                found += [confusion(a, b, self.classes) for a, b in zip(answers, truth, strict=True)]
            else:
                total += confusion(answers, truth, self.classes)
            start += len(answers)
        return (np.stack(found), np.sum(found, axis=0, dtype=np.int64)) if found else (None, total)

    def head(self, count: int) -> MaskJudge:
        return MaskJudge(self.masks[:count], self.classes)

    def arrays(self) -> Arrays:
        return {"masks": np.asarray(self.masks)}

    def __len__(self) -> int:
        return len(self.masks)


def boxes_of(part: DetectionPart, layout: DetectionHeadLayout) -> BoxJudge:
    """The truth about a part of a data set."""
    originals = np.array([(f.height, f.width) for f in part.frames], np.int64).reshape(-1, 2)
    return BoxJudge(layout, part.boxes, part.labels, part.crowd, originals)


def facts_of(judge: Judge) -> dict[str, Any]:
    """What `judge_from` must know beside the arrays and the number of classes, as JSON values."""
    layout = {"detection_head": judge.layout.to_json()} if isinstance(judge, BoxJudge) else {}
    return {"task": judge.task, "metric": judge.metric, **layout}


def judge_from(arrays: Mapping[str, npt.NDArray[Any]], facts: Mapping[str, Any], images: tuple[int, ...]) -> Judge:
    """The judge whose `arrays` these are.

    Args:
        facts: what `facts_of` gave, and the number of `classes`.
        images: shape of the images that the truth is about, (N, H, W, C).

    Raises:
        InputError: an array or a fact is missing, of another type or shape, or says what cannot be.
    """
    classes, n = int(facts["classes"]), images[0]
    if "masks" in arrays:
        masks = array_of(arrays, "masks", np.uint8, 3)
        _require(masks.shape == images[:3], f"masks must be {images[:3]} as the images, not {masks.shape}")
        _require(not ((masks >= classes) & (masks != IGNORE)).any(), f"a mask names a class beyond {classes - 1}")
        return MaskJudge(masks, classes)
    labels = array_of(arrays, "labels", np.int64, 1)
    low, high = (int(labels.min()), int(labels.max())) if labels.size else (0, 0)
    _require(0 <= low <= high < classes, f"labels must be from 0 to {classes - 1}, not {low} to {high}")
    if "boxes" not in arrays:
        _require(len(labels) == n, f"{n} images need as many labels, not {len(labels)}")
        return ClassJudge(labels)
    return _box_judge(arrays, DetectionHeadLayout.from_json(facts["detection_head"]), labels, n)


def _box_judge(arrays: Mapping[str, npt.NDArray[Any]], layout: DetectionHeadLayout, labels: npt.NDArray[np.int64],
               n: int) -> BoxJudge:
    boxes, crowd = array_of(arrays, "boxes", np.float32, 2), array_of(arrays, "crowd", np.uint8, 1)
    counts, originals = array_of(arrays, "counts", np.int64, 1), array_of(arrays, "originals", np.int64, 2)
    _require(boxes.shape == (len(labels), 4) and len(crowd) == len(labels), "boxes, labels and crowd differ in length")
    _require(len(counts) == n and not (counts < 0).any() and int(counts.sum()) == len(labels),
             f"counts must say how the {len(labels)} boxes belong to {n} images")
    _require(originals.shape == (n, 2) and not ((originals < 1) | (originals > _MOST_SIDE)).any(),
             f"originals must be the sizes of {n} images in pixels, 1 to {_MOST_SIDE}")
    _require(bool((np.abs(boxes) <= _MOST_SIDE).all()), "boxes must be finite, in pixels of the input")
    ends = np.cumsum(counts)[:-1]
    return BoxJudge(layout, tuple(np.split(boxes, ends)), tuple(np.split(labels, ends)),
                    tuple(c.astype(np.bool_) for c in np.split(crowd, ends)), originals)


def array_of(arrays: Mapping[str, npt.NDArray[Any]], name: str, dtype: type[np.generic], dims: int
             ) -> npt.NDArray[Any]:
    """An array of a file.

    Raises:
        InputError: it is missing, of another type, or has another number of dimensions.
    """
    found = arrays.get(name)
    if found is None:
        raise InputError(f"the array {name!r} is missing")
    if found.dtype != dtype or found.ndim != dims or not (found.size or dims == 1 or name == "boxes"):
        raise InputError(f"{name} must be {np.dtype(dtype)} of {dims} dimensions, not {found.dtype} {found.shape}")
    return found


def _require(holds: bool, rule: str) -> None:
    if not holds:
        raise InputError(rule)
