"""The loss of an SSD head.

Glossary
    N, P, K   images, anchors an image, classes
    T, G      boxes of the batch; most boxes of one image
    match     an anchor learns the box it overlaps most, from IoU .5; and each box has at least one anchor, its best
    hard      the background anchors that are wrong most, three for each anchor that learns a box

Softmax cross entropy over matched and hard anchors, smooth L1 over the offsets of matched ones; sums over the batch
divided by the matched anchors, or by 1 where nothing is to be found. Source: W. Liu et al., SSD, ECCV 2016.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from hwnas.nets.ranks import fair_count
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
        cells = matched.flatten().nonzero().squeeze(1)
        count, boxes = fair_count(len(cells), raw.device), matches.flatten()[cells]
        targets = torch.zeros_like(matches)
        targets.view(-1)[cells] = truth.labels[boxes] + 1
        centres = (anchors[:, :2] + anchors[:, 2:]) / 2
        background = ~matched & ~crowded(crowds, centres, len(raw))
        entropy = functional.cross_entropy(raw[..., : classes + 1].flatten(0, 1), targets.flatten(), reduction="none")
        entropy = entropy.view_as(targets)
        counted = matched | hardest(entropy.detach(), background, matched)
        offsets = encode(truth.boxes[boxes], anchors[cells % len(anchors)])
        box = functional.smooth_l1_loss(raw[..., classes + 1 :].flatten(0, 1)[cells], offsets, reduction="sum")
        return {"class": (entropy * counted).sum() / count, "box": box / count}


@torch.no_grad()
def match(anchors: Tensor, truth: GroundTruth, images: int) -> Tensor:
    """The box that each anchor learns, an index into `truth`, or -1: int64 (images, P).

    Boxes get their anchors of their own in the order of the overlaps, the largest first; of equal ones the first box,
    then the first anchor. A pair that no other pair of its box or of its anchor precedes is in that order's answer
    whatever else is, so all such pairs of the batch are taken at once: a few rounds, and the host waits for the
    device twice a round, however many images there are. O(rounds * T * P) time, O(N * G * P) memory.
    """
    overlap = iou(truth.boxes[:, None], anchors)
    matches = _nearest(overlap, truth.image, images)
    taken = torch.zeros(matches.shape, dtype=torch.bool, device=anchors.device)
    rows = torch.arange(len(overlap), device=anchors.device)
    while len(rows):
        image = truth.image[rows]
        free = overlap[rows].masked_fill(taken[image], -1)
        best, anchor = free.max(dim=1)
        rival = free[:, anchor]  # (u, t): overlap of box u with the anchor that box t wants
        precedes = (rival > best) | ((rival == best) & (rows[:, None] < rows))
        lost = (precedes & (image[:, None] == image)).any(dim=0)
        won = (~lost & (best > 0)).nonzero().squeeze(1)
        if not len(won):
            break
        matches[image[won], anchor[won]] = rows[won]
        taken[image[won], anchor[won]] = True
        rows = rows[lost]
    return matches


def _nearest(overlap: Tensor, image: Tensor, images: int) -> Tensor:
    """The box that each anchor overlaps by most of `overlap` (T, P), the first of equal ones, from `LEAST_IOU` on."""
    total, device = len(overlap), overlap.device
    counts = torch.zeros(images, dtype=torch.long, device=device).index_add_(0, image, torch.ones_like(image))
    rank = torch.arange(total, device=device) - (counts.cumsum(0) - counts)[image]
    boxes = torch.full((images, max(1, int(counts.max()))), total, device=device)  # of each image; `total` is none
    boxes[image, rank] = torch.arange(total, device=device)
    best, place = torch.cat([overlap, overlap.new_full((1, overlap.shape[1]), -1)])[boxes].max(dim=1)
    return torch.where(best >= LEAST_IOU, boxes.gather(1, place), -1)


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
