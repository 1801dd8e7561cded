"""What a transform gets and gives: one image with the truth about it, and its own random numbers.

A transform is anything that is called as `transform(sample, rng)` and gives a sample. It draws from `rng` alone, which
is seeded for this image in this epoch: so the same image comes out in whichever thread, worker or process it is made.
It changes no array in place, keeps the size of the image, moves boxes and masks along with the pixels, and invents no
class. `changed` holds every transform to that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from hwnas.documents import brief
from hwnas.errors import UsageError

Pixels = npt.NDArray[np.uint8]
Boxes = npt.NDArray[np.float32]
Classes = npt.NDArray[np.int64]
Crowds = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Sample:
    """One image, and where the task has some, boxes or a mask.

    Attributes:
        image: uint8 (H, W, C), grey or RGB.
        boxes: float32 (n, 4), x0, y0, x1, y1 in pixels, within the image.
        labels, crowd: int64 and bool, (n,) each.
        mask: uint8 (H, W), the class of every pixel.
    """

    image: Pixels
    boxes: Boxes | None = None
    labels: Classes | None = None
    crowd: Crowds | None = None
    mask: Pixels | None = None

    @property
    def picture(self) -> Image.Image:
        """The pixels for Pillow, in mode L or RGB."""
        return Image.fromarray(self.image[..., 0] if self.image.shape[2] == 1 else self.image)

    def repainted(self, picture: Image.Image) -> Sample:
        """The same with other pixels, of the same size and mode."""
        return replace(self, image=np.asarray(picture).reshape(self.image.shape))

    @property
    def boxed(self) -> tuple[Boxes, Classes, Crowds]:
        """Boxes, labels and crowds of a detector's sample."""
        assert self.boxes is not None, "a sample of a detector has boxes"
        assert self.labels is not None, "boxes have labels"
        assert self.crowd is not None, "boxes are crowds or not"
        return self.boxes, self.labels, self.crowd

    @property
    def placed(self) -> bool:
        """Whether anything of the truth has a place in the image."""
        return self.boxes is not None or self.mask is not None


class Transform(Protocol):
    """A random change of one image."""

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """A changed copy.

        Args:
            rng: of this image alone; nothing else is random.
        """


def changed(transforms: Sequence[Transform], sample: Sample, seed: int) -> Sample:
    """A sample after all transforms, in order.

    Args:
        seed: of the random numbers of this image.

    Raises:
        UsageError: one of them breaks the rules above; says which and how.
    """
    rng = np.random.default_rng(seed)
    for transform in transforms:
        after = transform(sample, rng)
        if (fault := _fault(sample, after)) is not None:
            raise UsageError(f"the transform {brief(_name(transform))} {fault}")
        sample = after
    return sample


def _name(transform: Transform) -> str:
    return getattr(transform, "__qualname__", type(transform).__qualname__)


def _fault(before: Sample, after: object) -> str | None:
    """What is wrong with what a transform gave; None where nothing is."""
    if not isinstance(after, Sample):
        return f"must give a hwnas.data.transforms.Sample, not {brief(after)}"
    for name in ("image", "mask"):
        old, new = getattr(before, name), getattr(after, name)
        if old is None and new is None:
            continue
        if not isinstance(new, np.ndarray) or old is None or (new.shape, new.dtype) != (old.shape, old.dtype):
            return f"must keep {_told(old)} as the {name}, and gave {_told(new)}"
    if before.mask is not None and after.mask is not None and after.mask is not before.mask:
        known, found = (np.bincount(mask.reshape(-1), minlength=256) > 0 for mask in (before.mask, after.mask))
        known[255] = True  # what comes in from outside does not matter
        if (found & ~known).any():
            return f"gave a mask with class {int(np.flatnonzero(found & ~known)[0])}, which was not in it"
    return _fault_of_boxes(before, after)


def _fault_of_boxes(before: Sample, after: Sample) -> str | None:
    if before.boxes is None:
        return None if after.boxes is None else "gave boxes to an image without any"
    if after.boxes is None or after.labels is None or after.crowd is None:
        return "must keep boxes, labels and crowds"
    count = len(after.boxes)
    if after.boxes.dtype != np.float32 or after.boxes.shape != (count, 4):
        return f"must give boxes as float32 (n, 4), not {_told(after.boxes)}"
    if len(after.labels) != count or len(after.crowd) != count:
        return f"gave {count} boxes, {len(after.labels)} labels and {len(after.crowd)} crowds"
    height, width = after.image.shape[:2]
    low, high = after.boxes[:, :2], after.boxes[:, 2:]
    if not ((low >= 0).all() and (low <= high).all() and (high <= (width, height)).all()):
        return f"gave boxes outside the image of {width} x {height} pixels"
    strange = ~np.isin(after.labels, before.boxed[1])
    return f"gave a box of class {int(after.labels[strange][0])}, which was not in it" if strange.any() else None


def _told(array: object) -> str:
    return f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else brief(array)
