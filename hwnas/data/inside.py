"""Paths that a file of a data set names: they stay below the folder of the data, whatever the file says."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from hwnas.data.listing import is_image
from hwnas.documents import brief
from hwnas.errors import DataError

LONGEST, LONGEST_NAME = 4096, 255  # of a path in characters, and of one of its names in bytes
_STEPS = re.compile(r"[/\\:]")
_DRIVE = re.compile(r"[A-Za-z]:")


def parts_inside(text: str, root: Path, base: Path, where: str) -> tuple[str, ...]:
    """The components below `root` of a path that a file gives: `/` or `\\` between them, `..` resolved.

    Args:
        text: relative to `base`, or absolute below `root`.
        root: the folder of the data.
        base: the folder that relative paths start in, `root` or below.
        where: the file and entry, for messages.

    Raises:
        DataError: empty, too long, not printable, or a path that leads out of `root`.
    """
    longest = max(len(step.encode("utf-8", "replace")) for step in re.split(r"[/\\]", text))
    if not text.strip() or len(text) > LONGEST or longest > LONGEST_NAME or not text.isprintable():
        raise DataError(f"{where}: {brief(text)} is no path of at most {LONGEST} printable characters: name a file "
                        f"below {root}")
    if not _STEPS.search(text) and text not in (".", ".."):  # a bare name, as most are
        return Path(os.path.relpath(base, root), text).parts
    plain = text.replace("\\", "/")
    top, start = (os.path.abspath(path) for path in (root, base))
    absolute = plain.startswith("/") or bool(_DRIVE.match(plain))
    whole = os.path.normpath(plain if absolute else os.path.join(start, plain))
    for real in (top, os.path.realpath(top)):
        if whole == real:
            return ()
        if whole.startswith(real.rstrip("/") + "/") and not _DRIVE.match(plain):
            return Path(os.path.relpath(whole, real)).parts
    raise DataError(f"{where}: {brief(text)} leads out of {root}; files of a data set lie below its folder: copy it "
                    "there and name it from there")


class Finder:
    """Looks files up by the names that a data set's files give them; lists each folder once.

    Where no file has the very name, one whose name differs in case stands for it, and with `any_suffix` an image of the
    same stem: `img1` and `img1.jpg` of a label are `img1.JPG` on the disk.
    """

    def __init__(self) -> None:
        self._listed: dict[Path, tuple[set[str], dict[str, list[str]], dict[str, list[str]]]] = {}

    def find(self, folders: Sequence[Path], parts: Sequence[str], any_suffix: bool = False) -> Path | None:
        """The file `parts` in the first of `folders` that has it, or None."""
        if not parts:
            return None
        places = [folder.joinpath(*parts[:-1]) for folder in folders]
        name = parts[-1]
        for place in places:
            if name in self._names(place)[0]:
                return place / name
        for place in places:
            _, cases, stems = self._names(place)
            near = cases.get(name.casefold(), [])
            if not near and any_suffix:
                near = stems.get(name.casefold(), []) or stems.get(os.path.splitext(name)[0].casefold(), [])
            if len(near) == 1:
                return place / near[0]
        return None

    def _names(self, folder: Path) -> tuple[set[str], dict[str, list[str]], dict[str, list[str]]]:
        if folder not in self._listed:
            try:
                names = sorted(os.listdir(folder))
            except (OSError, ValueError):
                names = []
            cases: dict[str, list[str]] = {}
            stems: dict[str, list[str]] = {}
            for name in names:
                cases.setdefault(name.casefold(), []).append(name)
                if is_image(name):
                    stems.setdefault(os.path.splitext(name)[0].casefold(), []).append(name)
            self._listed[folder] = set(names), cases, stems
        return self._listed[folder]


def path_inside(text: str, root: Path, base: Path, where: str) -> Path:
    """`parts_inside` as a path."""
    return root.joinpath(*parts_inside(text, root, base, where))
