"""How good masks are: intersection over union of every class, from a matrix of confusions.

Glossary
    K           classes
    confusion   pixels of class i that were called j                (K, K), rows truth, columns answers
    IoU         c_ii / (row i + column i - c_ii), of a class: M. Everingham et al., The Pascal VOC Challenge, IJCV 2010
    mIoU        mean IoU of the classes that are present: in the truth or in the answers
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from hwnas.errors import InputError
from hwnas.imaging.letterbox import IGNORE

Matrix = npt.NDArray[np.int64]
Mask = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.float64]


def confusion(answers: Mask, truth: Mask, classes: int, ignore: int = IGNORE) -> Matrix:
    """Count pixels by true and answered class: int64 (K, K). Matrices of several batches add up.

    Args:
        answers: class of every pixel, any shape, 0..K-1.
        truth: the same shape, 0..K-1 or `ignore`.
        classes: K.
        ignore: pixels of this truth do not count.

    Raises:
        InputError: shapes differ, or a class beyond K-1.
    """
    if answers.shape != truth.shape:
        raise InputError(f"answers of shape {answers.shape} cannot be compared with masks of shape {truth.shape}")
    counted = truth != ignore
    rows, columns = truth[counted].astype(np.int64), answers[counted].astype(np.int64)
    for what, ids in (("the truth", rows), ("the answers", columns)):
        if ids.size and not 0 <= ids.min() <= ids.max() < classes:
            raise InputError(f"{what} must hold classes 0..{classes - 1}, not {ids.min()}..{ids.max()}")
    return np.bincount(rows * classes + columns, minlength=classes * classes).reshape(classes, classes)


@dataclass(frozen=True, eq=False)
class MeanIou:
    """The figures of a matrix of confusions, percent; NaN where there is no pixel to judge by.

    Args:
        matrix: int64 (K, K), rows truth, columns answers.
    """

    matrix: Matrix

    @cached_property
    def per_class(self) -> Floats:
        """IoU of each class, (K,); NaN for a class that is neither in the truth nor in the answers."""
        right = np.diag(self.matrix)
        union = self.matrix.sum(axis=0) + self.matrix.sum(axis=1) - right
        found: Floats = 100 * np.divide(right, union, out=np.full(len(right), np.nan), where=union > 0)
        return found

    @property
    def miou(self) -> float:
        """Mean IoU of the classes present."""
        present = self.per_class[~np.isnan(self.per_class)]
        return float(present.mean()) if present.size else float("nan")

    @property
    def pixel_accuracy(self) -> float:
        """Share of pixels that got their class."""
        total = int(self.matrix.sum())
        return float(100 * np.trace(self.matrix) / total) if total else float("nan")

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON values; None for NaN."""
        figures = [None if np.isnan(value) else float(value)
                   for value in (self.miou, self.pixel_accuracy, *self.per_class)]
        return {"miou": figures[0], "pixel_accuracy": figures[1], "per_class": figures[2:]}
