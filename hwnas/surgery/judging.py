"""How far a changed network is from the user's own, image by image, on what both give for the same inputs.

| output                     | loss                                              | agreement                    |
|----------------------------|---------------------------------------------------|------------------------------|
| (1, K)                     | KL of the teacher's probabilities to the student's | same most likely class       |
| (1, K, H, W), K >= 2, dense | the same, mean over the pixels                    | share of pixels, alike       |
| any other                  | squared error over the variance of the channel    | -                            |

Of several outputs losses are added. Whether rows are probabilities already shows in what the teacher gives.

symbol  meaning                                        shape
n       images
l       loss of the student, nats or noise to signal   (n,)
a       agreement with the teacher, 0..1               (n,)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Outputs = list[NDArray[Any]]
Run = Callable[[NDArray[np.float32]], Outputs]

CLASSES, DENSE, VALUES = "classes", "dense", "values"
TINY = 1e-12


@dataclass(frozen=True)
class Score:
    """What some images say of a student.

    Args:
        loss: l.
        agreement: a; empty where no output is of classes.
        right: whether the most likely class is the user's label; empty without labels.
    """

    loss: Floats
    agreement: Floats = field(default_factory=lambda: np.empty(0))
    right: Floats = field(default_factory=lambda: np.empty(0))

    @property
    def mean(self) -> float:
        """Of the loss."""
        return float(self.loss.mean())

    @property
    def error(self) -> float:
        """Standard error of that mean."""
        return standard_error(self.loss)

    def to_json(self) -> dict[str, float]:
        """Means with their standard errors; agreement and accuracy in percent."""
        found = {"loss": self.mean, "loss_se": self.error}
        for name, values in (("agreement", self.agreement), ("accuracy", self.right)):
            if len(values):
                found |= {name: 100 * float(values.mean()), f"{name}_se": 100 * standard_error(values)}
        return {name: round(value, 6) for name, value in found.items()}


def standard_error(values: Floats) -> float:
    """Of a mean; infinite of one value."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("inf")


class Judge:
    """Holds what the teacher gives for some images.

    Args:
        inputs: gives them anew every time, one image or more at a time, always alike.
        teacher: the user's network.
        labels: class of every image; empty, or negative, without.

    Attributes:
        kinds: of the outputs, see the table at the top of the file.
        probabilities: of which outputs the rows are probabilities already.
    """

    def __init__(self, inputs: Callable[[], Iterator[NDArray[np.float32]]], teacher: Run,
                 labels: NDArray[np.int64] | None = None) -> None:
        self._inputs = inputs
        self._labels = labels if labels is not None and len(labels) and labels.min() >= 0 else None
        rows = [teacher(x) for x in inputs()]
        self._truth: list[Outputs] = rows
        first = [np.concatenate([row[i] for row in rows]) for i in range(len(rows[0]))]
        self.kinds = tuple(_kind(values) for values in first)
        self._spread = [_channel_variance(values) for values in first]
        self.probabilities = tuple(kind != VALUES and _probabilities(values)
                                   for kind, values in zip(self.kinds, first, strict=True))

    def score(self, student: Run) -> Score:
        """What a student gives, image by image."""
        losses, alike, right = [], [], []
        for x, truth in zip(self._inputs(), self._truth, strict=True):
            given = student(x)
            losses.append(np.sum([self._loss(i, t, g) for i, (t, g) in enumerate(zip(truth, given, strict=True))],
                                 axis=0))
            found = [_alike(t, g) for kind, t, g in zip(self.kinds, truth, given, strict=True) if kind != VALUES]
            if found:
                alike.append(np.mean(found, axis=0))
            if self._labels is not None and self.kinds[0] == CLASSES:
                right.append(given[0].argmax(1))
        told = np.concatenate(right) == self._labels if right else np.empty(0)
        return Score(np.concatenate(losses), np.concatenate(alike) if alike else np.empty(0),
                     np.asarray(told, np.float64))

    def teacher_score(self) -> Score:
        """Of the teacher itself: no loss, and its accuracy on the user's labels."""
        rows = iter(self._truth)
        return self.score(lambda x: next(rows))

    def _loss(self, i: int, truth: NDArray[Any], given: NDArray[Any]) -> Floats:
        if self.kinds[i] == VALUES:
            error = np.square(given.astype(np.float64) - truth) / self._spread[i]
            return np.asarray(error.reshape(len(truth), -1).mean(1))
        p, q = (_log_probabilities(v, self.probabilities[i]) for v in (truth, given))
        divergence = (np.exp(p) * (p - q)).sum(1)
        return np.asarray(np.maximum(divergence.reshape(len(truth), -1).mean(1), 0.0))


def _kind(values: NDArray[Any]) -> str:
    if values.dtype.kind != "f":
        return VALUES
    if values.ndim == 2 and values.shape[1] > 1:
        return CLASSES
    return DENSE if values.ndim == 4 and values.shape[1] > 1 else VALUES


def _probabilities(values: NDArray[Any]) -> bool:
    return bool(values.min() >= 0 and np.allclose(values.sum(1), 1, atol=1e-3))


def _log_probabilities(values: NDArray[Any], already: bool) -> Floats:
    values = values.astype(np.float64)
    if already:
        return np.asarray(np.log(np.maximum(values, TINY)))
    shifted = values - values.max(1, keepdims=True)
    found: Floats = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return found


def _channel_variance(values: NDArray[Any]) -> Floats:
    """Of every channel over images and places; as an array that broadcasts against one batch."""
    axes = (0, *range(2, values.ndim))
    return np.asarray(np.maximum(values.astype(np.float64).var(axis=axes, keepdims=True), TINY))


def _alike(truth: NDArray[Any], given: NDArray[Any]) -> Floats:
    same = truth.argmax(1) == given.argmax(1)
    return np.asarray(same.reshape(len(truth), -1).mean(1))


def paired(a: Sequence[float] | Floats, b: Sequence[float] | Floats) -> tuple[float, float]:
    """Mean of a - b over the same images, and its standard error."""
    difference = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    return float(difference.mean()), standard_error(difference)
