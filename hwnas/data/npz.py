"""A .npz of arrays: images and labels, or the same in two parts. Pickled (object) arrays are refused."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hwnas.data.labels import as_labels, class_names
from hwnas.data.pixels import as_pixels, check_imgsz, resized
from hwnas.data.samples import Samples
from hwnas.errors import DataError
from hwnas.progress import Progress

Array = npt.NDArray[Any]

_TRAIN = (("images", "labels"), ("x_train", "y_train"), ("train_images", "train_labels"))
_VAL = (("x_val", "y_val"), ("x_test", "y_test"), ("val_images", "val_labels"), ("test_images", "test_labels"))


def read(path: Path) -> Samples:
    """Read the keys images and labels, or x_train, y_train with x_val, y_val (else x_test, y_test); or the
    MedMNIST spelling train_images, train_labels, val_images, ... Optional: `classes`, an array of K names.

    Grey and colour parts are brought to RGB together. Without a validation part the images are to be split.

    Raises:
        DataError: not a .npz, a key missing, pickled content, images or labels that break their rules.
    """
    source = str(path)
    arrays = _arrays(path)
    train = _pair(arrays, _TRAIN, source)
    if train is None:
        expected = " or ".join(f"{x} and {y}" for x, y in _TRAIN)
        raise DataError(f"{source}: needs the keys {expected}; it holds {', '.join(arrays) or 'nothing'}")
    val = _pair(arrays, _VAL, source)
    parts = [train, val] if val else [train]
    images = _joined([part[1] for part in parts], source)
    labels = np.concatenate([part[2] for part in parts])
    held_out = np.arange(len(labels)) >= len(train[2]) if val else None
    classes = class_names(labels, held_out, _names(arrays, source), source)

    def pixels(indices: npt.NDArray[np.int64], imgsz: int | None, progress: Progress) -> npt.NDArray[np.uint8]:
        side = check_imgsz(imgsz or min(images.shape[1:3]), source)
        out = resized(images[indices], side)
        progress("decode images", len(indices), len(indices))
        return out

    note = f"as the keys {train[0]} and {val[0]} say" if val else ""
    return Samples(path.stem, source, labels, held_out, classes, note, pixels)


def _arrays(path: Path) -> dict[str, Array]:
    wanted = {key for pair in (*_TRAIN, *_VAL) for key in pair} | {"classes"}
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path}: not a .npz archive; write the arrays with np.savez")
    try:
        with np.load(path, allow_pickle=False) as archive:
            # Other keys are listed for messages and never decoded.
            return {key: np.asarray(archive[key]) if key in wanted else np.empty(0) for key in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error, MemoryError) as err:
        if "Object arrays" in str(err):
            raise DataError(f"{path}: pickled (object) arrays are never loaded; store plain numbers") from err
        raise DataError(f"{path}: not a readable .npz ({err}); write it again with np.savez") from err


def _pair(
    arrays: Mapping[str, Array], layouts: tuple[tuple[str, str], ...], source: str
) -> tuple[str, npt.NDArray[np.uint8], npt.NDArray[np.int64]] | None:
    for x, y in layouts:
        if x in arrays:
            if y not in arrays:
                raise DataError(f"{source}: {x} needs {y} beside it; it holds {', '.join(arrays)}. Store both")
            images = as_pixels(arrays[x], f"{source}, {x}")
            return x, images, as_labels(arrays[y], len(images), f"{source}, {y}")
    return None


def _joined(parts: list[npt.NDArray[np.uint8]], source: str) -> npt.NDArray[np.uint8]:
    if len({part.shape[1:3] for part in parts}) > 1:
        shapes = " and ".join(str(part.shape) for part in parts)
        raise DataError(f"{source}: training and validation images must have one size, not {shapes}; resize one")
    channels = max(part.shape[3] for part in parts)
    wide = [np.repeat(part, 3, axis=3) if part.shape[3] < channels else part for part in parts]
    return wide[0] if len(wide) == 1 else np.concatenate(wide)


def _names(arrays: Mapping[str, Array], source: str) -> list[str] | None:
    if "classes" not in arrays:
        return None
    names = arrays["classes"]
    if names.ndim != 1 or names.dtype.kind not in "UiuS":
        raise DataError(f"{source}: classes must be K names, not {names.dtype.name} {names.shape}")
    return [name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name) for name in names.tolist()]
