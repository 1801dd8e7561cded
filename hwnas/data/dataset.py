"""A classification data set.

symbol  meaning                         shape
N       images of a split
S       side of the square images, px
C       channels, 1 (grey) or 3 (RGB)
K       classes
images  uint8 pixels                    (N, S, S, C)
labels  int64 class of every image      (N,)
"""

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
from hwnas.data.split import allocate, pick
from hwnas.data.views import Decoded, ImageView, lazily
from hwnas.documents import brief
from hwnas.errors import DataError, UsageError

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ClassPart:
    """Images with their classes: a view, or a copy of none, uint8 (N, S, S, C), and int64 (N,)."""

    pixels: ImageView
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: npt.NDArray[np.integer[Any]]) -> ClassPart:
        """The images at `indices`, in that order; copies none."""
        return ClassPart(self.pixels.take(indices), self.labels[indices])


@dataclass(frozen=True, eq=False, repr=False)
class Dataset(Parted):
    """Training and validation images of one classification task; arrays are C-contiguous.

    `train` and `val` are what training and judging read: they decode what they are asked for. `train_images` and
    `val_images` are the same as whole arrays, which decodes them all.

    Attributes:
        name: short name for reports.
        train_images: uint8 (N, S, S, C), or a view.
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
        for part in ("train", "val"):
            images, labels = self.__dict__[f"{part}_images"], self.__dict__[f"{part}_labels"]
            _check_part(self.source, part, images, labels, len(self.classes))
        train, val = self.train.pixels.shape[1:], self.val.pixels.shape[1:]
        if train != val:
            raise DataError(
                f"{self.source}: training images are {train} and validation images {val}; give both the same size and "
                "channels"
            )
        absent = np.flatnonzero(self._counts(self.train_labels) == 0)
        if absent.size:
            name = self.classes[absent[0]]
            raise DataError(f"{self.source}: class {brief(name)} has no training image; add some or drop it")

    @cached_property
    def train(self) -> ClassPart:
        """What is trained on."""
        return ClassPart(ImageView.of(self.__dict__["train_images"], self.source), self.train_labels)

    @cached_property
    def val(self) -> ClassPart:
        """What judges."""
        return ClassPart(ImageView.of(self.__dict__["val_images"], self.source), self.val_labels)

    @property
    def parts(self) -> tuple[ClassPart, ClassPart]:
        return self.train, self.val

    @property
    def imgsz(self) -> int:
        """Side of the images, px."""
        return self.train.pixels.shape[1]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the images, px."""
        return self.imgsz, self.imgsz

    @property
    def channels(self) -> int:
        """1 for grey, 3 for RGB."""
        return self.train.pixels.shape[3]

    def stand_in(self) -> Dataset:
        return replace(self, train_images=lazily(self.train.pixels.stand_in()),
                       val_images=lazily(self.val.pixels.stand_in()))

    def _arrays(self) -> Iterable[ImageView | npt.NDArray[Any]]:
        return self.train.pixels, self.train_labels, self.val.pixels, self.val_labels

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
            train_images=lazily(self.train.pixels.take(train)),
            train_labels=self.train_labels[train],
            val_images=lazily(self.val.pixels.take(val)),
            val_labels=self.val_labels[val],
            split=f"{self.split}; then a stratified subset, seed {seed}",
        )

    def taken(self, train: Indices, val: Indices) -> Dataset:
        """Training images `train` to learn from, training images `val` to judge by; a class may be missing in both."""
        mine, judges = self.train.take(train), self.train.take(val)
        return Fold(self.name, lazily(mine.pixels), mine.labels, lazily(judges.pixels), judges.labels, self.classes,
                    self.source, self.split, self.notes, whole=self)

    def val_name(self, number: int) -> str:
        """Its number: files are forgotten once they are decoded."""
        return f"image {number}"

    def _draw(self, labels: Labels, total: int, what: str, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        counts = self._counts(labels)
        fewest = int((counts > 0).sum())
        if not fewest <= total <= len(labels):
            raise UsageError(f"{what} must be {fewest} (one per class) to {len(labels)}, not {total}")
        return pick(labels, allocate(counts, total), rng)


Dataset.train_images, Dataset.val_images = Decoded("train_images"), Decoded("val_images")  # type: ignore[assignment]


@dataclass(frozen=True, eq=False, repr=False)
class Fold(Dataset):
    """A part of a data set in which a class may be missing; everything else about the images is the set's.

    Attributes:
        whole: the set.
    """

    whole: Dataset | None = None

    def __post_init__(self) -> None:
        """Nothing: its rules were checked for the whole."""

    @cached_property
    def fingerprint(self) -> str:
        assert self.whole is not None
        return self.whole.fingerprint

    def fingerprint_like(self, other: object) -> str:
        assert self.whole is not None
        return self.whole.fingerprint_like(other)

    @property
    def mean(self) -> npt.NDArray[np.float64]:
        assert self.whole is not None
        return self.whole.mean

    @property
    def std(self) -> npt.NDArray[np.float64]:
        assert self.whole is not None
        return self.whole.std


def _check_part(source: str, part: str, images: Images | ImageView, labels: Labels, classes: int) -> None:
    shape = images.shape
    if images.dtype != np.uint8 or len(shape) != 4 or shape[1] != shape[2] or shape[3] not in (1, 3):
        raise DataError(f"{source}: {part} images must be uint8 (N, S, S, 1 or 3), not {images.dtype.name} {shape}")
    if not (isinstance(images, ImageView) or images.flags.c_contiguous) or not labels.flags.c_contiguous:
        raise DataError(f"{source}: {part} arrays must be contiguous; pass them through np.ascontiguousarray")
    if labels.dtype != np.int64 or labels.shape != shape[:1]:
        raise DataError(f"{source}: {part} labels must be int64 {shape[:1]}, not {labels.dtype.name} {labels.shape}")
    if not labels.size:
        raise DataError(f"{source}: no {part} images; give at least one")
    if labels.min() < 0 or labels.max() >= classes:
        raise DataError(f"{source}: {part} labels must be in 0..{classes - 1}, not {labels.min()}..{labels.max()}")
