"""What labels must be: integers 0..K-1, one per image, two classes or more, none only in validation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hwnas.data.names import checked_names
from hwnas.documents import brief
from hwnas.errors import DataError

Ints = npt.NDArray[np.int64]


def as_labels(raw: npt.NDArray[Any], images: int, where: str) -> Ints:
    """Labels of any integer type, (N,) or (N, 1), as int64 (N,).

    Args:
        raw: as read.
        images: N, how many images they must match.
        where: file and key, for messages.

    Raises:
        DataError: not integers, negative, or not one per image.
    """
    if raw.dtype.kind not in "iu":
        raise DataError(f"{where}: labels must be integers 0..K-1, not {raw.dtype.name}; number the classes first")
    if raw.ndim == 2 and raw.shape[1] == 1:
        raw = raw[:, 0]
    if raw.shape != (images,):
        raise DataError(f"{where}: {images} images need labels of shape ({images},), not {raw.shape}")
    if not images:
        raise DataError(f"{where}: no images; give at least two per class")
    if raw.min() < 0:
        raise DataError(f"{where}: labels must be 0..K-1, found {raw.min()}; drop or renumber those images")
    if raw.max() > np.iinfo(np.int64).max:
        raise DataError(f"{where}: labels must be 0..K-1, found {raw.max()}; renumber the classes from 0")
    return np.ascontiguousarray(raw, np.int64)


def class_names(
    labels: Ints, held_out: npt.NDArray[np.bool_] | None, names: Sequence[str] | None, source: str
) -> tuple[str, ...]:
    """Check that the labels are a whole set of classes and name them; "0", "1", ... where nobody named them.

    Raises:
        DataError: a class in validation only, a gap, one class alone, names that do not fit.
    """
    training = labels if held_out is None else labels[~held_out]
    seen = np.unique(training)
    if not seen.size:
        raise DataError(f"{source}: no training images; the training part is empty")
    unseen = np.setdiff1d(labels, seen)
    if unseen.size:
        raise DataError(
            f"{source}: class {_named(int(unseen[0]), names)} is in validation but not in training; "
            "add training images of it or remove it"
        )
    _check_gaps(seen, names, source)
    if len(seen) < 2:
        raise DataError(f"{source}: only one class, {_named(0, names)}; a classifier needs two or more")
    return checked_names(names if names is not None else [str(k) for k in range(len(seen))], source)


def _check_gaps(seen: Ints, names: Sequence[str] | None, source: str) -> None:
    highest = int(seen[-1])
    if names is not None and highest >= len(names):
        raise DataError(f"{source}: label {highest} has no name: {len(names)} class names cover 0..{len(names) - 1}")
    wanted = len(names) if names is not None else highest + 1
    if len(seen) < wanted:
        positions = np.flatnonzero(seen != np.arange(len(seen)))
        gap = int(positions[0]) if positions.size else len(seen)
        tip = "count from 0: subtract 1 from every label" if gap == 0 and int(seen[0]) == 1 else "renumber the labels"
        raise DataError(f"{source}: class {_named(gap, names)} has no training image; {tip} or drop the class")


def _named(label: int, names: Sequence[str] | None) -> str:
    return brief(names[label]) if names is not None and label < len(names) else str(label)
