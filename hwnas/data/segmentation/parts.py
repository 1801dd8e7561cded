"""A segmentation data set.

symbol  meaning                                             shape
N       images of a part
H, W    height and width of the network's input, px
K       classes
images  uint8 pixels, letterboxed                           (N, H, W, 3)
masks   uint8 class of every pixel, 255 does not matter     (N, H, W)
counts  pixels of every number in every mask                (N, 256)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from hwnas.data.detection.parts import Frame
from hwnas.data.labelled import Indices
from hwnas.data.notes import joined
from hwnas.data.parted import Parted
from hwnas.data.views import Decoded, ImageView, lazily
from hwnas.errors import DataError
from hwnas.imaging.letterbox import IGNORE
from hwnas.progress import Progress, silent

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.uint32]


@dataclass(frozen=True, eq=False, repr=False)
class SegmentationPart:
    """Training or validation images with their masks.

    Attributes:
        images, masks: arrays, or views; read as arrays they are decoded as a whole, which `pixels` and `truth` are not.

    Raises:
        DataError: masks of another number or size than the images.
    """

    images: Pixels
    masks: Pixels
    frames: tuple[Frame, ...]

    def __post_init__(self) -> None:
        images, masks = self.pixels.shape, self.truth.shape
        if images[:3] != masks or len(self.frames) != len(self.pixels):
            raise DataError(f"images {images}, masks {masks} and {len(self.frames)} frames do not fit each other")

    @cached_property
    def pixels(self) -> ImageView:
        """The images, decoded when they are indexed: uint8 (N, H, W, 3)."""
        return ImageView.of(self.__dict__["images"])

    @cached_property
    def truth(self) -> ImageView:
        """The masks, decoded when they are indexed: uint8 (N, H, W)."""
        return ImageView.of(self.__dict__["masks"])

    @cached_property
    def counts(self) -> Counts:
        """Pixels of every number 0..255 in every mask: (N, 256); all masks are decoded, once."""
        return counts_of(self.truth)

    def __len__(self) -> int:
        return len(self.frames)

    def take(self, indices: npt.NDArray[np.integer[Any]]) -> SegmentationPart:
        """The images at `indices`, in that order; copies none."""
        found = SegmentationPart(lazily(self.pixels.take(indices)), lazily(self.truth.take(indices)),
                                 tuple(self.frames[int(i)] for i in indices))
        found.__dict__["counts"] = self.counts[indices]
        return found


SegmentationPart.images, SegmentationPart.masks = Decoded("images"), Decoded("masks")  # type: ignore[assignment]


def counts_of(masks: ImageView, progress: Progress = silent) -> Counts:
    """Pixels of every number in every mask: (N, 256)."""
    found = np.zeros((len(masks), 256), np.uint32)
    row = 0
    for piece in masks.pieces():
        for mask in piece:
            found[row] = np.bincount(mask.reshape(-1), minlength=256)
            row += 1
        progress("count the pixels of masks", row, len(masks))
    return found


@dataclass(frozen=True, eq=False)
class SegmentationData(Parted):
    """Images with masks, training and validation.

    Attributes:
        palette: uint8 (K, 3), a colour a class.
        size: (H, W).
        notes: what the reader left out or decided by itself, a line each.

    Raises:
        DataError: no images in a part, no pixel to learn from or to judge by, or one class in all of them.
    """

    name: str
    train: SegmentationPart
    val: SegmentationPart
    classes: tuple[str, ...]
    palette: Pixels
    size: tuple[int, int]
    source: str
    split: str = "given by the caller"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for part, name in ((self.train, "training"), (self.val, "validation")):
            if not len(part):
                raise DataError(f"{self.source}: no {name} images; give at least one")
        if len(self.classes) < 2:
            raise DataError(f"{self.source}: {len(self.classes)} class; telling pixels apart needs two or more")
        for part, name, what in ((self.train, "training", "learn"), (self.val, "validation", "judge by")):
            if not part.counts[:, :IGNORE].any():
                raise DataError(f"{self.source}: every pixel of the {name} masks is ignored; there is nothing to "
                                f"{what}")
        there = np.flatnonzero(self.shares(self.train))
        if len(there) < 2:
            raise DataError(f"{self.source}: every pixel of the training masks is {self.classes[there[0]]!r} or "
                            "ignored; there is nothing to tell apart: check what the numbers in the masks mean")

    @property
    def channels(self) -> int:
        """RGB."""
        return 3

    def taken(self, train: Indices, val: Indices) -> SegmentationData:
        """Training images `train` to learn from, training images `val` to judge by."""
        return replace(self, train=self.train.take(train), val=self.train.take(val))

    def val_name(self, number: int) -> str:
        """The name of its file."""
        return self.val.frames[number].name

    def with_notes(self, notes: tuple[str, ...]) -> SegmentationData:
        """The same data with more notes."""
        return replace(self, notes=self.notes + notes)

    @property
    def parts(self) -> tuple[SegmentationPart, SegmentationPart]:
        return self.train, self.val

    def stand_in(self) -> SegmentationData:
        def of(part: SegmentationPart) -> SegmentationPart:
            found = SegmentationPart(lazily(part.pixels.stand_in()), lazily(part.truth), part.frames)
            found.__dict__["counts"] = part.counts
            return found

        return replace(self, train=of(self.train), val=of(self.val))

    def _lead(self) -> str:
        return "|".join(self.classes)

    def _arrays(self) -> Iterable[ImageView | npt.NDArray[Any]]:
        for part in self.parts:
            yield part.pixels
            yield part.truth

    def shares(self, part: SegmentationPart) -> Floats:
        """Share of every class of the pixels that matter: (K,)."""
        counts = part.counts.sum(axis=0, dtype=np.int64)[: len(self.classes)]
        found: Floats = counts / max(1, counts.sum())
        return found

    def describe(self) -> dict[str, Any]:
        """The facts as JSON values; of a class the share of the pixels in percent."""
        train, val = self.shares(self.train) * 100, self.shares(self.val) * 100
        return {
            "name": self.name, "source": self.source, "imgsz": self.size[0], "width": self.size[1], "channels": 3,
            "train": len(self.train), "val": len(self.val), "split": self.split,
            "notes": list(self.notes),
            "classes": {n: {"train": round(float(t), 3), "val": round(float(v), 3)}
                        for n, t, v in zip(self.classes, train, val, strict=True)},
        }

    def summary(self) -> str:
        """One line for people."""
        pixels = self.train.counts.sum(axis=0, dtype=np.int64)
        ignored = float(pixels[IGNORE] / pixels.sum() * 100)
        return (f"{self.name}: {len(self.train):,} training and {len(self.val):,} validation images, "
                f"{self.size[0]}x{self.size[1]}, {len(self.classes)} classes, {ignored:.1f} % of the pixels do not "
                f"matter; {self.split}{joined(self.notes)}")
