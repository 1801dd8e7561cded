"""The loss of an anchor-free head.

Glossary
    N, P, K, R   images, points an image, classes, largest distance in strides
    Q            points that learn a box
    quality      target of the box's class at such a point: the IoU of what it predicts now; 0 everywhere else
    QFL          |quality - p|^2 * binary cross entropy, over all points and classes
    DFL          cross entropy of each distance with the two bins around the true one, mean over the four sides
    GIoU         1 - generalised IoU of the predicted and the true box

Each is a sum over the batch divided by Q, or by 1 where nothing is to be found.
Sources: X. Li et al., Generalized Focal Loss, NeurIPS 2020 (QFL, DFL); weights of NanoDet-Plus.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from hwnas.nets.ranks import fair_count
from hwnas.tasks import DetectionHeadLayout
from hwnas.train.detect.assign import Assignment, assign
from hwnas.train.detect.overlap import giou
from hwnas.train.detect.targets import GroundTruth, crowded

BOX_WEIGHT = 2.0
DISTRIBUTION_WEIGHT = 0.25


class FcosTerms:
    """Weighted terms of the loss of one head of kind fcos."""

    def __init__(self, head: DetectionHeadLayout) -> None:
        self.head = head
        self.points, self.strides = torch.from_numpy(head.points()), torch.from_numpy(head.point_strides())

    def __call__(self, raw: Tensor, truth: GroundTruth, crowds: GroundTruth) -> dict[str, Tensor]:
        """`class`, `distribution` and `box` from raw outputs (N, P, K + 4 (R + 1))."""
        points, strides = self.points.to(raw.device), self.strides.to(raw.device)
        logits, bins = raw[..., : self.head.classes], raw[..., self.head.classes :].unflatten(-1, (4, -1))  # type: ignore[no-untyped-call]
        with torch.no_grad():
            boxes = boxes_at(points, strides, bins)
        found = assign(logits, boxes, points, strides, truth)
        count = fair_count(len(found.cells), raw.device)
        point = found.cells % len(points)
        chosen, true = bins.flatten(0, 1)[found.cells], truth.boxes[found.truths]
        predicted = boxes_at(points[point], strides[point], chosen)
        distances = true_distances(points[point], strides[point], true)
        return {
            "class": _quality_loss(logits, found, truth, crowded(crowds, points, len(raw))) / count,
            "distribution": DISTRIBUTION_WEIGHT * _distribution_loss(chosen, distances) / count,
            "box": BOX_WEIGHT * (1 - giou(predicted, true)).sum() / count,
        }


def boxes_at(points: Tensor, strides: Tensor, bins: Tensor) -> Tensor:
    """Boxes (..., Q, 4) in px from the bins (..., Q, 4, R + 1) at points (Q, 2) of strides (Q,)."""
    values = torch.arange(bins.shape[-1], dtype=bins.dtype, device=bins.device)
    distances = bins.softmax(dim=-1) @ values * strides[:, None]
    return torch.cat([points - distances[..., :2], points + distances[..., 2:]], dim=-1)


def true_distances(points: Tensor, strides: Tensor, boxes: Tensor) -> Tensor:
    """From points (Q, 2) to left, top, right and bottom of boxes (Q, 4), in strides: (Q, 4)."""
    return torch.cat([points - boxes[:, :2], boxes[:, 2:] - points], dim=1) / strides[:, None]


def _quality_loss(logits: Tensor, found: Assignment, truth: GroundTruth, ignored: Tensor) -> Tensor:
    flat = logits.flatten(0, 1)
    quality = torch.zeros_like(flat)
    quality[found.cells, truth.labels[found.truths]] = found.ious
    counted = ~ignored.flatten()
    counted[found.cells] = True
    entropy = functional.binary_cross_entropy_with_logits(flat, quality, reduction="none")
    return ((quality - flat.sigmoid()).square() * entropy).sum(dim=1).mul(counted).sum()


def _distribution_loss(bins: Tensor, distances: Tensor) -> Tensor:
    """DFL of bins (Q, 4, R + 1) against distances (Q, 4); those out of reach count as the nearest in reach."""
    last = bins.shape[-1] - 1
    inside = distances.clamp(0, last)
    below = inside.floor().clamp(max=last - 1)
    upper = inside - below
    log_shares = bins.log_softmax(dim=-1)
    at = below.long()[..., None]
    low, high = log_shares.gather(-1, at).squeeze(-1), log_shares.gather(-1, at + 1).squeeze(-1)
    return -((1 - upper) * low + upper * high).mean(dim=1).sum()
