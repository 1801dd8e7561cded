"""A folder per class: DIR/train/CLASS/* with DIR/val/CLASS/*, or DIR/CLASS/* to be split.

What the parts may be called stands in partnames.py. A `classes.txt` with the names of the folders, a line each, gives
the order of the classes; without one they are sorted.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hwnas.data import parquet
from hwnas.data.encoded import EncodedSource
from hwnas.data.labels import class_names
from hwnas.data.listing import files_in, folders_in, images_below, is_image, names_below
from hwnas.data.names import checked_names
from hwnas.data.notes import Notes
from hwnas.data.partnames import TEST, TRAIN, VAL, part_of, parts_among, roles
from hwnas.data.samples import Samples
from hwnas.data.source import Labelled
from hwnas.documents import brief, read_text
from hwnas.errors import DataError
from hwnas.imaging.opening import SUFFIXES

Classes = dict[str, list[str]]
"""Class -> its images, from the folder of the data."""


def read(path: Path) -> Samples:
    """List the images under `path`.

    Images are found at any depth below their class; hidden files and folders are passed over, files that are no images
    by their suffix too, and counted. A folder of .parquet files and no class folders is read as those tables.

    Raises:
        DataError: no class folders, a class without images, one class, a class in validation only, a folder that may
            be a part or a class.
    """
    if tables := parquet.tables_in(path):
        return parquet.read_parts(path, tables)
    notes, given = Notes(), path
    path = _unwrapped(path, whole=True)
    train, val, note = _parts(path, notes)
    names = _ordered(path, sorted({**train, **val}, key=lambda name: (name not in train, name)), notes)
    numbers = {name: k for k, name in enumerate(names)}
    files = [(file, numbers[name], part is val) for part in (train, val) for name in part for file in part[name]]
    labels = np.array([label for _, label, _ in files], np.int64)
    held_out = np.array([held for *_, held in files], bool) if val else None
    classes = class_names(labels, held_out, names, str(path))
    told, above = [file for file, *_ in files], str(path) + os.sep

    def fetch(index: int) -> tuple[str, str]:
        return told[index], above + told[index]

    source = EncodedSource(fetch, len(told), str(path), Labelled(classes, labels))
    return Samples(given.resolve().name, str(given), labels, held_out, classes, note, source, notes.told())


def _parts(path: Path, notes: Notes) -> tuple[Classes, Classes, str]:
    """Training, validation (empty where it is to be split), and how the folders say so."""
    folders = {folder.name: folder for folder in folders_in(path)}
    names = {part: name for name, part in parts_among(folders).items()}
    if not names:
        return _listed(path, path, notes), {}, ""
    if TRAIN not in names or not folders_in(folders[names[TRAIN]]):
        raise _unclear(path, names)
    held = {part: _unwrapped(folders[name]) for part, name in names.items() if folders_in(folders[name])}
    if VAL in names and VAL not in held:
        raise DataError(f"{folders[names[VAL]]}: a validation part without folders of classes; make them, or remove it "
                        "to have the training part split")
    found = roles(held, names, str(path), "the folders")
    used = {name for part, name in names.items() if part in held and held[part] in (found.train, found.val)}
    for name, folder in folders.items():
        if name not in used:
            _leave_out(folder, names.get(TEST) == name, notes)
    return _listed(found.train, path, notes), _listed(found.val, path, notes) if found.val else {}, found.note


def _unwrapped(path: Path, whole: bool = False, most: int = 8) -> Path:
    """The folder itself, or the one in it that holds all there is, as archives are often packed: train/train/CLASS.

    Args:
        whole: whether it is the data set: it needs two classes or parts, so one folder alone is a wrapping.
        most: wrappings that are taken off.
    """
    inner = folders_in(path)
    if not most or len(inner) != 1 or not folders_in(inner[0]) or any(is_image(file.name) for file in files_in(path)):
        return path
    alike = inner[0].name.casefold() == path.name.casefold()
    return _unwrapped(inner[0], whole, most - 1) if alike or (whole and not part_of(inner[0].name)) else path


def _unclear(path: Path, names: dict[str, str]) -> DataError:
    name = names.get(TRAIN, next(iter(names.values())))
    return DataError(f"{path}: {brief(name)} is the name of a part, and parts hold a folder per class with one called "
                     f"{TRAIN} among them: if it is a part, make {path}/{TRAIN}/CLASS/x.png; if it is a class, rename "
                     f"it, like 'a {name}'")


def _leave_out(folder: Path, is_test: bool, notes: Notes) -> None:
    images = images_below(folder)
    kind = "images of the test part left out" if is_test else \
        "images in folders that are neither training nor validation left out"
    if not images:
        return
    notes.left_out(kind, str(images[0]), len(images))


def _listed(path: Path, root: Path, notes: Notes) -> Classes:
    """The classes in a folder; their images from `root`."""
    folders = folders_in(path)
    for folder in folders:
        if part_of(folder.name):
            raise DataError(f"{folder}: a class cannot be called {brief(folder.name)}, the name of a part of a data "
                            f"set: rename the folder, like 'a {folder.name}'")
    checked_names([folder.name for folder in folders] or ["none"], str(path))
    stray = [file for file in files_in(path) if is_image(file.name)]
    place = "" if path == root else str(path.relative_to(root)) + os.sep
    classes = {folder.name: [f"{place}{folder.name}{os.sep}{name}" for name in names_below(folder, SUFFIXES, notes)]
               for folder in folders}
    if not any(classes.values()):
        known = " ".join(sorted(SUFFIXES))
        raise DataError(f"{path}: no images; put them in one folder per class, like {path}/CLASS/x.png (read: {known})")
    for name, files in classes.items():
        if not files:
            raise DataError(f"{path / name}: a class folder without images; add images or remove the folder")
    if stray:
        notes.left_out("images in no folder of a class left out", str(stray[0]), len(stray))
    return classes


def _ordered(path: Path, names: Sequence[str], notes: Notes) -> list[str]:
    """The classes in the order of classes.txt, where it names them."""
    file = path / "classes.txt"
    if not file.is_file():
        return list(names)
    told = [line.strip() for line in read_text(file, error=DataError).splitlines() if line.strip()]
    if sorted(told) == sorted(names):
        return told
    notes.say(f"{file.name} does not name the folders of the classes and was not used; their order is alphabetical")
    return list(names)
