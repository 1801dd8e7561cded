"""Stratified choices: which images train, which validate, which are left out.

symbol   meaning                               shape
labels   class of every image, 0..K-1          (N,)
counts   images per class                      (K,)
quota    images to take per class              (K,)
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hwnas.errors import DataError, UsageError

Ints = npt.NDArray[np.int64]

_FEW = 4  # images: fewer have no shares


def allocate(counts: Ints, total: int, least: int = 1) -> Ints:
    """Share `total` over the classes in proportion to `counts`, by largest remainder.

    Args:
        counts: (K,) images there are.
        total: images wanted; sum(min(counts, least)) <= total <= sum(counts).
        least: every class gets this many, or all it has.

    Returns:
        (K,) quota; sums to `total`, min(counts, least) <= quota <= counts.
    """
    floor = np.minimum(counts, least)
    spare, rest = counts - floor, total - int(floor.sum())
    whole = int(spare.sum())
    if not whole:
        return floor
    share, remainder = np.divmod(spare * rest, whole)
    missing = rest - int(share.sum())
    share[np.argsort(-remainder, kind="stable")[:missing]] += 1
    return np.asarray(floor + share, np.int64)


def pick(labels: Ints, quota: Ints, rng: np.random.Generator) -> Ints:
    """Ascending indices of `quota[k]` images of every class k, drawn without replacement."""
    chosen = [rng.permutation(np.flatnonzero(labels == k))[: quota[k]] for k in range(len(quota))]
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def choose(
    labels: Ints, held_out: npt.NDArray[np.bool_] | None, val_fraction: float, limit: int | None, seed: int
) -> tuple[Ints, Ints]:
    """Indices of training and of validation: ascending, disjoint, covering unless `limit` cuts.

    Args:
        labels: (N,), every class 0..K-1 at least once (twice without `held_out`).
        held_out: (N,) True where the source says validation; None to split here.
        val_fraction: share of every class that validates, rounded, at least one image and never all.
        limit: most images in all, both parts; classes and parts keep their proportions.
        seed: which images.

    Raises:
        UsageError: `limit` under two images per class.
    """
    classes = int(labels.max()) + 1
    if limit is not None and limit < 2 * classes:
        raise UsageError(f"limit must be at least {2 * classes}, two images for each of {classes} classes, not {limit}")
    rng = np.random.default_rng(seed)
    if limit is not None and limit >= len(labels):
        limit = None
    if held_out is None:
        return _divide(labels, classes, val_fraction, limit, rng)
    return _shorten(labels, np.flatnonzero(~held_out), np.flatnonzero(held_out), classes, limit, rng)


def divided(count: int, held_out: npt.NDArray[np.bool_] | None, val_fraction: float, limit: int | None, seed: int,
            source: str, kinds: Ints | None = None) -> tuple[Ints, Ints]:
    """`choose` where images have no class of their own: indices of training and of validation.

    Args:
        kinds: (N,) 0 for images with boxes and 1 for those without, which both parts get their share of.

    Raises:
        UsageError: `limit` under two images, or a fraction that is none.
        DataError: fewer than two images, or a part that is empty.
    """
    if not 0 < val_fraction < 1:
        raise UsageError(f"val_fraction must be between 0 and 1, both excluded, not {val_fraction}")
    if count < 2 or (held_out is not None and (held_out.all() or not held_out.any())):
        raise DataError(f"{source}: {count} images; training and validation need one each at least")
    if kinds is None or (limit is not None and limit < _FEW):
        kinds = np.zeros(count, np.int64)
    return choose(kinds, held_out, val_fraction, limit, seed)


def check_splittable(labels: Ints, classes: tuple[str, ...], source: str) -> None:
    """Every class needs an image for either part.

    Raises:
        DataError: a class of one image; names up to five of them.
    """
    few = np.flatnonzero(np.bincount(labels, minlength=len(classes)) < 2)
    if few.size:
        names = ", ".join(repr(classes[k]) for k in few[:5])
        raise DataError(
            f"{source}: an automatic split needs two images per class; {len(few)} have fewer: {names}. "
            "Add images, or give a validation part of your own"
        )


def _divide(
    labels: Ints, classes: int, val_fraction: float, limit: int | None, rng: np.random.Generator
) -> tuple[Ints, Ints]:
    counts = np.bincount(labels, minlength=classes).astype(np.int64)
    kept = np.arange(len(labels))
    if limit is not None:
        counts = allocate(counts, limit, least=2)
        kept = pick(labels, counts, rng)
    quota = np.clip(np.rint(counts * val_fraction).astype(np.int64), 1, counts - 1)
    val = kept[pick(labels[kept], quota, rng)]
    return np.setdiff1d(kept, val, assume_unique=True), val


def _shorten(
    labels: Ints, train: Ints, val: Ints, classes: int, limit: int | None, rng: np.random.Generator
) -> tuple[Ints, Ints]:
    if limit is None:
        return train, val
    validating = len(np.unique(labels[val]))
    wanted = round(limit * len(train) / len(labels))
    n_train = min(max(wanted, classes), limit - validating)
    parts = []
    for part, total in ((train, n_train), (val, limit - n_train)):
        counts = np.bincount(labels[part], minlength=classes).astype(np.int64)
        parts.append(part[pick(labels[part], allocate(counts, total), rng)])
    return parts[0], parts[1]
