"""Random changes of images with masks: mirror, scale and cut, colours.

symbol  meaning
H, W    sides of the images, px
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from hwnas.data.changes import Change
from hwnas.data.feed import Feed
from hwnas.data.segmentation.parts import Pixels, SegmentationPart
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


class SegmentationFeed(Feed[list[Change], tuple[Pixels, Pixels]]):
    """Batches of changed copies: uint8 (B, H, W, 3) and their masks (B, H, W).

    Args:
        part: the images with their masks.
        policy: None takes the default.
    """

    def __init__(self, part: SegmentationPart, policy: SegmentationPolicy | None = None) -> None:
        self.part, self.policy = part, policy or SegmentationPolicy()

    def __len__(self) -> int:
        return len(self.part)

    def draw(self, chosen: npt.NDArray[np.int64], rng: np.random.Generator) -> list[Change]:
        return [_drawn(self.part.pixels.hw, rng, self.policy) for _ in chosen]

    def make(self, chosen: npt.NDArray[np.int64], drawn: list[Change], threads: Executor) -> tuple[Pixels, Pixels]:
        def one(change: Change, index: int) -> tuple[Pixels, Pixels]:
            return _made(change, self.part.pixels[index], self.part.truth[index])

        made = list(threads.map(one, drawn, chosen.tolist()))
        return np.stack([image for image, _ in made]), np.stack([mask for _, mask in made])


def epoch_segmentation(part: SegmentationPart, batch: int, rng: np.random.Generator,
                       policy: SegmentationPolicy | None = None) -> Iterator[tuple[Pixels, Pixels]]:
    """`Feed.epoch` of a `SegmentationFeed`.

    Raises:
        UsageError: batch under 1.
    """
    return SegmentationFeed(part, policy).epoch(batch, rng)


def augmented(image: Pixels, mask: Pixels, rng: np.random.Generator,
              policy: SegmentationPolicy) -> tuple[Pixels, Pixels]:
    """A changed copy of one image (H, W, 3) and its mask (H, W)."""
    return _made(_drawn(mask.shape, rng, policy), image, mask)


def _drawn(size: tuple[int, int], rng: np.random.Generator, policy: SegmentationPolicy) -> Change:
    return Change.drawn(rng, size, jitter=policy.jitter, scale=policy.scale, flip=policy.flip)


def _made(change: Change, image: Pixels, mask: Pixels) -> tuple[Pixels, Pixels]:
    return np.array(change.image(Image.fromarray(image))), np.array(change.mask(Image.fromarray(mask)))
