"""Raw outputs and truth of a batch as flat tensors, the shapes that all losses of detectors work on.

Glossary
    N, P     images, predictions an image (points or anchors, ordered as in hwnas.tasks.anchors)
    T        boxes of the whole batch
    raw      raw outputs, a row a prediction, float32         (N, P, values)
    cell     a prediction of the batch: n * P + p
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hwnas.tasks import DetectionHeadLayout


def raw_rows(maps: Sequence[Tensor], head: DetectionHeadLayout) -> Tensor:
    """Raw outputs (N, channels, h, w) of all levels as float32 (N, P, values).

    Raises:
        InputError: maps of another head.
    """
    head.check([values.shape for values in maps])
    rows = [
        values.reshape(len(values), head.per_cell, head.values, -1).permute(0, 3, 1, 2).flatten(1, 2)
        for values in maps
    ]
    return torch.cat(rows, dim=1).float()


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """Boxes of a batch in one list.

    Attributes:
        boxes: float32 (T, 4), px of the network's input.
        labels: int64 (T,).
        image: int64 (T,), the image of each, rising.
    """

    boxes: Tensor
    labels: Tensor
    image: Tensor

    def where(self, chosen: Tensor) -> GroundTruth:
        """The boxes with True in `chosen` (T,)."""
        return GroundTruth(self.boxes[chosen], self.labels[chosen], self.image[chosen])

    def to(self, device: torch.device) -> GroundTruth:
        """The same on a device."""
        return GroundTruth(self.boxes.to(device), self.labels.to(device), self.image.to(device))


def gather(boxes: Sequence[Tensor], labels: Sequence[Tensor], crowd: Sequence[Tensor],
           device: torch.device) -> tuple[GroundTruth, GroundTruth]:
    """The boxes to be found, and the crowds, from one (n, 4), (n,) and (n,) an image."""
    counts = torch.tensor([len(own) for own in boxes])
    image = torch.repeat_interleave(torch.arange(len(counts)), counts)
    flags = torch.cat([own.reshape(-1) for own in crowd]).bool()
    corners = torch.cat([own.reshape(-1, 4) for own in boxes]).float()
    both = GroundTruth(corners, torch.cat([own.reshape(-1) for own in labels]).long(), image)
    return both.where(~flags).to(device), both.where(flags).to(device)  # told apart where the host need not wait


def contains(boxes: Tensor, points: Tensor) -> Tensor:
    """Whether each of the boxes (T, 4) holds each of the points (P, 2): bool (T, P)."""
    x, y = points[:, 0], points[:, 1]
    left, top, right, bottom = boxes[:, :, None].unbind(1)
    return (x > left) & (x < right) & (y > top) & (y < bottom)


def crowded(crowds: GroundTruth, points: Tensor, images: int) -> Tensor:
    """Whether each of the points (P, 2) is inside a crowd of its image: bool (images, P)."""
    held = torch.zeros(images, len(points), dtype=torch.int32, device=points.device)
    return held.index_add_(0, crowds.image, contains(crowds.boxes, points).int()) > 0
