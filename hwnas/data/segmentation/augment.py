"""Random changes of images with masks: mirror, scale and cut, colours.

symbol  meaning
H, W    sides of the images, px
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from hwnas.data.batches import slices
from hwnas.data.changes import Change
from hwnas.data.segmentation.parts import Pixels, SegmentationPart
from hwnas.data.threads import pool
from hwnas.errors import UsageError


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
    with pool() as threads:
        for chosen in slices(rng.permutation(len(part)), batch):
            drawn = [_drawn(part.truth.shape[1:], rng, policy) for _ in chosen]
            made = list(threads.map(_made, drawn, (part.pixels[i] for i in chosen), (part.truth[i] for i in chosen)))
            yield np.stack([image for image, _ in made]), np.stack([mask for _, mask in made])


def augmented(image: Pixels, mask: Pixels, rng: np.random.Generator,
              policy: SegmentationPolicy) -> tuple[Pixels, Pixels]:
    """A changed copy of one image (H, W, 3) and its mask (H, W)."""
    return _made(_drawn(mask.shape, rng, policy), image, mask)


def _drawn(size: tuple[int, int], rng: np.random.Generator, policy: SegmentationPolicy) -> Change:
    return Change.drawn(rng, size, jitter=policy.jitter, scale=policy.scale, flip=policy.flip)


def _made(change: Change, image: Pixels, mask: Pixels) -> tuple[Pixels, Pixels]:
    return np.array(change.image(Image.fromarray(image))), np.array(change.mask(Image.fromarray(mask)))
