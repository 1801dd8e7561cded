"""Random changes that leave the class as it is: shift, mirror, cutout; then a recipe's transforms, and mixing.

symbol  meaning                                        shape
N, S    images, side in px
p       policy.shift: px of reflected border
dy, dx  offset of every image's crop, 0..2p            (N,)
rows    view of the padded images as rows of bytes     (N, 2p+1, 2p+1, S, S*C)
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hwnas.data.dataset import ClassPart
from hwnas.data.feed import Feed, Share
from hwnas.data.labelled import LabelledData
from hwnas.data.mixing import Mixed
from hwnas.data.recipe import Recipe
from hwnas.data.transforms import Sample, changed
from hwnas.data.views import AnyImages, ImageView
from hwnas.errors import DataError, UsageError

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]
Targets = Labels | npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Policy:
    """How strongly to augment; the default changes nothing.

    Attributes:
        shift: most px an image moves in either direction; what comes in is a reflection at the border.
        flip: mirror left and right with probability one half.
        cutout: side in px of a square filled with the image's mean colour (DeVries & Taylor, 2017); its centre is
            anywhere, so part of it may fall outside.

    Raises:
        UsageError: a negative number.
    """

    shift: int = 0
    flip: bool = False
    cutout: int = 0

    def __post_init__(self) -> None:
        if self.shift < 0 or self.cutout < 0:
            raise UsageError(f"shift and cutout are px, 0 or more, not {self.shift} and {self.cutout}")


def policy_for(dataset: LabelledData, *, cutout: bool = False) -> Policy:
    """The customary policy for images like these.

    Colour of 24 px and more: shift of an eighth (4 px at 32) and mirroring. Grey or smaller: a fourteenth (1 px at
    16, 2 px at 28) and no mirroring, since such images are mostly characters. Classes that mirroring would
    change (signs, digits in colour) need a Policy of their own. With `cutout`, a square of half the side.
    """
    hole = dataset.size[0] // 2 if cutout else 0
    if dataset.channels == 3 and dataset.size[0] >= 24:
        return Policy(shift=round(dataset.size[0] / 8), flip=True, cutout=hole)
    return Policy(shift=max(1, round(dataset.size[0] / 14)), cutout=hole)


@dataclass(frozen=True)
class Drawn:
    """What is done to N images; None where a policy or a recipe does not.

    Attributes:
        shift: dy and dx, (2, N).
        mirrored: (N,).
        hole: row and column of the centre, (2, N).
        seeds: of the transforms of every image, (N,).
        mixed: how they are mixed.
        chosen: where they are mixed, the images that are made: those of the batch, then those that are only mixed in.
    """

    shift: Ints | None
    mirrored: npt.NDArray[np.bool_] | None
    hole: Ints | None
    seeds: Ints | None = None
    mixed: Mixed | None = None
    chosen: Ints | None = None

    @classmethod
    def of(cls, rng: np.random.Generator, shape: tuple[int, ...], policy: Policy) -> Drawn:
        """For images of a shape (N, S, S, C); every image draws its own numbers."""
        count, height, width = shape[:3]
        shift = rng.integers(0, 2 * policy.shift + 1, (2, count)) if policy.shift else None
        mirrored = rng.random(count) < 0.5 if policy.flip else None
        hole = np.stack([rng.integers(0, side, count) for side in (height, width)]) if policy.cutout else None
        return cls(shift, mirrored, hole)

    def part(self, places: Ints | slice) -> Drawn:
        """That of the images at `places`; what is mixed is left out."""
        return Drawn(None if self.shift is None else self.shift[:, places],
                     None if self.mirrored is None else self.mirrored[places],
                     None if self.hole is None else self.hole[:, places],
                     None if self.seeds is None else self.seeds[places])


def augment(images: Images, rng: np.random.Generator, policy: Policy) -> Images:
    """Changed copies of `images`, uint8 (N, S, S, C)."""
    return _changed(images, Drawn.of(rng, images.shape, policy), policy)


class ClassFeed(Feed[Drawn, tuple[Images, Targets]]):
    """Batches of images uint8 (B, S, S, C) and their classes, int64 (B,), or float32 (B, K) where images are mixed.

    Args:
        part: the images.
        policy: how they are changed; None for not at all.
        recipe: what else is done to them, and which are shown.
        classes: K.

    Raises:
        UnknownName, UsageError: of the recipe, as `hwnas.data.recipe.Recipe`.
    """

    def __init__(self, part: ClassPart, policy: Policy | None = None, recipe: Recipe | None = None, classes: int = 0
                 ) -> None:
        recipe = recipe or Recipe()
        self.part, self.policy, self.sampler = part, recipe.policy_like(policy or Policy()), recipe.sampling()
        self._transforms, self._mixing, self._count = recipe.made(), recipe.mixed, classes

    def __len__(self) -> int:
        return len(self.part)

    def classes(self) -> list[Labels]:
        return list(self.part.labels[:, None])

    def draw(self, chosen: npt.NDArray[np.int64], rng: np.random.Generator) -> Drawn:
        drawn = Drawn.of(rng, (len(chosen), *self.part.pixels.shape[1:]), self.policy)
        seeds = rng.integers(2**63, size=len(chosen)) if self._transforms else None
        if not self._mixing:
            return drawn if seeds is None else replace(drawn, seeds=seeds)
        mixed = self._mixing.drawn(rng, len(chosen), self.part.pixels.hw)
        return replace(drawn, seeds=seeds, mixed=mixed, chosen=chosen)

    def shared(self, drawn: Drawn, share: Share) -> Drawn:
        mixed, chosen = drawn.mixed, drawn.chosen
        if mixed is None or chosen is None:
            return drawn.part(slice(share.rank, None, share.world))
        own = np.arange(share.rank, len(chosen), share.world)
        needed = np.concatenate([own, mixed.other[own]])  # another process has made the others: made again, for itself
        return replace(drawn.part(needed), mixed=mixed.part(own), chosen=chosen[needed])

    def make(self, chosen: npt.NDArray[np.int64], drawn: Drawn, threads: Executor) -> tuple[Images, Targets]:
        wanted = chosen if drawn.chosen is None else drawn.chosen
        images, labels = _changed(self.part.pixels[wanted], drawn, self.policy), self.part.labels[wanted]
        if drawn.seeds is not None:
            images = np.stack(list(threads.map(self._transformed, images, drawn.seeds.tolist())))
        if drawn.mixed is not None:
            images = drawn.mixed.images(images)
        return images, self.targets(labels, drawn.mixed)

    def targets(self, labels: Labels, mixed: Mixed | None) -> Targets:
        """What a batch is to be answered with.

        Args:
            labels: of the images that were given to `mixed`, the batch's own first.
        """
        return labels if mixed is None else mixed.targets(labels, self._count)

    def _transformed(self, image: Images, seed: int) -> Images:
        return changed(self._transforms, Sample(image), seed).image


def epoch(images: AnyImages, labels: Labels, batch: int, rng: np.random.Generator, policy: Policy | None = None
          ) -> Iterator[tuple[Images, Targets]]:
    """`Feed.epoch` of images (N, S, S, C), left as they are, and labels int64 (N,).

    Raises:
        UsageError: batch under 1.
        DataError: not as many labels as images.
    """
    if len(images) != len(labels):
        raise DataError(f"{len(images)} images need as many labels, not {len(labels)}")
    return ClassFeed(ClassPart(ImageView.of(images), labels), policy).epoch(batch, rng)


def _changed(images: Images, drawn: Drawn, policy: Policy) -> Images:
    out = np.array(images, order="C") if drawn.shift is None else _shifted(images, drawn.shift, policy.shift)
    if drawn.mirrored is not None:
        mirrored = np.flatnonzero(drawn.mirrored)
        out[mirrored] = out[mirrored].take(np.arange(out.shape[2])[::-1], axis=2)
    if drawn.hole is not None:
        _cut(out, drawn.hole, policy.cutout)
    return out


def _shifted(images: Images, offsets: Ints, shift: int) -> Images:
    count, height, width, channels = images.shape
    padded = np.pad(images, ((0, 0), (shift, shift), (shift, shift), (0, 0)), mode="reflect")
    steps = 2 * shift + 1
    image, row, pixel, _ = padded.strides
    rows = np.lib.stride_tricks.as_strided(
        padded, (count, steps, steps, height, width * channels), (image, row, pixel, row, 1), writeable=False
    )
    dy, dx = offsets
    moved: Images = rows[np.arange(count), dy, dx].reshape(images.shape)
    return moved


def _cut(images: Images, centres: Ints, side: int) -> None:
    count, height, width, channels = images.shape
    top, left = centres - side // 2
    # Summing rows first keeps the inner loop long: ten times faster than the mean over both axes.
    columns = images.reshape(count, height, width * channels).sum(axis=1, dtype=np.uint32)
    fill = columns.reshape(count, 1, width, channels).mean(axis=2, keepdims=True) / height
    corners = np.maximum(np.stack([top, top + side, left, left + side], axis=1), 0).tolist()
    # Small slices image by image beat one masked copy of the whole batch.
    for image, colour, (y0, y1, x0, x1) in zip(images, np.rint(fill).astype(np.uint8), corners, strict=True):
        image[y0:y1, x0:x1] = colour
