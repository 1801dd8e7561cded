"""Random changes of images with boxes: mirror, scale and shift, colours, four in one.

symbol  meaning                                              shape
H, W    sides of the images, px
s       factor of the scale
boxes   x0, y0, x1, y1 in pixels                             (n, 4)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from hwnas.data.batches import slices
from hwnas.data.detection.parts import Boxes, DetectionPart, Flags, Labels, Pixels
from hwnas.data.jitter import jittered
from hwnas.errors import UsageError
from hwnas.imaging.letterbox import GREY

Batch = tuple[Pixels, list[Boxes], list[Labels], list[Flags]]
Sample = tuple[Pixels, Boxes, Labels, Flags]


@dataclass(frozen=True)
class DetectionPolicy:
    """How strongly to augment.

    Attributes:
        flip: mirror left and right with probability one half.
        scale: smallest and largest factor of the size; what comes in at the border is grey.
        jitter: brightness, contrast and colour change by at most this share.
        mosaic: probability that an image is made of four.
        kept: a box stays if at least this share of its area does.

    Raises:
        UsageError: values out of range.
    """

    flip: bool = True
    scale: tuple[float, float] = (0.6, 1.5)
    jitter: float = 0.25
    mosaic: float = 0.0
    kept: float = 0.3

    def __post_init__(self) -> None:
        low, high = self.scale
        if not (0 < low <= high and 0 <= self.jitter < 1 and 0 <= self.mosaic <= 1 and 0 <= self.kept <= 1):
            raise UsageError(f"0 < scale low <= high, jitter in 0..1, mosaic and kept in 0..1 are needed: {self}")


PLAIN = DetectionPolicy(flip=False, scale=(1.0, 1.0), jitter=0.0)


def epoch_detection(part: DetectionPart, batch: int, rng: np.random.Generator,
                    policy: DetectionPolicy | None = None) -> Iterator[Batch]:
    """Shuffled batches of changed copies: uint8 (B, H, W, 3) and per image boxes, labels, crowds.

    The last batch may be smaller; one image left over is dropped, because batch normalisation has no variance over
    one.

    Args:
        policy: None takes the default.

    Raises:
        UsageError: batch under 1.
    """
    if batch < 1:
        raise UsageError(f"batch must be 1 or more, not {batch}")
    return _batches(part, batch, rng, policy or DetectionPolicy())


def _batches(part: DetectionPart, batch: int, rng: np.random.Generator, policy: DetectionPolicy) -> Iterator[Batch]:
    for chosen in slices(rng.permutation(len(part)), batch):
        changed = [augmented(part, int(i), rng, policy) for i in chosen]
        yield (np.stack([s[0] for s in changed]), [s[1] for s in changed], [s[2] for s in changed],
               [s[3] for s in changed])


def augmented(part: DetectionPart, index: int, rng: np.random.Generator, policy: DetectionPolicy) -> Sample:
    """A changed copy of one image."""
    four = policy.mosaic > 0 and rng.random() < policy.mosaic
    sample = _mosaic(part, index, rng) if four else _plain(part, index)
    if policy.jitter:  # before anything grey comes in, which a network sees as it is
        sample = (jittered(sample[0], rng, policy.jitter), *sample[1:])
    if policy.scale != (1.0, 1.0):
        sample = _moved(sample, rng, policy)
    if policy.flip and rng.random() < 0.5:
        sample = _mirrored(sample)
    return sample


def _plain(part: DetectionPart, index: int) -> Sample:
    return part.images[index].copy(), part.boxes[index].copy(), part.labels[index], part.crowd[index]


def _mirrored(sample: Sample) -> Sample:
    image, boxes, labels, crowd = sample
    turned = boxes.copy()
    turned[:, [0, 2]] = image.shape[1] - boxes[:, [2, 0]]
    return np.ascontiguousarray(image[:, ::-1]), turned, labels, crowd


def _moved(sample: Sample, rng: np.random.Generator, policy: DetectionPolicy) -> Sample:
    """Scaled about the origin, then shifted: a larger image is cut at random, a smaller one placed at random."""
    image, boxes, labels, crowd = sample
    height, width = image.shape[:2]
    s = float(np.exp(rng.uniform(*np.log(policy.scale))))
    h, w = max(1, round(height * s)), max(1, round(width * s))
    y, x = (int(rng.integers(min(0, room), max(0, room) + 1)) for room in (height - h, width - w))
    out = np.full_like(image, GREY)
    resized = np.asarray(Image.fromarray(image).resize((w, h), Image.Resampling.BILINEAR))
    rows, columns = slice(max(0, y), min(height, y + h)), slice(max(0, x), min(width, x + w))
    out[rows, columns] = resized[rows.start - y : rows.stop - y, columns.start - x : columns.stop - x]
    moved = boxes * np.array([w / width, h / height] * 2, np.float32) + np.array([x, y] * 2, np.float32)
    return _kept((out, moved.astype(np.float32), labels, crowd), policy.kept)


def _kept(sample: Sample, share: float) -> Sample:
    """Boxes cut at the border, and left out where too little of them stays."""
    image, boxes, labels, crowd = sample
    limits = np.array([image.shape[1], image.shape[0]] * 2, np.float32)
    cut = np.clip(boxes, 0, limits).astype(np.float32)
    before, after = _area(boxes), _area(cut)
    stays = (after > 0) & (after >= share * before)
    return image, cut[stays], labels[stays], crowd[stays]


def _mosaic(part: DetectionPart, index: int, rng: np.random.Generator) -> Sample:
    """Four images at half their size, one a quarter (Bochkovskiy et al., YOLOv4, 2020)."""
    others = [index, *rng.integers(len(part), size=3).tolist()]
    height, width = part.images.shape[1:3]
    out, boxes = np.full((height, width, 3), GREY, np.uint8), list[Boxes]()
    for place, i in enumerate(others):
        y, x = (place // 2) * (height // 2), (place % 2) * (width // 2)
        small = Image.fromarray(part.images[i]).resize((width // 2, height // 2), Image.Resampling.BILINEAR)
        out[y : y + height // 2, x : x + width // 2] = np.asarray(small)
        factor = np.array([(width // 2) / width, (height // 2) / height] * 2, np.float32)
        boxes.append((part.boxes[i] * factor + np.array([x, y] * 2, np.float32)).astype(np.float32))
    return (out, np.concatenate(boxes), np.concatenate([part.labels[i] for i in others]),
            np.concatenate([part.crowd[i] for i in others]))


def _area(boxes: Boxes) -> npt.NDArray[np.float32]:
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    found: npt.NDArray[np.float32] = sides[:, 0] * sides[:, 1]
    return found
