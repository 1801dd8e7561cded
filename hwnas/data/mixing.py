"""Two images as one, and a target between their classes: mixup and cutmix.

mixup blends all pixels (Zhang et al., ICLR 2018), cutmix puts a rectangle of the other image in (Yun et al., ICCV
2019). Every image of a batch draws for itself whether, how and with which other image of the batch it is mixed.

symbol  meaning                                                       shape
N, K    images of a batch, classes
other   place in the batch of the image that is mixed in              (N,)
own     share of an image's own pixels; 1 where it is not mixed       (N,)
box     y0, y1, x0, x1 of the rectangle; all 0 where all is blended   (N, 4)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Mixed:
    """How the images of a batch are mixed."""

    other: Ints
    own: npt.NDArray[np.float64]
    box: Ints

    def part(self, places: Ints) -> Mixed:
        """That of the images at `places`, where the other of each stands behind them, in the same order."""
        return Mixed(len(places) + np.arange(len(places)), self.own[places], self.box[places])

    def images(self, given: Images) -> Images:
        """The first N of `given`, mixed: uint8 (N, H, W, C); `given` is left alone."""
        out = given[: len(self.own)].copy()
        blended = np.flatnonzero((self.own < 1) & ~self.box.any(axis=1))
        share = self.own[blended].astype(np.float32)[:, None, None, None]
        first, second = given[blended].astype(np.float32), given[self.other[blended]].astype(np.float32)
        out[blended] = np.rint(second + share * (first - second)).astype(np.uint8)
        for i in np.flatnonzero((self.own < 1) & self.box.any(axis=1)).tolist():
            y0, y1, x0, x1 = self.box[i].tolist()
            out[i, y0:y1, x0:x1] = given[self.other[i], y0:y1, x0:x1]
        return out

    def targets(self, labels: Ints, classes: int) -> npt.NDArray[np.float32]:
        """Probabilities of the classes, float32 (N, K), from the labels of the images that were given."""
        count = len(self.own)
        rows, found = np.arange(count), np.zeros((count, classes), np.float32)
        found[rows, labels[:count]] = self.own
        np.add.at(found, (rows, labels[self.other]), (1 - self.own).astype(np.float32))
        return found


@dataclass(frozen=True)
class Mixing:
    """How strongly images are mixed.

    Args:
        mixup, cutmix: both parameters of the beta law of the share; 0 for none. With both, each as likely.
        share: of the images that are mixed.
    """

    mixup: float = 0.0
    cutmix: float = 0.0
    share: float = 1.0

    def __bool__(self) -> bool:
        return self.share > 0 and (self.mixup > 0 or self.cutmix > 0)

    def drawn(self, rng: np.random.Generator, count: int, size: tuple[int, int]) -> Mixed:
        """For a batch of `count` images of a size (H, W)."""
        other, own, box = rng.permutation(count), np.ones(count), np.zeros((count, 4), np.int64)
        for i in range(count):
            mixed, cuts = rng.random() < self.share, rng.random() < (0.5 if self.mixup and self.cutmix else 1.0)
            cuts = bool(self.cutmix) and cuts
            alpha = self.cutmix if cuts else self.mixup
            share, place = float(rng.beta(alpha, alpha)), rng.random(2)
            if not mixed or other[i] == i:
                continue
            own[i] = share
            if cuts:
                box[i] = _rectangle(1 - share, place, size)
                y0, y1, x0, x1 = box[i].tolist()
                own[i] = 1 - (y1 - y0) * (x1 - x0) / (size[0] * size[1])
        return Mixed(other, own, box)


def _rectangle(area: float, place: npt.NDArray[np.float64], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """y0, y1, x0, x1 of a rectangle of the image's aspect ratio about a point anywhere, cut at the border."""
    found = []
    for side, where in zip(size, place.tolist(), strict=True):
        half, centre = side * math.sqrt(area) / 2, side * where
        found += [max(0, round(centre - half)), min(side, round(centre + half))]
    return found[0], found[1], found[2], found[3]
