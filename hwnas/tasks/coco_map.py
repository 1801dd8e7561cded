"""Mean average precision as COCO counts it, through pycocotools.

Glossary
    K           classes
    IoU         overlap from which a detection is right: .50, .55, ... .95, ten of them
    AP          mean of the precision at the recalls 0, .01, ... 1, at one IoU or averaged over the ten
    mAP         mean AP of the classes that have at least one box to be found
    crowd       a box that need not be found and excuses what is found in it; VOC's `difficult` counts as one

Source: T.-Y. Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014, and the code of pycocotools.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hwnas.errors import InputError, MissingDependency
from hwnas.tasks.nms import Detections

Floats = npt.NDArray[np.float64]

MOST = 100  # detections an image that count, the best by score
RECALLS = np.linspace(0, 1, 101)
_ALL_SIZES = [0.0, 1e10]  # px^2


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


def coco_map(found: Sequence[Detections], boxes: Sequence[npt.NDArray[np.float32]],
             labels: Sequence[npt.NDArray[np.int64]], crowd: Sequence[npt.NDArray[np.bool_]], classes: int) -> CocoMap:
    """Compare what was found with the truth, image by image.

    Args:
        found: detections of each image, px of the original image.
        boxes: true boxes of each image, (n, 4) in the same px.
        labels: their classes, (n,).
        crowd: whether each is a crowd, (n,).
        classes: K.

    Raises:
        MissingDependency: pycocotools is not installed.
        InputError: not one entry an image in each argument.
    """
    if not len(found) == len(boxes) == len(labels) == len(crowd):
        raise InputError(f"detections of {len(found)} images cannot be compared with boxes of {len(boxes)}, labels of "
                         f"{len(labels)} and crowds of {len(crowd)}: give one entry an image in each")
    truth = [_annotations(b, k, iscrowd=c) for b, k, c in zip(boxes, labels, crowd, strict=True)]
    answers = [_annotations(f.boxes, f.labels, score=f.scores) for f in found]
    return _summary(_precision(_numbered(truth), _numbered(answers), len(found), classes))


def _annotations(boxes: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], **more: npt.NDArray[Any]
                 ) -> list[dict[str, Any]]:
    corners = np.asarray(boxes, np.float64).reshape(-1, 4)
    sides = corners[:, 2:] - corners[:, :2]
    columns = {
        "bbox": np.concatenate([corners[:, :2], sides], axis=1).tolist(),
        "area": sides.prod(axis=1).tolist(),
        "category_id": np.asarray(labels).tolist(),
        "iscrowd": [0] * len(corners),
    } | {name: values.tolist() for name, values in more.items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _numbered(images: Iterable[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """All annotations with their image and an id from 1: pycocotools takes a match with id 0 for none."""
    flat = [entry | {"image_id": image} for image, entries in enumerate(images) for entry in entries]
    return [entry | {"id": number} for number, entry in enumerate(flat, start=1)]


def _precision(truth: list[dict[str, Any]], answers: list[dict[str, Any]], images: int, classes: int) -> Floats:
    """Precision by IoU, recall and class, (10, 101, K); -1 for a class with nothing to be found."""
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as err:
        raise MissingDependency("pycocotools", "mean average precision", 'pip install "hwnas[train]"') from err
    with contextlib.redirect_stdout(io.StringIO()):
        judge = COCOeval(*(_index(COCO(), entries, images, classes) for entries in (truth, answers)), "bbox")
        judge.params.areaRng, judge.params.areaRngLbl, judge.params.maxDets = [_ALL_SIZES], ["all"], [MOST]
        judge.evaluate()
        judge.accumulate()
    return np.asarray(judge.eval["precision"][..., 0, 0], np.float64)


def _index(coco: Any, annotations: list[dict[str, Any]], images: int, classes: int) -> Any:
    coco.dataset = {
        "images": [{"id": image} for image in range(images)],
        "categories": [{"id": label} for label in range(classes)],
        "annotations": annotations,
    }
    coco.createIndex()
    return coco


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
