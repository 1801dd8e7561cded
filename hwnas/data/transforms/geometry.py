"""Transforms that move pixels, and the truth with them: crops, mirrors, holes.

symbol  meaning
H, W    sides of the image, px
h, w    sides of what is cut out, px
y, x    its first row and column
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from hwnas.data.transforms.sample import Sample
from hwnas.errors import UsageError

TRIES = 10  # to cut out a rectangle that fits


@dataclass(frozen=True)
class RandomResizedCrop:
    """Cuts a rectangle out and enlarges it to the image's size (Szegedy et al., Going Deeper, CVPR 2015, section 6).

    Args:
        scale: smallest and largest share of the area.
        ratio: smallest and largest aspect ratio, width to height, over that of the image.
        kept: a box stays if at least this share of its area does.

    Raises:
        UsageError: values out of range.
    """

    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    kept: float = 0.3

    def __post_init__(self) -> None:
        (small, large), (narrow, wide) = self.scale, self.ratio
        if not (0 < small <= large <= 1 and 0 < narrow <= wide and 0 <= self.kept <= 1):
            raise UsageError(f"0 < scale low <= high <= 1, 0 < ratio low <= high and kept in 0..1 are needed: {self}")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        height, width = sample.image.shape[:2]
        y, x, h, w = self._drawn(rng, height, width)
        box = (x, y, x + w, y + h)
        found = sample.repainted(sample.picture.resize((width, height), Image.Resampling.BILINEAR, box=box))
        if sample.mask is not None:
            mask = Image.fromarray(sample.mask).resize((width, height), Image.Resampling.NEAREST, box=box)
            found = replace(found, mask=np.asarray(mask))
        if sample.boxes is None:
            return found
        factor, shift = np.array([width / w, height / h] * 2, np.float32), np.array([x, y] * 2, np.float32)
        return cut_boxes(replace(found, boxes=(sample.boxes - shift) * factor), self.kept)

    def _drawn(self, rng: np.random.Generator, height: int, width: int) -> tuple[int, int, int, int]:
        for _ in range(TRIES):
            area = height * width * rng.uniform(*self.scale)
            ratio = width / height * math.exp(rng.uniform(*np.log(self.ratio)))
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                return int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1)), h, w
        return 0, 0, height, width


@dataclass(frozen=True)
class Mirror:
    """Left and right change places.

    Args:
        probability: of it.
    """

    probability: float = 0.5

    def __post_init__(self) -> None:
        _check_probability(self.probability)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        if rng.random() >= self.probability:
            return sample
        boxes = sample.boxes
        if boxes is not None:
            boxes = boxes.copy()
            boxes[:, [0, 2]] = sample.image.shape[1] - boxes[:, [2, 0]]
        mask = None if sample.mask is None else np.ascontiguousarray(sample.mask[:, ::-1])
        return replace(sample, image=np.ascontiguousarray(sample.image[:, ::-1]), boxes=boxes, mask=mask)


@dataclass(frozen=True)
class Erase:
    """A rectangle gets the image's mean colour (Zhong et al., Random Erasing, AAAI 2020); the truth stays.

    Args:
        probability: of it.
        area: smallest and largest share of the image.
        ratio: smallest and largest height to width.
    """

    probability: float = 0.25
    area: tuple[float, float] = (0.02, 1 / 3)
    ratio: tuple[float, float] = (0.3, 10 / 3)

    def __post_init__(self) -> None:
        _check_probability(self.probability)
        if not (0 < self.area[0] <= self.area[1] < 1 and 0 < self.ratio[0] <= self.ratio[1]):
            raise UsageError(f"0 < area low <= high < 1 and 0 < ratio low <= high are needed: {self}")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        if rng.random() >= self.probability:
            return sample
        height, width = sample.image.shape[:2]
        area, ratio = height * width * rng.uniform(*self.area), math.exp(rng.uniform(*np.log(self.ratio)))
        h, w = (min(side, max(1, round(wanted))) for side, wanted in (
            (height, math.sqrt(area * ratio)), (width, math.sqrt(area / ratio))))
        y, x = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
        image = sample.image.copy()
        image[y : y + h, x : x + w] = np.rint(sample.image.mean(axis=(0, 1))).astype(np.uint8)
        return replace(sample, image=image)


def cut_boxes(sample: Sample, kept: float) -> Sample:
    """Boxes cut at the border of the image, and left out where less than `kept` of their area stays."""
    (boxes, labels, crowd), (height, width) = sample.boxed, sample.image.shape[:2]
    cut = np.clip(boxes, 0, np.array([width, height] * 2, np.float32)).astype(np.float32)
    before, after = ((b[:, 2:] - b[:, :2]).clip(min=0).prod(axis=1) for b in (boxes, cut))
    stays = (after > 0) & (after >= kept * before)
    return replace(sample, boxes=cut[stays], labels=labels[stays], crowd=crowd[stays])


def _check_probability(given: float) -> None:
    if not 0 <= given <= 1:
        raise UsageError(f"a probability is in 0..1, not {given}")
