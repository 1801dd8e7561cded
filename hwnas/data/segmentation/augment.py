"""Random changes of images with masks: mirror, scale and cut, colours; then a recipe's transforms.

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
from hwnas.data.recipe import Recipe
from hwnas.data.segmentation.parts import Pixels, SegmentationPart
from hwnas.data.transforms import Sample, changed
from hwnas.errors import UsageError
from hwnas.imaging.letterbox import IGNORE


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


Drawn = tuple[Change, int]  # what is done to an image, and the seed of the transforms behind that


class SegmentationFeed(Feed[list[Drawn], tuple[Pixels, Pixels]]):
    """Batches of changed copies: uint8 (B, H, W, 3) and their masks (B, H, W).

    Args:
        part: the images with their masks.
        policy: None takes the default.
        recipe: what else is done to them, and which are shown.

    Raises:
        UnknownName, UsageError: of the recipe, as `hwnas.data.recipe.Recipe`.
    """

    def __init__(self, part: SegmentationPart, policy: SegmentationPolicy | None = None, recipe: Recipe | None = None
                 ) -> None:
        recipe = recipe or Recipe()
        recipe.unmixed("masks")
        self.part, self.policy = part, recipe.policy_like(policy or SegmentationPolicy())
        self.sampler, self._transforms = recipe.sampling(), recipe.made()

    def __len__(self) -> int:
        return len(self.part)

    def classes(self) -> list[npt.NDArray[np.int64]]:
        return [np.flatnonzero(counts[:IGNORE]) for counts in self.part.counts]

    def draw(self, chosen: npt.NDArray[np.int64], rng: np.random.Generator) -> list[Drawn]:
        changes = [_drawn(self.part.pixels.hw, rng, self.policy) for _ in chosen]
        seeds = rng.integers(2**63, size=len(chosen)).tolist() if self._transforms else [0] * len(chosen)
        return list(zip(changes, seeds, strict=True))

    def make(self, chosen: npt.NDArray[np.int64], drawn: list[Drawn], threads: Executor) -> tuple[Pixels, Pixels]:
        made = list(threads.map(self._made, drawn, chosen.tolist()))
        return np.stack([image for image, _ in made]), np.stack([mask for _, mask in made])

    def _made(self, drawn: Drawn, index: int) -> tuple[Pixels, Pixels]:
        image, mask = _made(drawn[0], self.part.pixels[index], self.part.truth[index])
        if not self._transforms:
            return image, mask
        found = changed(self._transforms, Sample(image, mask=mask), drawn[1])
        assert found.mask is not None, "held by `changed`"
        return found.image, found.mask


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
