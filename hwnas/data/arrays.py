"""Images with a row of numbers each: the data set of a task of one's own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from hwnas.data.labelled import Indices
from hwnas.data.notes import joined
from hwnas.data.parted import Parted
from hwnas.data.views import ImageView
from hwnas.errors import DataError


@dataclass(frozen=True, eq=False)
class ArrayPart:
    """Some images with their targets.

    Attributes:
        images: uint8 (N, H, W, C), C 1 or 3, or a view of such.
        targets: (N, ...); what they mean is up to the task.

    Raises:
        DataError: arrays that do not fit each other, or no image.
    """

    images: Any
    targets: npt.NDArray[Any]

    def __post_init__(self) -> None:
        shape, kind = self.images.shape, self.images.dtype
        if kind != np.uint8 or len(shape) != 4 or shape[3] not in (1, 3) or not shape[0]:
            raise DataError(f"images must be uint8 (N, H, W, 1 or 3), at least one, not {kind.name} {shape}")
        if len(self.targets) != shape[0]:
            raise DataError(f"{shape[0]} images need as many targets, not {len(self.targets)}")

    @cached_property
    def pixels(self) -> ImageView:
        """The images, decoded when they are indexed."""
        return ImageView.of(self.images)

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, chosen: Indices) -> ArrayPart:
        """The images at `chosen`, in that order; copies none."""
        return ArrayPart(self.pixels.take(np.asarray(chosen)), self.targets[chosen])


@dataclass(frozen=True, eq=False)
class ArrayData(Parted):
    """Training and validation images with targets.

    Attributes:
        name: short name for reports.
        classes: names of what a network of the task gives, one a number.
        source: what was loaded: a name or a path.
        split: one sentence on how training and validation were told apart.
        notes: what the reader left out or decided by itself, a line each.

    Raises:
        DataError: parts of different sizes, or no name of what is told.
    """

    name: str
    train: ArrayPart
    val: ArrayPart
    classes: tuple[str, ...]
    source: str
    split: str = "given by the caller"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        train, val = (part.pixels.shape[1:] for part in self.parts)
        if train != val:
            raise DataError(f"{self.source}: training images are {train} and validation images {val}; give both the "
                            "same size and channels")
        if not self.classes:
            raise DataError(f"{self.source}: no name of what is to be told; give one for each number of an answer")

    @property
    def parts(self) -> tuple[ArrayPart, ArrayPart]:
        return self.train, self.val

    @property
    def size(self) -> tuple[int, int]:
        """(H, W), px."""
        return self.train.pixels.hw

    @property
    def channels(self) -> int:
        """1 for grey, 3 for RGB."""
        return self.train.pixels.shape[3]

    def _lead(self) -> str:
        return "|".join(self.classes)

    def _arrays(self) -> Iterable[ImageView | npt.NDArray[Any]]:
        for part in self.parts:
            yield part.pixels
            yield part.targets

    def stand_in(self) -> ArrayData:
        train, val = (ArrayPart(part.pixels.stand_in(), part.targets) for part in self.parts)
        return replace(self, train=train, val=val)

    def describe(self) -> dict[str, Any]:
        """The facts as JSON values."""
        counts = {"train": len(self.train), "val": len(self.val)}
        return {"name": self.name, "source": self.source, "imgsz": self.size[0], "width": self.size[1],
                "channels": self.channels, **counts, "split": self.split, "notes": list(self.notes),
                "classes": dict.fromkeys(self.classes, counts)}

    def summary(self) -> str:
        """One line for people."""
        height, width = self.size
        return (f"{self.name}: {len(self.train):,} training and {len(self.val):,} validation images, "
                f"{height}x{width} {'grey' if self.channels == 1 else 'colour'}, told: {', '.join(self.classes)}; "
                f"{self.split}{joined(self.notes)}")

    def taken(self, train: Indices, val: Indices) -> ArrayData:
        """Training images `train` to learn from, training images `val` to judge by."""
        return replace(self, train=self.train.take(train), val=self.train.take(val))

    def val_name(self, number: int) -> str:
        """Its number."""
        return f"image {number}"
