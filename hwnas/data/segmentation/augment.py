"""Random changes of images with masks: mirror, scale and cut, colours.

symbol  meaning                          shape
H, W    sides of the images, px
s       factor of the scale
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from hwnas.data.batches import slices
from hwnas.data.jitter import jittered
from hwnas.data.segmentation.parts import Pixels, SegmentationPart
from hwnas.errors import UsageError
from hwnas.imaging.letterbox import GREY, IGNORE


@dataclass(frozen=True)
class SegmentationPolicy:
    """How strongly to augment.

    Attributes:
        flip: mirror left and right with probability one half.
        scale: smallest and largest factor of the size; what comes in is grey and does not matter.
        jitter: brightness, contrast and colour change by at most this share.

    Raises:
        UsageError: values out of range.
    """

    flip: bool = True
    scale: tuple[float, float] = (0.5, 2.0)
    jitter: float = 0.25

    def __post_init__(self) -> None:
        low, high = self.scale
        if not (0 < low <= high and 0 <= self.jitter < 1):
            raise UsageError(f"0 < scale low <= high and jitter in 0..1 are needed: {self}")


PLAIN = SegmentationPolicy(flip=False, scale=(1.0, 1.0), jitter=0.0)


def epoch_segmentation(part: SegmentationPart, batch: int, rng: np.random.Generator,
                       policy: SegmentationPolicy | None = None) -> Iterator[tuple[Pixels, Pixels]]:
    """Shuffled batches of changed copies: uint8 (B, H, W, 3) and (B, H, W).

    The last batch may be smaller; one image left over is dropped, because batch normalisation has no variance over
    one.

    Args:
        policy: None takes the default.

    Raises:
        UsageError: batch under 1.
    """
    if batch < 1:
        raise UsageError(f"batch must be 1 or more, not {batch}")
    return _batches(part, batch, rng, policy or SegmentationPolicy())


def _batches(part: SegmentationPart, batch: int, rng: np.random.Generator,
             policy: SegmentationPolicy) -> Iterator[tuple[Pixels, Pixels]]:
    for chosen in slices(rng.permutation(len(part)), batch):
        changed = [augmented(part.images[i], part.masks[i], rng, policy) for i in chosen]
        yield np.stack([image for image, _ in changed]), np.stack([mask for _, mask in changed])


def augmented(image: Pixels, mask: Pixels, rng: np.random.Generator,
              policy: SegmentationPolicy) -> tuple[Pixels, Pixels]:
    """A changed copy of one image (H, W, 3) and its mask (H, W)."""
    if policy.jitter:  # before anything grey comes in, which a network sees as it is
        image = jittered(image, rng, policy.jitter)
    if policy.scale != (1.0, 1.0):
        image, mask = _moved(image, mask, rng, policy)
    if policy.flip and rng.random() < 0.5:
        image, mask = np.ascontiguousarray(image[:, ::-1]), np.ascontiguousarray(mask[:, ::-1])
    return image, mask


def _moved(image: Pixels, mask: Pixels, rng: np.random.Generator, policy: SegmentationPolicy) -> tuple[Pixels, Pixels]:
    height, width = mask.shape
    s = float(np.exp(rng.uniform(*np.log(policy.scale))))
    h, w = max(1, round(height * s)), max(1, round(width * s))
    y, x = (int(rng.integers(min(0, room), max(0, room) + 1)) for room in (height - h, width - w))
    rows, columns = slice(max(0, y), min(height, y + h)), slice(max(0, x), min(width, x + w))
    found = []
    for pixels, how, blank in ((image, Image.Resampling.BILINEAR, GREY), (mask, Image.Resampling.NEAREST, IGNORE)):
        out = np.full_like(pixels, blank)
        resized = np.asarray(Image.fromarray(pixels).resize((w, h), how))
        out[rows, columns] = resized[rows.start - y : rows.stop - y, columns.start - x : columns.stop - x]
        found.append(out)
    return found[0], found[1]
