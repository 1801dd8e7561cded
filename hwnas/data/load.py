"""From a name or a path to a data set: which reader, which images, and whether they are decoded at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from hwnas.data import digits, folder, npz, parquet
from hwnas.data.dataset import Dataset
from hwnas.data.location import source_path
from hwnas.data.memory import opened
from hwnas.data.notes import plain
from hwnas.data.pixels import check_imgsz
from hwnas.data.samples import Samples
from hwnas.data.split import check_splittable, choose
from hwnas.data.views import lazily
from hwnas.errors import DataError, UnknownName, UsageError
from hwnas.progress import Progress, silent

_NAMED: dict[str, Callable[[str], Samples]] = {"digits": digits.read}
_FILES: dict[str, Callable[[Path], Samples]] = {".npz": npz.read, ".parquet": parquet.read}

KNOWN = tuple(_NAMED)
"""Names of the data sets that need no file."""
_WAYS = f"a folder of classes, a .npz, a .parquet or one of: {', '.join(KNOWN)}"


def load(
    source: str | Path,
    *,
    imgsz: int | None = None,
    val_fraction: float = 0.2,
    seed: int = 0,
    limit: int | None = None,
    memory: int | None = None,
    progress: Progress = silent,
) -> Dataset:
    """Load a classification data set.

    Args:
        source: "digits"; a folder (see folder.py); a .npz (npz.py); a .parquet or a folder of one (parquet.py).
            A text that is a known name is that name; write ./digits for a folder of that name.
        imgsz: side of the images, 8..1024 px; others are resized bilinearly by their shorter side and cropped at the
            centre. Default: digits 16; arrays, and tables of equal square images, their own; folders the most common
            shorter side rounded up to a multiple of 16, at most 128.
        val_fraction: share of every class that validates where the source has no validation part of its own.
        seed: for the split and for `limit`.
        limit: use at most this many images, both parts together, in the proportions of the source.
        memory: bytes that decoded images may take. If all fit they are decoded here, otherwise a batch at a time when
            they are wanted, and here their headers are read. None for a quarter of what is free; 0 to decode nothing.
        progress: told while images are decoded.

    Returns:
        Images turned upright by their EXIF tag, transparency laid over white; RGB if any of them has colour.

    Raises:
        UnknownName: a name that is not known.
        UsageError: val_fraction, seed or limit out of range.
        DataError: anything wrong with the data; says which file and what to do.
        MissingDependency: the source needs a library that is not installed.
    """
    _check_request(source, imgsz, val_fraction, seed)
    samples = _listed(source)
    if samples.held_out is None:
        check_splittable(samples.labels, samples.classes, samples.source)
    train, val = choose(samples.labels, samples.held_out, val_fraction, limit, seed)
    side = check_imgsz(imgsz or samples.images.size[0], samples.images.where)
    images = opened(samples.images.subset(np.concatenate([train, val])), (side, side), memory, progress)
    how = samples.split or f"stratified split, {val_fraction:g} of every class validates, seed {seed}"
    cut = len(train) + len(val) < len(samples.labels)
    return Dataset(
        name=samples.name,
        train_images=lazily(images[: len(train)]),
        train_labels=samples.labels[train],
        val_images=lazily(images[len(train) :]),
        val_labels=samples.labels[val],
        classes=samples.classes,
        source=samples.source,
        split=f"{how}; limited to {limit} of {len(samples.labels)} images, seed {seed}" if cut else how,
        notes=samples.notes,
    )


def _check_request(source: str | Path, imgsz: int | None, val_fraction: float, seed: int) -> None:
    if imgsz is not None:
        check_imgsz(imgsz, str(source))
    if not 0 < val_fraction < 1:
        raise UsageError(f"val_fraction must be between 0 and 1, both excluded, not {val_fraction}")
    if seed < 0:
        raise UsageError(f"seed must be 0 or more, not {seed}")


def _listed(source: str | Path) -> Samples:
    if isinstance(source, str) and source in _NAMED:
        return _NAMED[source](source)
    path, exists = source_path(source, _WAYS)
    if str(source) in _NAMED and not exists:
        return _NAMED[str(source)](str(source))
    if path.is_dir():
        return folder.read(path)
    if not exists:
        raise _absent(source, path)
    if path.suffix.lower() not in _FILES:
        raise DataError(f"{path}: not a data set; pass a folder of classes or a file ending in {' or '.join(_FILES)}")
    return _FILES[path.suffix.lower()](path)


def _absent(source: str | Path, path: Path) -> Exception:
    if isinstance(source, str) and source == path.name and not path.suffix:
        return UnknownName("data set", source, KNOWN, "Or pass a folder, a .npz or a .parquet that exists.")
    return DataError(f"no such file or folder: {plain(str(path))}; pass {_WAYS}")
