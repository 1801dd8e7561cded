"""Small networks learn eight images by heart through our losses, decoders and scores: all parts must agree."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hwnas.tasks import DetectionHeadLayout, MeanIou, coco_map, confusion, detections
from hwnas.train.detect import DetectionLoss
from hwnas.train.segment import SegmentationLoss

SIZE = (64, 96)
COLOURS = np.array([[220, 40, 40], [40, 200, 60], [60, 80, 230]], np.uint8)
STEPS = 300


def pictures(seed: int = 0) -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray], np.ndarray]:
    """Eight images with one to three rectangles, one a third of the width; boxes, labels and masks of 4 classes."""
    rng = np.random.default_rng(seed)
    images = rng.integers(90, 140, (8, *SIZE, 3), np.uint8)
    masks, boxes, labels = np.zeros((8, *SIZE), np.uint8), [], []
    for image, mask in zip(images, masks, strict=True):
        own, kinds = [], []
        for slot in rng.choice(3, rng.integers(1, 4), replace=False):
            sides, kind = rng.integers((14, 14), (31, 48)), int(rng.integers(3))
            x0 = slot * 32 + int(rng.integers(0, 33 - sides[0]))
            y0 = int(rng.integers(0, SIZE[0] - sides[1]))
            place = np.s_[y0 : y0 + sides[1], x0 : x0 + sides[0]]
            image[place], mask[place] = COLOURS[kind], kind + 1
            own.append((x0, y0, x0 + sides[0], y0 + sides[1]))
            kinds.append(kind)
        boxes.append(np.array(own, np.float32))
        labels.append(np.array(kinds, np.int64))
    return images, boxes, labels, masks


def layer(channels: int, out: int, stride: int = 1) -> nn.Module:
    return nn.Sequential(nn.Conv2d(channels, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU())


class Detector(nn.Module):
    """Maps of strides 8, 16 and 32."""

    def __init__(self, head: DetectionHeadLayout, prior: float) -> None:
        super().__init__()
        stem = [layer(3, 16, 2), layer(16, 32, 2), layer(32, 48, 2), layer(48, 48), layer(48, 48)]
        deeper = [nn.Sequential(layer(48, 48, 2), layer(48, 48)) for _ in head.maps[1:]]
        self.levels = nn.ModuleList([nn.Sequential(*stem), *deeper])
        self.heads = nn.ModuleList([nn.Conv2d(48, head.channels, 1) for _ in head.maps])
        for conv in self.heads:
            nn.init.constant_(conv.bias[: head.classes], prior)  # type: ignore[index, arg-type]

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for level, head in zip(self.levels, self.heads, strict=True):
            x = level(x)
            maps.append(head(x))
        return maps


def pixels_of(images: np.ndarray) -> Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1


def learn(net: nn.Module, pixels: Tensor, cost: Callable[[list[Tensor]], Tensor]) -> list[Tensor]:
    """Outputs in eval mode after the steps."""
    optimizer = torch.optim.AdamW(net.parameters(), lr=4e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS):
        optimizer.zero_grad()
        cost(net(pixels)).backward()
        optimizer.step()
        schedule.step()
    net.eval()
    with torch.no_grad():
        return net(pixels)  # type: ignore[no-any-return]


@pytest.mark.parametrize(("kind", "prior"), [("fcos", -4.6), ("ssdlite", 0.0)])
def test_a_detector_learns_eight_images(kind: str, prior: float) -> None:
    torch.manual_seed(0)
    head = DetectionHeadLayout.over(kind, SIZE, (8, 16, 32), classes=3)  # type: ignore[arg-type]
    images, boxes, labels, _ = pictures()
    crowd = [np.zeros(len(own), np.bool_) for own in labels]
    truth = tuple([torch.from_numpy(own) for own in part] for part in (boxes, labels, crowd))
    loss = DetectionLoss(head)
    maps = learn(Detector(head, prior), pixels_of(images), lambda maps: loss(maps, *truth))
    found = detections(*head.decode([values.numpy() for values in maps]))
    result = coco_map(found, boxes, labels, crowd, 3)
    assert result.map50 > 95
    assert result.map > 60


def test_a_segmenter_learns_eight_images() -> None:
    torch.manual_seed(0)
    images, _, _, masks = pictures()
    loss, truth = SegmentationLoss(4), torch.from_numpy(masks)
    net = nn.Sequential(layer(3, 16, 2), layer(16, 16), nn.Conv2d(16, 4, 1),
                        nn.Upsample(scale_factor=2, mode="bilinear"))
    logits = learn(net, pixels_of(images), lambda out: loss(out, truth))  # type: ignore[arg-type]
    answers = logits.argmax(1).numpy()  # type: ignore[attr-defined]
    assert MeanIou(confusion(answers, masks, 4)).miou > 95
