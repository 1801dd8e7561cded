"""Random changes that leave the class as it is: shift, mirror, cutout.

symbol  meaning                                        shape
N, S    images, side in px
p       policy.shift: px of reflected border
dy, dx  offset of every image's crop, 0..2p            (N,)
rows    view of the padded images as rows of bytes     (N, 2p+1, 2p+1, S, S*C)
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwnas.data.dataset import ClassPart
from hwnas.data.feed import Feed, Share
from hwnas.data.labelled import LabelledData
from hwnas.data.views import AnyImages, ImageView
from hwnas.errors import DataError, UsageError

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]
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
    """What is done to N images; None where a policy does not.

    Attributes:
        shift: dy and dx, (2, N).
        mirrored: (N,).
        hole: row and column of the centre, (2, N).
    """

    shift: Ints | None
    mirrored: npt.NDArray[np.bool_] | None
    hole: Ints | None

    @classmethod
    def of(cls, rng: np.random.Generator, shape: tuple[int, ...], policy: Policy) -> Drawn:
        """For images of a shape (N, S, S, C); every image draws its own numbers."""
        count, height, width = shape[:3]
        shift = rng.integers(0, 2 * policy.shift + 1, (2, count)) if policy.shift else None
        mirrored = rng.random(count) < 0.5 if policy.flip else None
        hole = np.stack([rng.integers(0, side, count) for side in (height, width)]) if policy.cutout else None
        return cls(shift, mirrored, hole)


def augment(images: Images, rng: np.random.Generator, policy: Policy) -> Images:
    """Changed copies of `images`, uint8 (N, S, S, C)."""
    return _changed(images, Drawn.of(rng, images.shape, policy), policy)


class ClassFeed(Feed[Drawn, tuple[Images, Labels]]):
    """Batches of images and their classes: uint8 (B, S, S, C) and int64 (B,).

    Args:
        part: the images.
        policy: how they are changed; None for not at all.
    """

    def __init__(self, part: ClassPart, policy: Policy | None = None) -> None:
        self.part, self.policy = part, policy or Policy()

    def __len__(self) -> int:
        return len(self.part)

    def draw(self, chosen: npt.NDArray[np.int64], rng: np.random.Generator) -> Drawn:
        return Drawn.of(rng, (len(chosen), *self.part.pixels.shape[1:]), self.policy)

    def shared(self, drawn: Drawn, share: Share) -> Drawn:
        mine = slice(share.rank, None, share.world)
        shift, mirrored, hole = drawn.shift, drawn.mirrored, drawn.hole
        return Drawn(None if shift is None else shift[:, mine], None if mirrored is None else mirrored[mine],
                     None if hole is None else hole[:, mine])

    def make(self, chosen: npt.NDArray[np.int64], drawn: Drawn, threads: Executor) -> tuple[Images, Labels]:
        return _changed(self.part.pixels[chosen], drawn, self.policy), self.part.labels[chosen]


def epoch(images: AnyImages, labels: Labels, batch: int, rng: np.random.Generator, policy: Policy | None = None
          ) -> Iterator[tuple[Images, Labels]]:
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
