"""Random changes of images with boxes: mirror, scale and shift, colours, four in one; then a recipe's transforms.

symbol  meaning                                              shape
H, W    sides of the images, px
boxes   x0, y0, x1, y1 in pixels                             (n, 4)
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from hwnas.data.changes import Change, Place
from hwnas.data.detection.parts import Boxes, DetectionPart, Flags, Labels, Pixels
from hwnas.data.feed import Feed
from hwnas.data.recipe import Recipe
from hwnas.data.transforms import Sample as Given
from hwnas.data.transforms import Transform
from hwnas.data.transforms import changed as transformed
from hwnas.errors import UsageError
from hwnas.imaging.letterbox import GREY

Batch = tuple[Pixels, list[Boxes], list[Labels], list[Flags]]
Sample = tuple[Pixels, Boxes, Labels, Flags]
Truth = tuple[Boxes, Labels, Flags]


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


class Drawn(NamedTuple):
    """The image, or the four of a mosaic, what is done to it, and the seed of the transforms behind that."""

    sources: tuple[int, ...]
    change: Change
    seed: int = 0


PLAIN = DetectionPolicy(flip=False, scale=(1.0, 1.0), jitter=0.0)


class DetectionFeed(Feed[list[Drawn], Batch]):
    """Batches of changed copies: uint8 (B, H, W, 3) and per image boxes, labels, crowds.

    Args:
        part: the images with their boxes.
        policy: None takes the default.
        recipe: what else is done to them, and which are shown.

    Raises:
        UnknownName, UsageError: of the recipe, as `hwnas.data.recipe.Recipe`.
    """

    def __init__(self, part: DetectionPart, policy: DetectionPolicy | None = None, recipe: Recipe | None = None
                 ) -> None:
        recipe = recipe or Recipe()
        recipe.unmixed("boxes")
        self.part, self.policy = part, recipe.policy_like(policy or DetectionPolicy())
        self.sampler, self._transforms = recipe.sampling(), recipe.made()

    def __len__(self) -> int:
        return len(self.part)

    def classes(self) -> list[Labels]:
        return [labels[~crowd] for labels, crowd in zip(self.part.labels, self.part.crowd, strict=True)]

    def draw(self, chosen: npt.NDArray[np.int64], rng: np.random.Generator) -> list[Drawn]:
        found = [_drawn(self.part, int(i), rng, self.policy) for i in chosen]
        seeds = rng.integers(2**63, size=len(found)).tolist() if self._transforms else [0] * len(found)
        return [Drawn(d.sources, d.change, seed) for d, seed in zip(found, seeds, strict=True)]

    def make(self, chosen: npt.NDArray[np.int64], drawn: list[Drawn], threads: Executor) -> Batch:
        images = np.empty((len(drawn), *self.part.pixels.shape[1:]), np.uint8)
        made = functools.partial(_made, self.part, self.policy.kept, self._transforms)
        changed = list(threads.map(made, drawn, images))
        return images, [s[0] for s in changed], [s[1] for s in changed], [s[2] for s in changed]


def epoch_detection(part: DetectionPart, batch: int, rng: np.random.Generator,
                    policy: DetectionPolicy | None = None) -> Iterator[Batch]:
    """`Feed.epoch` of a `DetectionFeed`.

    Raises:
        UsageError: batch under 1.
    """
    return DetectionFeed(part, policy).epoch(batch, rng)


def augmented(part: DetectionPart, index: int, rng: np.random.Generator, policy: DetectionPolicy) -> Sample:
    """A changed copy of one image."""
    out = np.empty(part.pixels.shape[1:], np.uint8)
    return out, *_made(part, policy.kept, (), _drawn(part, index, rng, policy), out)


def _drawn(part: DetectionPart, index: int, rng: np.random.Generator, policy: DetectionPolicy) -> Drawn:
    """All random numbers of one image."""
    four = policy.mosaic > 0 and rng.random() < policy.mosaic
    sources = (index, *rng.integers(len(part), size=3).tolist()) if four else (index,)
    size = part.pixels.hw
    return Drawn(sources, Change.drawn(rng, size, jitter=policy.jitter, scale=policy.scale, flip=policy.flip))


def _made(part: DetectionPart, kept: float, transforms: Sequence[Transform], drawn: Drawn, out: Pixels) -> Truth:
    """Puts the changed image into `out` (H, W, 3); its boxes, labels and crowds."""
    sources, change, seed = drawn
    size = part.pixels.hw
    image, truth = _mosaic(part, sources) if len(sources) > 1 else _plain(part, sources[0])
    out[:] = np.asarray(change.image(image))
    if change.place:
        truth = _kept((change.place.boxes(truth[0], size), *truth[1:]), size, kept)
    truth = (_mirrored(truth[0], size[1]), *truth[1:]) if change.mirrored else truth
    if not transforms:
        return truth
    found = transformed(transforms, Given(out, *truth), seed)
    out[:] = found.image
    return found.boxed


def _plain(part: DetectionPart, index: int) -> tuple[Image.Image, Truth]:
    return Image.fromarray(part.pixels[index]), (part.boxes[index].copy(), part.labels[index], part.crowd[index])


def _mirrored(boxes: Boxes, width: int) -> Boxes:
    turned = boxes.copy()
    turned[:, [0, 2]] = width - boxes[:, [2, 0]]
    return turned


def _kept(truth: Truth, size: tuple[int, int], share: float) -> Truth:
    """Boxes cut at the border, and left out where too little of them stays."""
    boxes, labels, crowd = truth
    limits = np.array([size[1], size[0]] * 2, np.float32)
    cut = np.clip(boxes, 0, limits).astype(np.float32)
    before, after = _area(boxes), _area(cut)
    stays = (after > 0) & (after >= share * before)
    return cut[stays], labels[stays], crowd[stays]


def _mosaic(part: DetectionPart, sources: Sequence[int]) -> tuple[Image.Image, Truth]:
    """Four images at half their size, one a quarter (Bochkovskiy et al., YOLOv4, 2020)."""
    height, width = part.pixels.hw
    out, boxes = Image.new("RGB", (width, height), (GREY,) * 3), list[Boxes]()
    for corner, i in enumerate(sources):
        place = Place(height // 2, width // 2, (corner // 2) * (height // 2), (corner % 2) * (width // 2))
        small = Image.fromarray(part.pixels[i]).resize((place.w, place.h), Image.Resampling.BILINEAR)
        out.paste(small, (place.x, place.y))
        boxes.append(place.boxes(part.boxes[i], (height, width)))
    return out, (np.concatenate(boxes), np.concatenate([part.labels[i] for i in sources]),
                 np.concatenate([part.crowd[i] for i in sources]))


def _area(boxes: Boxes) -> npt.NDArray[np.float32]:
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    found: npt.NDArray[np.float32] = sides[:, 0] * sides[:, 1]
    return found
