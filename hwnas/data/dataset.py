"""A classification data set in memory.

symbol  meaning                         shape
N       images of a split
S       side of the square images, px
C       channels, 1 (grey) or 3 (RGB)
K       classes
images  uint8 pixels                    (N, S, S, C)
labels  int64 class of every image      (N,)
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from hwnas.data.moments import pixel_moments
from hwnas.data.notes import joined
from hwnas.data.split import allocate, pick
from hwnas.documents import brief
from hwnas.errors import DataError, UsageError

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training and validation images of one classification task; arrays are C-contiguous.

    Attributes:
        name: short name for reports.
        train_images: uint8 (N, S, S, C).
        train_labels: int64 (N,), each of 0..K-1 at least once.
        val_images: uint8 (M, S, S, C).
        val_labels: int64 (M,), M >= 1, values in 0..K-1; a class may be absent.
        classes: K >= 2 class names in label order.
        source: what was loaded: a name or a path.
        split: one sentence on how training and validation were told apart.
        notes: what the reader left out or decided by itself, a line each.

    Raises:
        DataError: arrays that break the rules above.
    """

    name: str
    train_images: Images
    train_labels: Labels
    val_images: Images
    val_labels: Labels
    classes: tuple[str, ...]
    source: str
    split: str = "given by the caller"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.classes) < 2:
            raise DataError(f"{self.source}: {len(self.classes)} class; telling classes apart needs two or more")
        _check_part(self.source, "train", self.train_images, self.train_labels, len(self.classes))
        _check_part(self.source, "val", self.val_images, self.val_labels, len(self.classes))
        if self.train_images.shape[1:] != self.val_images.shape[1:]:
            raise DataError(
                f"{self.source}: training images are {self.train_images.shape[1:]} and validation images "
                f"{self.val_images.shape[1:]}; give both the same size and channels"
            )
        absent = np.flatnonzero(self._counts(self.train_labels) == 0)
        if absent.size:
            name = self.classes[absent[0]]
            raise DataError(f"{self.source}: class {brief(name)} has no training image; add some or drop it")

    @property
    def imgsz(self) -> int:
        """Side of the images, px."""
        return int(self.train_images.shape[1])

    @property
    def channels(self) -> int:
        """1 for grey, 3 for RGB."""
        return int(self.train_images.shape[3])

    @property
    def mean(self) -> npt.NDArray[np.float64]:
        """(C,) mean of the training pixels, in 0..1."""
        return self._moments[0]

    @property
    def std(self) -> npt.NDArray[np.float64]:
        """(C,) standard deviation of the training pixels, in 0..1; never under 1/255, so dividing by it is safe."""
        return self._moments[1]

    @cached_property
    def fingerprint(self) -> str:
        """First 16 hex digits of the SHA-256 over shapes, pixels and labels of both splits."""
        digest = hashlib.sha256()
        for array in (self.train_images, self.train_labels, self.val_images, self.val_labels):
            digest.update(f"{array.dtype.name}{array.shape}".encode())
            digest.update(array.reshape(-1).data)
        return digest.hexdigest()[:16]

    @cached_property
    def _moments(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        return pixel_moments(self.train_images)

    def _counts(self, labels: Labels) -> Labels:
        return np.bincount(labels, minlength=len(self.classes)).astype(np.int64)

    def describe(self) -> dict[str, Any]:
        """The facts as JSON values: sizes, channels, images per class, how the split was made."""
        train, val = self._counts(self.train_labels), self._counts(self.val_labels)
        return {
            "name": self.name,
            "source": self.source,
            "imgsz": self.imgsz,
            "channels": self.channels,
            "train": len(self.train_labels),
            "val": len(self.val_labels),
            "split": self.split,
            "notes": list(self.notes),
            "classes": {
                name: {"train": int(t), "val": int(v)} for name, t, v in zip(self.classes, train, val, strict=True)
            },
        }

    def summary(self) -> str:
        """One line for people."""
        counts = self._counts(self.train_labels)
        low, high = int(counts.min()), int(counts.max())
        each = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        colour = "grey" if self.channels == 1 else "colour"
        return (
            f"{self.name}: {len(self.train_labels):,} training and {len(self.val_labels):,} validation images, "
            f"{self.imgsz}x{self.imgsz} {colour}, {len(self.classes)} classes ({each} training images each); "
            f"{self.split}{joined(self.notes)}"
        )

    def subset(self, n_train: int, n_val: int, seed: int) -> Dataset:
        """A smaller data set with the same proportions of classes; no class is lost.

        Args:
            n_train: training images, K..N.
            n_val: validation images, from the number of classes in validation to M.
            seed: which images; the same seed gives the same ones.

        Raises:
            UsageError: a number out of range.
        """
        rng = np.random.default_rng(seed)
        train = self._draw(self.train_labels, n_train, "n_train", rng)
        val = self._draw(self.val_labels, n_val, "n_val", rng)
        return replace(
            self,
            train_images=np.ascontiguousarray(self.train_images[train]),
            train_labels=self.train_labels[train],
            val_images=np.ascontiguousarray(self.val_images[val]),
            val_labels=self.val_labels[val],
            split=f"{self.split}; then a stratified subset, seed {seed}",
        )

    def _draw(self, labels: Labels, total: int, what: str, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        counts = self._counts(labels)
        fewest = int((counts > 0).sum())
        if not fewest <= total <= len(labels):
            raise UsageError(f"{what} must be {fewest} (one per class) to {len(labels)}, not {total}")
        return pick(labels, allocate(counts, total), rng)


def _check_part(source: str, part: str, images: Images, labels: Labels, classes: int) -> None:
    shape = images.shape
    if images.dtype != np.uint8 or images.ndim != 4 or shape[1] != shape[2] or shape[3] not in (1, 3):
        raise DataError(f"{source}: {part} images must be uint8 (N, S, S, 1 or 3), not {images.dtype.name} {shape}")
    if not (images.flags.c_contiguous and labels.flags.c_contiguous):
        raise DataError(f"{source}: {part} arrays must be contiguous; pass them through np.ascontiguousarray")
    if labels.dtype != np.int64 or labels.shape != shape[:1]:
        raise DataError(f"{source}: {part} labels must be int64 {shape[:1]}, not {labels.dtype.name} {labels.shape}")
    if not labels.size:
        raise DataError(f"{source}: no {part} images; give at least one")
    if labels.min() < 0 or labels.max() >= classes:
        raise DataError(f"{source}: {part} labels must be in 0..{classes - 1}, not {labels.min()}..{labels.max()}")
