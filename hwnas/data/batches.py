"""One pass over the images in random order."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from hwnas.data.augment import Policy, augment
from hwnas.data.views import AnyImages
from hwnas.errors import DataError, UsageError

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


def epoch(
    images: AnyImages, labels: Labels, batch: int, rng: np.random.Generator, policy: Policy | None = None
) -> Iterator[tuple[Images, Labels]]:
    """Shuffled batches: uint8 (B, S, S, C) and int64 (B,), each image once.

    The last batch may be smaller. If one image would be left over it is dropped, because batch normalisation has no
    variance over one; a `batch` of 1 is taken as meant.

    Args:
        images: uint8 (N, S, S, C), left as they are; of a view those of a batch are read.
        labels: int64 (N,).
        batch: B, images at a time.
        rng: gives the order now and the augmentation as batches are taken.
        policy: augmentation; None for none.

    Raises:
        UsageError: batch under 1.
        DataError: not as many labels as images.
    """
    if batch < 1:
        raise UsageError(f"batch must be 1 or more, not {batch}")
    if len(images) != len(labels):
        raise DataError(f"{len(images)} images need as many labels, not {len(labels)}")
    return _batches(images, labels, batch, rng.permutation(len(images)), rng, policy)


def _batches(
    images: AnyImages,
    labels: Labels,
    batch: int,
    order: npt.NDArray[np.int64],
    rng: np.random.Generator,
    policy: Policy | None,
) -> Iterator[tuple[Images, Labels]]:
    for chosen in slices(order, batch):
        picked = images[chosen]
        yield (augment(picked, rng, policy) if policy else picked), labels[chosen]


def slices(order: npt.NDArray[np.int64], batch: int) -> Iterator[npt.NDArray[np.int64]]:
    """`order` in pieces of `batch`, the last one shorter; a last one of a single image is left out."""
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        if len(chosen) == 1 < batch:
            return
        yield chosen
