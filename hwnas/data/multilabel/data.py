"""A data set of images that each have any number of labels.

symbol   meaning                                                  shape
N, K     images of a part, classes
labels   1 where an image shows a class, else 0                   (N, K)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hwnas.data.arrays import ArrayData, ArrayPart
from hwnas.data.augment import ClassFeed, Policy
from hwnas.data.dataset import ClassPart
from hwnas.data.mixing import Mixed
from hwnas.data.notes import joined
from hwnas.data.recipe import Recipe
from hwnas.errors import DataError

Truth = npt.NDArray[np.uint8]
Targets = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class MultiLabelData(ArrayData):
    """Training and validation images; `targets` of a part are its labels, uint8 (N, K).

    Attributes:
        names: of the validation images.

    Raises:
        DataError: as `ArrayData`; labels of another form, or none to learn or to judge by.
    """

    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        for part, word in zip(self.parts, ("training", "validation"), strict=True):
            if part.targets.dtype != np.uint8 or part.targets.shape != (len(part), len(self.classes)):
                raise DataError(f"{self.source}: labels must be uint8 ({len(part)}, {len(self.classes)}), not "
                                f"{part.targets.dtype} {part.targets.shape}")
            if not part.targets.any() or part.targets.max() > 1:
                raise DataError(f"{self.source}: no {word} image has a label; give labels of 0 and 1, and at least "
                                "one image that shows something in either part")

    def counts(self, part: ArrayPart) -> Ints:
        """Images that show every class, (K,)."""
        found: Ints = part.targets.sum(axis=0, dtype=np.int64)
        return found

    def describe(self) -> dict[str, Any]:
        train, val = (self.counts(part).tolist() for part in self.parts)
        return {**super().describe(),
                "classes": {name: {"train": t, "val": v} for name, t, v in zip(self.classes, train, val, strict=True)}}

    def stand_in(self) -> MultiLabelData:
        train, val = (ArrayPart(part.pixels.stand_in(), part.targets) for part in self.parts)
        return replace(self, train=train, val=val)

    def summary(self) -> str:
        height, width = self.size
        each = float(self.train.targets.sum(axis=1).mean())
        return (f"{self.name}: {len(self.train):,} training and {len(self.val):,} validation images, {height}x{width} "
                f"{'grey' if self.channels == 1 else 'colour'}, {len(self.classes)} classes, {each:.1f} labels an "
                f"image; {self.split}{joined(self.notes)}")

    def val_name(self, number: int) -> str:
        return self.names[number] if number < len(self.names) else super().val_name(number)


class LabelFeed(ClassFeed):
    """Batches of images uint8 (B, H, W, C) and their labels, float32 (B, K): 0, 1, or between where images are mixed.

    Args:
        part: the images.
        policy, recipe: as of `ClassFeed`.
    """

    def __init__(self, part: ArrayPart, policy: Policy | None = None, recipe: Recipe | None = None) -> None:
        self.truth: Truth = part.targets
        numbers = ClassPart(part.pixels, np.arange(len(part)))  # the feed's labels are places in the truth
        super().__init__(numbers, policy, recipe, part.targets.shape[1])

    def classes(self) -> list[Ints]:
        return [np.flatnonzero(row) for row in self.truth]

    def targets(self, labels: Ints, mixed: Mixed | None) -> Targets:
        found: Targets = self.truth[labels].astype(np.float32)
        if mixed is None:
            return found
        own = mixed.own.astype(np.float32)[:, None]
        return own * found[: len(own)] + (1 - own) * found[mixed.other]
