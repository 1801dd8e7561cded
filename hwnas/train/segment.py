"""What a segmenter's logits are off the truth, or off a teacher.

Glossary
    N, K, H, W   images, classes, height and width of logits and masks
    OHEM         learn from the pixels that are wrong most: A. Shrivastava et al., CVPR 2016
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from hwnas.data.recipe import LossPart
from hwnas.data.segmentation import SegmentationData
from hwnas.errors import UsageError
from hwnas.nets.ranks import fair_count
from hwnas.tasks import IGNORE
from hwnas.tasks.segment import Segment
from hwnas.train.distill import Outputs, Teacher, softened_kl
from hwnas.train.objective import Objective, objective_of, one

SURE = 0.7  # OHEM: a pixel whose class has less than this probability is hard
HEAVIEST = 5.0  # weight of a class
LEAST_SHARE = 1 / 16  # OHEM: of the pixels, at least this many of the worst


class SegmentationLoss:
    """Cross entropy over the pixels whose mask is not `IGNORE`.

    Args:
        classes: K.
        weights: of each class, K of them; the loss is then the weighted mean. None for equal ones.
        hard_only: OHEM: only pixels under `SURE`, or the worst sixteenth where there are fewer.

    Raises:
        UsageError: not K weights, or one that is negative.
    """

    def __init__(self, classes: int, *, weights: Sequence[float] | None = None, hard_only: bool = False) -> None:
        given = [1.0] * classes if weights is None else list(weights)
        if len(given) != classes or min(given) < 0 or not all(map(math.isfinite, given)):
            raise UsageError(f"{classes} classes need as many weights of 0 or more, not {given}")
        self.weights, self.hard_only = torch.tensor(given), hard_only

    def __call__(self, logits: Tensor, masks: Tensor) -> Tensor:
        """Mean over the pixels, a scalar; 0, with a gradient of 0, where no pixel counts.

        Args:
            logits: (N, K, H, W).
            masks: (N, H, W), 0..K-1 or `IGNORE`, any integer type.
        """
        truth = masks.long()
        counted = truth != IGNORE
        entropy = functional.cross_entropy(logits.float(), truth, ignore_index=IGNORE, reduction="none")[counted]
        weights = self.weights.to(entropy.device)[truth[counted]]
        if self.hard_only and len(entropy):
            hard = _hard(entropy.detach())
            entropy, weights = entropy[hard], weights[hard]
        return (entropy * weights).sum() / fair_count(weights.sum(), entropy.device, least=1e-12)


def _hard(entropy: Tensor) -> Tensor:
    """The pixels of (n,) that are hard: bool (n,)."""
    least = math.ceil(len(entropy) * LEAST_SHARE)
    bound = entropy.topk(least).values[-1].clamp(max=-math.log(SURE))
    return entropy >= bound


def distill_segmentation(student: Tensor, teacher: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Mean over the pixels of the divergence of the classes; both logits (N, K, H, W)."""
    return softened_kl(student, teacher, temperature, 1).mean()


def balanced_weights(pixels: npt.NDArray[np.int64]) -> list[float]:
    """A weight a class from its number of pixels, (K,): sqrt(m / n), where m is the median over the classes that occur.

    Median frequency balancing (Eigen & Fergus, ICCV 2015) under a root, and never above `HEAVIEST`: the full ratio
    lets a class of a few hundred pixels outweigh all others. A class that does not occur has weight 1.
    """
    known = pixels[pixels > 0]
    median = float(np.median(known)) if len(known) else 1.0
    return [min(HEAVIEST, math.sqrt(median / n)) if n else 1.0 for n in pixels.tolist()]


class SegmentationObjective:
    """Cross entropy over the pixels that matter.

    Args:
        classes: K.
        weights, hard_only: see `SegmentationLoss`.
    """

    def __init__(self, classes: int, *, weights: Sequence[float] | None = None, hard_only: bool = False) -> None:
        self._loss = SegmentationLoss(classes, weights=weights, hard_only=hard_only)

    def weighed(self, asked: LossPart, data: SegmentationData) -> SegmentationObjective:
        """The same, with weights from the pixels of the training masks."""
        classes = len(data.classes)
        pixels = data.train.counts[:, :classes].sum(axis=0, dtype=np.int64)
        weights = asked.weights(data.classes, lambda: balanced_weights(pixels))
        return SegmentationObjective(classes, weights=weights, hard_only=asked.hard_only)

    def loss(self, outputs: Outputs, targets: np.ndarray, smoothing: float) -> Tensor:
        logits = one(outputs)
        return self._loss(logits, torch.from_numpy(targets).to(logits.device))

    def distilled(self, outputs: Outputs, taught: Outputs, plain: Tensor, teacher: Teacher) -> Tensor:
        return plain + teacher.weight * distill_segmentation(one(outputs), one(taught))

    def prepare(self, net: nn.Module) -> None:
        """Nothing."""


@objective_of.register
def _(task: Segment, layout: Any, classes: int) -> Objective:
    return SegmentationObjective(classes)
