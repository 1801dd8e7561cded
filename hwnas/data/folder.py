"""A folder per class: DIR/train/CLASS/* with DIR/val/CLASS/*, or DIR/CLASS/* to be split."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hwnas.data import parquet
from hwnas.data.decode import common_size, decode_all
from hwnas.data.labels import class_names
from hwnas.data.pixels import check_imgsz
from hwnas.data.samples import Samples
from hwnas.errors import DataError
from hwnas.progress import Progress

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm"}
_VALIDATION = ("val", "valid", "validation")


def read(path: Path) -> Samples:
    """List the images under `path`; classes are the folder names in sorted order.

    `path/train` that holds folders is a training part, beside `path/val` (or valid, validation); without one the
    training part is split. Images are found at any depth below their class; hidden files and folders and files that
    are no images by their suffix are passed over. A folder of one .parquet and no folders is read as that table.

    Raises:
        DataError: no class folders, a class without images, one class, a class in validation only.
    """
    if not _folders(path) and (tables := sorted(path.glob("*.parquet"))):
        return parquet.read(_only(tables))
    split = bool(_folders(path / "train"))
    train = _listed(path / "train" if split else path)
    beside = next((path / name for name in _VALIDATION if split and _folders(path / name)), None)
    val = _listed(beside) if beside else {}
    names = sorted({**train, **val}, key=lambda name: (name not in train, name))
    files = [(file, names.index(name), part is val) for part in (train, val) for name in part for file in part[name]]
    labels = np.array([label for _, label, _ in files], np.int64)
    held_out = np.array([held for *_, held in files], bool) if beside else None
    classes = class_names(labels, held_out, names, str(path))
    note = f"as the folders train and {beside.name} say" if beside else ""
    paths = [file for file, *_ in files]

    def fetch(index: int) -> tuple[str, Path]:
        return str(paths[index].relative_to(path)), paths[index]

    def pixels(indices: npt.NDArray[np.int64], imgsz: int | None, progress: Progress) -> npt.NDArray[np.uint8]:
        side = check_imgsz(imgsz or common_size(fetch, len(paths), exact=False), str(path))
        return decode_all(fetch, indices, side, progress, str(path))

    return Samples(path.resolve().name, str(path), labels, held_out, classes, note, pixels)


def _only(tables: list[Path]) -> Path:
    if len(tables) > 1:
        names = ", ".join(table.name for table in tables[:5])
        raise DataError(f"{tables[0].parent} holds {len(tables)} parquet files ({names}): pass the path of one of them")
    return tables[0]


def _folders(path: Path) -> list[Path]:
    if not path.is_dir():
        return []
    try:
        found = [entry.name for entry in os.scandir(path) if entry.is_dir()]
    except OSError as err:
        raise DataError(f"{path}: cannot be listed: {err.strerror}; check its permissions") from err
    return [path / name for name in sorted(found) if not name.startswith((".", "__"))]


def _listed(path: Path) -> dict[str, list[Path]]:
    classes = {folder.name: _images(folder) for folder in _folders(path)}
    if not any(classes.values()):
        known = " ".join(sorted(SUFFIXES))
        raise DataError(f"{path}: no images; put them in one folder per class, like {path}/CLASS/x.png (read: {known})")
    for name, files in classes.items():
        if not files:
            raise DataError(f"{path / name}: a class folder without images; add images or remove the folder")
    return classes


def _images(folder: Path) -> list[Path]:
    found = []
    for root, folders, files in os.walk(folder, followlinks=False):
        folders[:] = [name for name in folders if not name.startswith((".", "__"))]
        found += [
            Path(root, name) for name in files if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES
        ]
    return sorted(found)
