"""The loss of an SSD head.

Glossary
    N, P, K   images, anchors an image, classes
    G         boxes of one image
    match     an anchor learns the box it overlaps most, from IoU .5; and each box has at least one anchor, its best
    hard      the background anchors that are wrong most, three for each anchor that learns a box

Softmax cross entropy over matched and hard anchors, smooth L1 over the offsets of matched ones; sums over the batch
divided by the matched anchors, or by 1 where nothing is to be found. Source: W. Liu et al., SSD, ECCV 2016.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from hwnas.tasks import VARIANCES, DetectionHeadLayout
from hwnas.train.detect.overlap import iou
from hwnas.train.detect.targets import GroundTruth, crowded

LEAST_IOU = 0.5
HARD = 3


class SsdTerms:
    """Terms of the loss of one head of kind ssdlite."""

    def __init__(self, head: DetectionHeadLayout) -> None:
        self.head = head
        self.anchors = torch.from_numpy(head.anchors())

    def __call__(self, raw: Tensor, truth: GroundTruth, crowds: GroundTruth) -> dict[str, Tensor]:
        """`class` and `box` from raw outputs (N, P, K + 5)."""
        anchors, classes = self.anchors.to(raw.device), self.head.classes
        matches = match(anchors, truth, len(raw))
        matched = matches >= 0
        count = max(1, int(matched.sum()))
        targets = torch.zeros_like(matches)
        targets[matched] = truth.labels[matches[matched]] + 1
        centres = (anchors[:, :2] + anchors[:, 2:]) / 2
        background = ~matched & ~crowded(crowds, centres, len(raw))
        entropy = functional.cross_entropy(raw[..., : classes + 1].flatten(0, 1), targets.flatten(), reduction="none")
        entropy = entropy.view_as(targets)
        counted = matched | hardest(entropy.detach(), background, matched)
        offsets = encode(truth.boxes[matches[matched]], anchors.expand(len(raw), -1, -1)[matched])
        box = functional.smooth_l1_loss(raw[..., classes + 1 :][matched], offsets, reduction="sum")
        return {"class": (entropy * counted).sum() / count, "box": box / count}


@torch.no_grad()
def match(anchors: Tensor, truth: GroundTruth, images: int) -> Tensor:
    """The box that each anchor learns, an index into `truth`, or -1: int64 (images, P)."""
    matches = torch.full((images, len(anchors)), -1, device=anchors.device)
    for image in torch.unique(truth.image).tolist():
        own = (truth.image == image).nonzero().squeeze(1)
        place = _match_one(iou(truth.boxes[own][:, None], anchors))
        matches[image] = torch.where(place >= 0, own[place], -1)
    return matches


def _match_one(overlap: Tensor) -> Tensor:
    """Row of the (G, P) overlaps that each anchor learns, or -1: (P,). Every box gets an anchor of its own."""
    best, which = overlap.max(dim=0)
    places = torch.where(best >= LEAST_IOU, which, -1)
    free = overlap.clone()
    for _ in range(len(overlap)):
        box, anchor = divmod(int(free.argmax()), overlap.shape[1])
        if free[box, anchor] <= 0:
            break
        places[anchor] = box
        free[box], free[:, anchor] = -1, -1
    return places


def hardest(entropy: Tensor, background: Tensor, matched: Tensor) -> Tensor:
    """The background anchors of highest entropy, `HARD` for each matched one and at least `HARD` an image: (N, P)."""
    order = entropy.masked_fill(~background, -1).argsort(dim=1, descending=True, stable=True)
    most = HARD * matched.sum(dim=1, keepdim=True).clamp(min=1)
    chosen = torch.zeros_like(background)
    chosen.scatter_(1, order, torch.arange(order.shape[1], device=order.device) < most)
    return chosen & background


def encode(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Offsets (Q, 4) that decode to `boxes` (Q, 4) from `anchors` (Q, 4)."""
    sides = anchors[:, 2:] - anchors[:, :2]
    centres = ((boxes[:, :2] + boxes[:, 2:]) - (anchors[:, :2] + anchors[:, 2:])) / 2 / sides
    growth = ((boxes[:, 2:] - boxes[:, :2]).clamp(min=1e-3) / sides).log()
    return torch.cat([centres, growth], dim=1) / torch.tensor(VARIANCES, device=boxes.device)
