"""What every data set can say, whatever is labelled in it: images in two parts, classes, a fold, a fingerprint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from hwnas.data.parted import Part
from hwnas.progress import Progress, silent

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.integer[Any]]


class LabelledData(Protocol):
    """Images, training and validation, with labels that only their task reads; `hwnas.data.parted.Parted` has the half.

    Attributes:
        source: what was loaded: a name or a path.
        classes: names of what a network tells: of its classes, or of the numbers that it gives.
        notes: what the reader left out or decided by itself, a line each.
        parts: training and validation; their `pixels` are decoded when they are indexed, unless they are kept decoded.
        size: (H, W) of the images, px.
        channels: C, 1 (grey) or 3 (RGB).
        mean, std: (C,) of the training pixels, in 0..1; the deviation never under 1/255.
        fingerprint: 16 hex digits over pixels and labels.
    """

    @property
    def source(self) -> str: ...
    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def notes(self) -> tuple[str, ...]: ...
    @property
    def parts(self) -> tuple[Part, Part]: ...
    @property
    def size(self) -> tuple[int, int]: ...
    @property
    def channels(self) -> int: ...
    @property
    def mean(self) -> Floats: ...
    @property
    def std(self) -> Floats: ...
    @property
    def fingerprint(self) -> str: ...

    def fingerprint_like(self, other: object) -> str:
        """The fingerprint of the kind that `other` is, to be compared with it."""

    def check(self, progress: Progress = silent) -> Sequence[str] | None:
        """Decode every image that is not kept decoded, or a sample; what is to be said of it, a sentence each.

        Raises:
            DataError: some cannot be decoded.
        """

    def stand_in(self) -> Self:
        """The same with noise for images, and nothing to decode."""

    def describe(self) -> dict[str, Any]:
        """The facts as JSON values; `train` and `val` are numbers of images, `classes` a mapping of name to facts."""

    def summary(self) -> str:
        """One line for people."""

    def taken(self, train: Indices, val: Indices) -> LabelledData:
        """Training images `train` to learn from, training images `val` to judge by; the validation images are left."""

    def val_name(self, number: int) -> str:
        """What a validation image is called."""
