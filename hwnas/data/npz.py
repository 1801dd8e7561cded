"""A .npz of arrays: images and labels, or the same in two parts. Pickled (object) arrays are refused."""

from __future__ import annotations

import contextlib
import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hwnas.data.labels import as_labels, class_names
from hwnas.data.notes import Notes, plain
from hwnas.data.partnames import TRAIN, part_of, roles
from hwnas.data.pixels import as_pixels
from hwnas.data.samples import Samples
from hwnas.data.source import ArraySource, Labelled
from hwnas.documents import open_regular
from hwnas.errors import DataError

Array = npt.NDArray[Any]

_PLAIN = ("images", "labels")
_Y = {"x": "y", "X": "y", "images": "labels"}
_KEY = re.compile(r"(?P<x1>[xX]|images)_(?P<last>\w+)|(?P<first>\w+)_(?P<x2>[xX]|images)")


def read(path: Path) -> Samples:
    """Read the keys images and labels; or x_train, y_train with x_val, y_val or x_test, y_test; or the spelling of
    MedMNIST: train_images, train_labels, val_images, ... Optional: `classes`, an array of K names.

    Grey and colour parts are brought to RGB together. Without a validation part the images are to be split.

    Raises:
        DataError: not a .npz, a key missing, pickled content, images or labels that break their rules.
    """
    source, notes = str(path), Notes()
    with _archive(path) as archive:
        keys = _keys(archive.files, source)
        found = roles(keys, {part: x for part, (x, _) in keys.items()}, source, "the keys")
        wanted = [pair for pair in (found.train, found.val) if pair]
        if found.unused:
            notes.say(f"{found.unused[0]} is a test part and was left out")
        parts = [_part(archive, *pair, source) for pair in wanted]
        names = _names(_array(archive, "classes", source), source) if "classes" in archive.files else None
    images = _joined([pixels for pixels, _ in parts], source)
    labels = np.concatenate([numbers for _, numbers in parts])
    held_out = np.arange(len(labels)) >= len(parts[0][1]) if found.val else None
    classes = class_names(labels, held_out, names, source)

    pixels = ArraySource(images, source, Labelled(classes, labels))
    return Samples(path.stem, source, labels, held_out, classes, found.note, pixels, notes.told())


@contextlib.contextmanager
def _archive(path: Path) -> Iterator[Any]:
    with open_regular(path, DataError) as stream:
        if not zipfile.is_zipfile(stream):
            raise DataError(f"{path}: not a .npz archive; write the arrays with np.savez")
        stream.seek(0)
        try:
            with np.load(stream, allow_pickle=False) as archive:
                yield archive
        except DataError:
            raise
        except Exception as err:  # a damaged archive raises nearly every type
            reason = " ".join(str(err).split())[:200] or type(err).__name__
            raise DataError(f"{path}: not a readable .npz ({reason}); write it again with np.savez") from err


def _array(archive: Any, key: str, source: str) -> Array:
    """One array; its size is known before it is unpacked, since a megabyte may unpack to a terabyte."""
    members = [info for info in archive.zip.infolist() if info.filename in (key, f"{key}.npy")]
    if len(members) != 1:
        raise DataError(f"{source}: the key {key} is there {len(members)} times; store it once")
    room = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 1 << 40
    if members[0].file_size > room:
        size = members[0].file_size / 2**30
        raise DataError(f"{source}: {key} takes {size:.1f} GiB, more than this machine has; store fewer")
    try:
        return np.asarray(archive[key])
    except ValueError as err:
        if "Object arrays" in str(err):
            raise DataError(f"{source}: pickled (object) arrays are never loaded; store plain numbers") from err
        raise


def _keys(files: list[str], source: str) -> dict[str, tuple[str, str]]:
    """Part -> its keys of images and labels; one part, 'train', where the archive has no others."""
    found: dict[str, tuple[str, str]] = {}
    for key in files:
        if key == _PLAIN[0]:
            part, y = TRAIN, _PLAIN[1]
        else:
            name = _KEY.fullmatch(key)
            told = name and part_of(name["last"] or name["first"])
            if not name or not told:
                continue
            part = told
            y = f"{_Y[name['x1']]}_{name['last']}" if name["last"] else f"{name['first']}_{_Y[name['x2']]}"
        if part in found:
            raise DataError(f"{source}: {found[part][0]} and {key} are both the part {part}: store one of them")
        found[part] = _beside(key, y, files, source)
    if not found:
        held = ", ".join(map(plain, files[:20])) or "nothing"
        raise DataError(f"{source}: needs the keys images and labels or x_train and y_train or train_images and "
                        f"train_labels; it holds {held}")
    return found


def _beside(x: str, y: str, files: list[str], source: str) -> tuple[str, str]:
    if y not in files:
        raise DataError(f"{source}: {x} needs {y} beside it; it holds {', '.join(map(plain, files[:20]))}. Store both")
    return x, y


def _part(archive: Any, x: str, y: str, source: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    images = as_pixels(_array(archive, x, source), f"{source}, {x}")
    return images, as_labels(_array(archive, y, source), len(images), f"{source}, {y}")


def _joined(parts: list[npt.NDArray[np.uint8]], source: str) -> npt.NDArray[np.uint8]:
    if len({part.shape[1:3] for part in parts}) > 1:
        shapes = " and ".join(str(part.shape) for part in parts)
        raise DataError(f"{source}: training and validation images must have one size, not {shapes}; resize one")
    channels = max(part.shape[3] for part in parts)
    wide = [np.repeat(part, 3, axis=3) if part.shape[3] < channels else part for part in parts]
    return wide[0] if len(wide) == 1 else np.concatenate(wide)


def _names(names: Array, source: str) -> list[str]:
    if names.ndim != 1 or names.dtype.kind not in "UiuS":
        raise DataError(f"{source}: classes must be K names, not {names.dtype.name} {names.shape}")
    return [name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name) for name in names.tolist()]
