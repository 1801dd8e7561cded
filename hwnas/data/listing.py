"""Files and folders of a data set as they lie on the disk, without what systems and archives leave behind.

Links are followed, as whoever laid the folder out meant them, but for links to folders below a class or a part, which
may run in circles: those are counted. Texts in files may not lead outside (see inside.py).
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from hwnas.data.notes import Notes
from hwnas.errors import DataError
from hwnas.imaging.opening import SUFFIXES

DEEPEST = 40  # levels of folders
_LEFT_BEHIND = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "$recycle.bin", "system volume information",
                "@eadir", "lost+found"}
_PASSED = {".txt", ".md", ".rst", ".csv", ".json", ".xml", ".yaml", ".yml", ".cache", ".html", ".pdf"}


def is_junk(name: str) -> bool:
    """Whether a file or folder is hidden or a system's own: `._x.png`, `.DS_Store`, `Thumbs.db`, `__MACOSX`."""
    return name.startswith((".", "__")) or name.casefold() in _LEFT_BEHIND


def is_image(name: str) -> bool:
    """Whether a file's name ends like an image that is read."""
    return os.path.splitext(name)[1].lower() in SUFFIXES and not is_junk(name)


def folders_in(path: Path) -> list[Path]:
    """The folders directly in `path`, by name; none where it is no folder.

    Raises:
        DataError: it cannot be listed.
    """
    return [path / name for name, folder in _entries(path) if folder and not is_junk(name)]


def files_in(path: Path, suffixes: Collection[str] = ()) -> list[Path]:
    """The files directly in `path` that end in one of `suffixes` (any case; all without), by name.

    Raises:
        DataError: it cannot be listed.
    """
    return [path / name for name, folder in _entries(path) if not folder and not is_junk(name)
            and (not suffixes or os.path.splitext(name)[1].lower() in suffixes)]


def _entries(path: Path) -> list[tuple[str, bool]]:
    if not path.is_dir():
        return []
    try:
        with os.scandir(path) as found:
            return sorted((entry.name, entry.is_dir()) for entry in found)
    except OSError as err:
        raise DataError(f"{path}: cannot be listed: {err.strerror}; check its permissions") from err


def files_below(path: Path, suffixes: Collection[str], notes: Notes | None = None) -> list[Path]:
    """`names_below` as paths."""
    return [path / name for name in names_below(path, suffixes, notes)]


def names_below(path: Path, suffixes: Collection[str], notes: Notes | None = None) -> list[str]:
    """The files at any depth below `path` that end in one of `suffixes`, from there, sorted as paths are.

    Texts, since a path of its own for each of 200,000 files takes seconds and a hundred megabytes.

    Args:
        notes: counts the files that end in nothing that is read, and the linked folders that are not entered.

    Raises:
        DataError: a folder that cannot be listed.
    """
    def refuse(err: OSError) -> None:
        raise DataError(f"{err.filename}: cannot be listed: {err.strerror}; check its permissions") from err

    found: list[str] = []
    top = str(path)
    for root, folders, files in os.walk(top, onerror=refuse, followlinks=False):
        below = "" if root == top else os.path.relpath(root, top) + os.sep
        if below.count(os.sep) > DEEPEST:
            raise DataError(f"{path}: folders are nested deeper than {DEEPEST} levels; no data set is")
        folders[:] = sorted(name for name in folders if not is_junk(name))
        for name in sorted(files):
            suffix = os.path.splitext(name)[1].lower()
            if is_junk(name):
                continue
            if suffix in suffixes:
                found.append(below + name)
            elif notes is not None and suffix not in _PASSED:
                notes.left_out("files that are no images by their name passed over", str(Path(root, name)))
        if notes is not None:
            for name in folders:
                if os.path.islink(os.path.join(root, name)):
                    notes.left_out("links to folders not entered", str(Path(root, name)))
    return sorted(found, key=lambda name: name.split(os.sep))


def images_below(path: Path, notes: Notes | None = None) -> list[Path]:
    """The images at any depth below `path`, sorted; see `files_below`."""
    return files_below(path, SUFFIXES, notes)
