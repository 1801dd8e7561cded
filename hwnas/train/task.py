"""What is learnt: where batches come from, what a mistake costs, what a teacher says, how good a network is.

One class a task; everything that trains or judges a network asks it and knows no task itself.

Glossary
    outputs    what a network gives: logits (N, K), a list of maps, or logits (N, K, H, W)
    targets    the truth of a batch, in a form that only the task reads
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hwnas.data import Dataset, epoch, policy_for
from hwnas.data.dataset import ClassPart
from hwnas.data.detection import DetectionData, DetectionPart, epoch_detection
from hwnas.data.segmentation import SegmentationData, SegmentationPart, epoch_segmentation
from hwnas.data.views import ImageView
from hwnas.errors import DataError
from hwnas.tasks.detection import DetectionHeadLayout
from hwnas.tasks.judge import BoxJudge, ClassJudge, Judge, MaskJudge, boxes_of
from hwnas.train.detect import DetectionLoss, distill_detection
from hwnas.train.distill import Outputs, Teacher
from hwnas.train.evaluate import outputs_of
from hwnas.train.segment import SegmentationLoss, distill_segmentation

AnyData = Dataset | DetectionData | SegmentationData
Batch = tuple[np.ndarray, Any]
PRIOR = 0.01  # probability of a class at a point, before anything was learnt
QUICK_VAL = 2000  # validation images looked at after every epoch but the last, which takes all


class Task(ABC):
    """Data with what is to be learnt from it.

    Args:
        data: images with the truth about them, training and validation.
    """

    name: ClassVar[str]
    remembers: ClassVar[bool] = True  # whether a teacher's outputs are small enough to be kept

    def __init__(self, data: AnyData) -> None:
        self.data = data

    @property
    @abstractmethod
    def train_images(self) -> ImageView:
        """uint8 (N, H, W, C), decoded when they are indexed, unless they are kept decoded."""

    @property
    @abstractmethod
    def val_images(self) -> ImageView:
        """uint8 (M, H, W, C), alike."""

    @property
    @abstractmethod
    def judge(self) -> Judge:
        """The truth about the validation images."""

    @abstractmethod
    def epoch(self, batch: int, rng: np.random.Generator) -> Iterator[Batch]:
        """One pass over the augmented training images: uint8 (n, H, W, C) and targets."""

    @abstractmethod
    def loss(self, outputs: Outputs, targets: Any, smoothing: float) -> Tensor:
        """What the mistakes of a batch cost, a scalar; `smoothing` is of the labels where the task has one."""

    @abstractmethod
    def distilled(self, outputs: Outputs, taught: Outputs, plain: Tensor, teacher: Teacher) -> Tensor:
        """The loss with a teacher: `taught` is what it gives for the batch, `plain` the loss without it."""

    @abstractmethod
    def taken(self, train: np.ndarray, val: np.ndarray) -> Task:
        """The same task on training images `train`, judged on training images `val`; both are indices."""

    def fold(self, holdout: float, seed: int) -> Task:
        """The training set split in two: weights are trained on one part, architectures judged on the other.

        The validation set is never touched by a search, so that it stays an honest judge of the result.

        Args:
            holdout: share of the training images that judges, at least one image.
        """
        order = np.random.default_rng((seed, 1)).permutation(len(self.train_images))
        cut = min(max(1, round(holdout * len(order))), len(order) - 1)
        return self.taken(np.sort(order[cut:]), np.sort(order[:cut]))

    def steps(self, batch: int) -> int:
        """Batches an epoch."""
        return max(1, math.ceil(len(self.train_images) / batch))

    def score(self, net: nn.Module, *, quick: bool = False) -> float:
        """The metric in percent on the validation images, or on the first `QUICK_VAL` of them."""
        count = QUICK_VAL if quick else len(self.val_images)
        return self.judge.head(count).score(outputs_of(net, self.val_images[:count]))

    def prepare(self, net: nn.Module) -> None:  # noqa: B027 - most tasks need nothing
        """Set what a new network should start from, in place."""

    def check_trainable(self) -> None:
        """Raises DataError unless there are two images to train on."""
        if len(self.train_images) < 2:
            raise DataError(f"{self.data.source}: {len(self.train_images)} image is left to train on: add images")


class Classification(Task):
    """Top-1 accuracy; cross entropy with label smoothing."""

    name = "classify"
    data: Dataset

    @property
    def train(self) -> ClassPart:
        """What is trained on."""
        return self.data.train

    @property
    def val(self) -> ClassPart:
        """What judges."""
        return self.data.val

    @property
    def train_images(self) -> ImageView:
        return self.train.pixels

    @property
    def val_images(self) -> ImageView:
        return self.val.pixels

    @property
    def judge(self) -> ClassJudge:
        return ClassJudge(self.val.labels)

    def epoch(self, batch: int, rng: np.random.Generator) -> Iterator[Batch]:
        return epoch(self.train.pixels, self.train.labels, batch, rng, policy_for(self.data))

    def loss(self, outputs: Outputs, targets: np.ndarray, smoothing: float) -> Tensor:
        return functional.cross_entropy(_logits(outputs), torch.from_numpy(targets), label_smoothing=smoothing)

    def distilled(self, outputs: Outputs, taught: Outputs, plain: Tensor, teacher: Teacher) -> Tensor:
        return teacher.loss(_logits(outputs), _logits(taught), plain)

    def taken(self, train: np.ndarray, val: np.ndarray) -> Classification:
        return _Fold(self.data, self.data.train.take(train), self.data.train.take(val))


class _Fold(Classification):
    """A part of a data set in which a class may be missing; everything else about the images is the set's."""

    def __init__(self, data: Dataset, train: ClassPart, val: ClassPart) -> None:
        super().__init__(data)
        self._train, self._val = train, val

    @property
    def train(self) -> ClassPart:
        return self._train

    @property
    def val(self) -> ClassPart:
        return self._val


class _OfParts(Task):
    """A task whose data has a training and a validation part."""

    data: DetectionData | SegmentationData

    @property
    def train_images(self) -> ImageView:
        return self.data.train.pixels

    @property
    def val_images(self) -> ImageView:
        return self.data.val.pixels


class Detection(_OfParts):
    """mAP@[.5:.95]; the loss of the head.

    Args:
        layout: what the maps of the networks mean.
    """

    name = "detect"
    data: DetectionData

    def __init__(self, data: DetectionData, layout: DetectionHeadLayout) -> None:
        super().__init__(data)
        self.layout = layout
        self._loss = DetectionLoss(layout)

    @property
    def judge(self) -> BoxJudge:
        return boxes_of(self.data.val, self.layout)

    def prepare(self, net: nn.Module) -> None:
        """Every class starts as improbable as it is, or the first steps only push scores down (RetinaNet, 2017)."""
        if self.layout.kind == "fcos":
            for block in net.modules():
                if getattr(block, "kind", "") == "predict":
                    last = list(block.modules())[-1]
                    assert isinstance(last, nn.Conv2d)
                    assert last.bias is not None
                    nn.init.constant_(last.bias[: self.layout.classes], -math.log((1 - PRIOR) / PRIOR))

    def epoch(self, batch: int, rng: np.random.Generator) -> Iterator[Batch]:
        for images, *targets in epoch_detection(self.data.train, batch, rng):
            yield images, targets

    def loss(self, outputs: Outputs, targets: Any, smoothing: float) -> Tensor:
        boxes, labels, crowd = ([torch.from_numpy(array) for array in arrays] for arrays in targets)
        return self._loss(_maps(outputs), boxes, labels, crowd)

    def distilled(self, outputs: Outputs, taught: Outputs, plain: Tensor, teacher: Teacher) -> Tensor:
        return plain + teacher.weight * distill_detection(_maps(outputs), _maps(taught), self.layout)

    def taken(self, train: np.ndarray, val: np.ndarray) -> Detection:
        part: DetectionPart = self.data.train
        return Detection(replace(self.data, train=part.take(train), val=part.take(val)), self.layout)


class Segmentation(_OfParts):
    """mIoU; cross entropy over the pixels that matter."""

    name = "segment"
    remembers = False
    data: SegmentationData

    def __init__(self, data: SegmentationData) -> None:
        super().__init__(data)
        self._loss = SegmentationLoss(len(data.classes))

    @property
    def judge(self) -> MaskJudge:
        return MaskJudge(self.data.val.truth, len(self.data.classes))

    def epoch(self, batch: int, rng: np.random.Generator) -> Iterator[Batch]:
        yield from epoch_segmentation(self.data.train, batch, rng)

    def loss(self, outputs: Outputs, targets: np.ndarray, smoothing: float) -> Tensor:
        return self._loss(_logits(outputs), torch.from_numpy(targets))

    def distilled(self, outputs: Outputs, taught: Outputs, plain: Tensor, teacher: Teacher) -> Tensor:
        return plain + teacher.weight * distill_segmentation(_logits(outputs), _logits(taught))

    def taken(self, train: np.ndarray, val: np.ndarray) -> Segmentation:
        part: SegmentationPart = self.data.train
        return Segmentation(replace(self.data, train=part.take(train), val=part.take(val)))


def _logits(outputs: Outputs) -> Tensor:
    assert isinstance(outputs, Tensor), "one output was expected"
    return outputs


def _maps(outputs: Outputs) -> list[Tensor]:
    assert isinstance(outputs, list), "a map a level was expected"
    return outputs


def as_task(data: AnyData | Task, layout: DetectionHeadLayout | None = None) -> Task:
    """The task that a data set is for; a task stays what it is.

    Args:
        layout: of a detector's maps.
    """
    if isinstance(data, Task):
        return data
    if isinstance(data, Dataset):
        return Classification(data)
    if isinstance(data, SegmentationData):
        return Segmentation(data)
    assert layout is not None, "a detector needs the layout of its maps"
    return Detection(data, layout)
