"""A segmentation data set in memory.

symbol  meaning                                             shape
N       images of a part
H, W    height and width of the network's input, px
K       classes
images  uint8 pixels, letterboxed                           (N, H, W, 3)
masks   uint8 class of every pixel, 255 does not matter     (N, H, W)
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from hwnas.data.detection.parts import Frame
from hwnas.data.moments import WithMoments
from hwnas.data.notes import joined
from hwnas.errors import DataError
from hwnas.imaging.letterbox import IGNORE

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SegmentationPart:
    """Training or validation images with their masks.

    Raises:
        DataError: masks of another number or size than the images.
    """

    images: Pixels
    masks: Pixels
    frames: tuple[Frame, ...]

    def __post_init__(self) -> None:
        if self.images.shape[:3] != self.masks.shape or len(self.frames) != len(self.images):
            raise DataError(f"images {self.images.shape}, masks {self.masks.shape} and {len(self.frames)} frames do "
                            "not fit each other")

    def __len__(self) -> int:
        return len(self.images)

    def take(self, indices: npt.NDArray[np.integer[Any]]) -> SegmentationPart:
        """The images at `indices`, in that order."""
        chosen = [int(i) for i in indices]
        return SegmentationPart(np.ascontiguousarray(self.images[chosen]), np.ascontiguousarray(self.masks[chosen]),
                                tuple(self.frames[i] for i in chosen))


@dataclass(frozen=True, eq=False)
class SegmentationData(WithMoments):
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
            if (part.masks == IGNORE).all():
                raise DataError(f"{self.source}: every pixel of the {name} masks is ignored; there is nothing to "
                                f"{what}")
        there = np.flatnonzero(self.shares(self.train))
        if len(there) < 2:
            raise DataError(f"{self.source}: every pixel of the training masks is {self.classes[there[0]]!r} or "
                            "ignored; there is nothing to tell apart: check what the numbers in the masks mean")

    def with_notes(self, notes: tuple[str, ...]) -> SegmentationData:
        """The same data with more notes."""
        return replace(self, notes=self.notes + notes)

    @cached_property
    def fingerprint(self) -> str:
        """First 16 hex digits of the SHA-256 over pixels and masks of both parts."""
        digest = hashlib.sha256("|".join(self.classes).encode())
        for part in (self.train, self.val):
            for array in (part.images, part.masks):
                digest.update(f"{array.dtype.name}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).reshape(-1).data)
        return digest.hexdigest()[:16]

    def shares(self, part: SegmentationPart) -> Floats:
        """Share of every class of the pixels that matter: (K,)."""
        counts = np.bincount(part.masks.reshape(-1), minlength=256)[: len(self.classes)]
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
        ignored = float((self.train.masks == IGNORE).mean() * 100)
        return (f"{self.name}: {len(self.train):,} training and {len(self.val):,} validation images, "
                f"{self.size[0]}x{self.size[1]}, {len(self.classes)} classes, {ignored:.1f} % of the pixels do not "
                f"matter; {self.split}{joined(self.notes)}")
