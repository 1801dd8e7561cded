"""Which points learn which boxes: dynamic soft label assignment, for a whole batch at once.

A point may learn the boxes it lies in, at a cost: what its class scores lack, what its present box lacks, and how far
it is from the centre. Each box takes its k cheapest points, k the sum of its best overlaps; a point that several boxes
take goes to the cheapest.

Glossary
    N, P, K   images, points an image, classes
    T         boxes of the batch
    M         pairs of a box and a point inside it; all work but the first step is on pairs
    group     of a pair, its box or its cell
    cell      a point of the batch: n * P + p

Sources: Z. Ge et al., YOLOX (SimOTA), 2021; NanoDet-Plus; C. Lyu et al., RTMDet, 2022 (soft class cost, centre prior).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from hwnas.train.detect.overlap import iou
from hwnas.train.detect.targets import GroundTruth, contains

IOU_COST = 3.0  # weight of -ln IoU
RADIUS = 3.0  # strides from the centre where the prior costs 1; tenfold for each stride beyond
BEST = 13  # overlaps of a box that its k is the sum of


@dataclass(frozen=True, eq=False)
class Assignment:
    """Points that learn a box; each at most one, Q in all.

    Attributes:
        cells: int64 (Q,).
        truths: int64 (Q,), the box of each, an index into `GroundTruth`.
        ious: float32 (Q,), its overlap with the box that is predicted now.
    """

    cells: Tensor
    truths: Tensor
    ious: Tensor


@torch.no_grad()
def assign(logits: Tensor, boxes: Tensor, points: Tensor, strides: Tensor, truth: GroundTruth) -> Assignment:
    """Assign the boxes of a batch.

    Args:
        logits: class logits (N, P, K).
        boxes: predicted boxes (N, P, 4), px of the network's input.
        points: (P, 2), px.
        strides: (P,), px.
        truth: the boxes to be found.
    """
    box, point = candidates(truth.boxes, points).nonzero(as_tuple=True)
    cells = truth.image[box] * len(points) + point
    ious = iou(boxes.reshape(-1, 4)[cells], truth.boxes[box])
    cost = _class_cost(logits.flatten(0, 1), cells, truth.labels[box], ious) - IOU_COST * (ious + 1e-7).log()
    cost += _prior(points[point], strides[point], truth.boxes[box])
    taken = (rank_within(box, cost) < _wanted(box, ious, len(truth.boxes))[box]).nonzero().squeeze(1)
    kept = taken[rank_within(cells[taken], cost[taken]) == 0]
    return Assignment(cells[kept], box[kept], ious[kept])


def candidates(boxes: Tensor, points: Tensor) -> Tensor:
    """The points each box may take, bool (T, P): those inside it; if there is none, the nearest."""
    inside = contains(boxes, points)
    lonely = (~inside.any(dim=1)).nonzero().squeeze(1)
    if len(lonely):
        inside[lonely, torch.cdist(_centres(boxes[lonely]), points).argmin(dim=1)] = True
    return inside


def rank_within(group: Tensor, value: Tensor) -> Tensor:
    """Place of each of the M values among those of its group, 0 the least; of equal ones the first is less: (M,)."""
    order = value.argsort(stable=True)
    order = order[group[order].argsort(stable=True)]
    counts = group.bincount()
    starts = (counts.cumsum(0) - counts)[group[order]]
    ranks = torch.empty_like(order)
    ranks[order] = torch.arange(len(order), device=order.device) - starts
    return ranks


def _class_cost(logits: Tensor, cells: Tensor, labels: Tensor, ious: Tensor) -> Tensor:
    """Quality focal loss of each pair, over all classes, if the point were to answer the box's with its IoU: (M,)."""
    # Most points are in no box.
    used, place = cells.unique(return_inverse=True)  # type: ignore[no-untyped-call]
    rows = logits[used]
    as_background = functional.softplus(rows) * rows.sigmoid().square()
    own = rows[place, labels]
    right = functional.binary_cross_entropy_with_logits(own, ious, reduction="none") * (ious - own.sigmoid()).square()
    return as_background.sum(dim=1)[place] - as_background[place, labels] + right


def _prior(points: Tensor, strides: Tensor, boxes: Tensor) -> Tensor:
    distance = (points - _centres(boxes)).square().sum(dim=1).sqrt() / strides
    return torch.pow(10.0, distance - RADIUS)


def _wanted(box: Tensor, ious: Tensor, count: int) -> Tensor:
    """k of each box: (T,), at least 1."""
    best = rank_within(box, -ious) < BEST
    sums = torch.zeros(count, device=ious.device).index_add_(0, box[best], ious[best])
    return sums.long().clamp(min=1)


def _centres(boxes: Tensor) -> Tensor:
    return (boxes[:, :2] + boxes[:, 2:]) / 2
