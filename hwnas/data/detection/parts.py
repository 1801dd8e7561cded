"""A detection data set.

symbol  meaning                                             shape
N       images of a part
H, W    height and width of the network's input, px
K       classes
images  uint8 pixels, letterboxed                           (N, H, W, 3)
boxes   of one image, x0, y0, x1, y1 in input pixels        (n, 4)
labels  their classes, 0..K-1                               (n,)
crowd   whether a box need not be found                     (n,)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hwnas.data.labelled import Indices
from hwnas.data.notes import joined
from hwnas.data.parted import Parted
from hwnas.data.views import Decoded, ImageView, lazily
from hwnas.errors import DataError

Pixels = npt.NDArray[np.uint8]
Boxes = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Frame:
    """One original image: its name, where it is, its size in pixels."""

    name: str
    path: Path | None
    height: int
    width: int


@dataclass(frozen=True, eq=False, repr=False)
class DetectionPart:
    """Training or validation images with their boxes.

    Attributes:
        images: an array, or a view; read as an array it is decoded as a whole, which `pixels` is not.

    Raises:
        DataError: not as many boxes, labels and frames as images.
    """

    images: Pixels
    frames: tuple[Frame, ...]
    boxes: tuple[Boxes, ...]
    labels: tuple[Labels, ...]
    crowd: tuple[Flags, ...]

    def __post_init__(self) -> None:
        counts = {len(self.pixels), len(self.frames), len(self.boxes), len(self.labels), len(self.crowd)}
        if len(counts) != 1:
            raise DataError(f"images, frames, boxes, labels and crowds must be as many, not {sorted(counts)}")

    @cached_property
    def pixels(self) -> ImageView:
        """The images, decoded when they are indexed: uint8 (N, H, W, 3)."""
        return ImageView.of(self.__dict__["images"])

    def __len__(self) -> int:
        return len(self.boxes)

    def take(self, indices: npt.NDArray[np.integer[Any]]) -> DetectionPart:
        """The images at `indices`, in that order; copies none."""
        chosen = [int(i) for i in indices]
        return DetectionPart(
            lazily(self.pixels.take(indices)), tuple(self.frames[i] for i in chosen),
            tuple(self.boxes[i] for i in chosen), tuple(self.labels[i] for i in chosen),
            tuple(self.crowd[i] for i in chosen),
        )


DetectionPart.images = Decoded("images")  # type: ignore[assignment]


@dataclass(frozen=True, eq=False)
class DetectionData(Parted):
    """Images with boxes, training and validation.

    Attributes:
        category_ids: of the classes in the source.
        size: (H, W).
        source: what was loaded.
        split: how training and validation were told apart.
        clipped: boxes that reached beyond their image and were cut at its border.
        notes: what the reader left out or decided by itself, a line each.

    Raises:
        DataError: no training or validation image, or no box to learn from or to judge by; crowds are none.
    """

    name: str
    train: DetectionPart
    val: DetectionPart
    classes: tuple[str, ...]
    category_ids: tuple[int, ...]
    size: tuple[int, int]
    source: str
    split: str = "given by the caller"
    clipped: int = 0
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for part, name in ((self.train, "training"), (self.val, "validation")):
            if not len(part):
                raise DataError(f"{self.source}: no {name} images; give at least one")
        for part, name, what in ((self.train, "training", "learn"), (self.val, "validation", "judge by")):
            if all(crowd.all() for crowd in part.crowd):
                raise DataError(f"{self.source}: no {name} image has a box that is no crowd; there is nothing to "
                                f"{what}")

    @property
    def channels(self) -> int:
        """RGB."""
        return 3

    def taken(self, train: Indices, val: Indices) -> DetectionData:
        """Training images `train` to learn from, training images `val` to judge by."""
        return replace(self, train=self.train.take(train), val=self.train.take(val))

    def val_name(self, number: int) -> str:
        """The name of its file."""
        return self.val.frames[number].name

    def with_notes(self, notes: tuple[str, ...]) -> DetectionData:
        """The same data with more notes."""
        return replace(self, notes=self.notes + notes)

    @property
    def parts(self) -> tuple[DetectionPart, DetectionPart]:
        return self.train, self.val

    def stand_in(self) -> DetectionData:
        train, val = (replace(part, images=lazily(part.pixels.stand_in())) for part in self.parts)
        return replace(self, train=train, val=val)

    def _lead(self) -> str:
        return "|".join(self.classes)

    def _arrays(self) -> Iterable[ImageView | npt.NDArray[Any]]:
        for part in self.parts:
            yield part.pixels
            yield from part.boxes
            yield from part.labels
            yield from part.crowd

    def counts(self, part: DetectionPart) -> Labels:
        """Boxes of every class, crowds left out: (K,)."""
        found = [labels[~crowd] for labels, crowd in zip(part.labels, part.crowd, strict=True)]
        return np.bincount(np.concatenate(found), minlength=len(self.classes)).astype(np.int64)

    def describe(self) -> dict[str, Any]:
        """The facts as JSON values."""
        train, val = self.counts(self.train), self.counts(self.val)
        return {
            "name": self.name, "source": self.source, "imgsz": self.size[0], "width": self.size[1], "channels": 3,
            "train": len(self.train), "val": len(self.val), "split": self.split, "clipped": self.clipped,
            "notes": list(self.notes),
            "classes": {n: {"train": int(t), "val": int(v)} for n, t, v in zip(self.classes, train, val, strict=True)},
        }

    def summary(self) -> str:
        """One line for people."""
        boxes = [int(self.counts(part).sum()) for part in (self.train, self.val)]
        cut = f"; {self.clipped} boxes were cut at the border of their image" if self.clipped else ""
        return (f"{self.name}: {len(self.train):,} training images with {boxes[0]:,} boxes, {len(self.val):,} "
                f"validation images with {boxes[1]:,}, {self.size[0]}x{self.size[1]}, {len(self.classes)} classes; "
                f"{self.split}{cut}{joined(self.notes)}")
