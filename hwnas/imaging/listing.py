"""Images of a folder, and names for what is written of them, no two alike.

Left out, and told: hidden files, and folders that hold answers of an earlier time (predictions.jsonl), whose pictures
are not what somebody wants predicted. Links to folders are not followed, so that none leads in a circle.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from hwnas.imaging.opening import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

ANSWERS = "predictions.jsonl"


@dataclass(frozen=True)
class Listing:
    """What a folder holds, all relative to it.

    Args:
        images: by their names' ends, in order.
        hidden: images that begin with a dot, or lie in a folder that does.
        answered: folders with answers of an earlier time.
        closed: folders that cannot be listed, and why.
    """

    images: tuple[PurePosixPath, ...]
    hidden: tuple[PurePosixPath, ...] = ()
    answered: tuple[PurePosixPath, ...] = ()
    closed: tuple[tuple[PurePosixPath, str], ...] = ()

    def left_out(self) -> str:
        """One line on what was left out on purpose; empty where nothing was."""
        found = [(f"hidden image{'s' * (len(self.hidden) > 1)}", self.hidden),
                 (f"folder{'s' * (len(self.answered) > 1)} with answers", self.answered)]
        return "; ".join(f"left out {len(paths)} {what}{', the first' if len(paths) > 1 else ''}: {paths[0]}"
                         for what, paths in found if paths)


def list_images(folder: Path, out: Path | None = None, suffixes: Sequence[str] = SUFFIXES) -> Listing:
    """The images below a folder, at any depth.

    Args:
        out: where answers go; what lies there is left out.
        suffixes: in lower case; case does not matter.
    """
    images: list[PurePosixPath] = []
    hidden: list[PurePosixPath] = []
    answered: list[PurePosixPath] = []
    closed: list[tuple[PurePosixPath, str]] = []

    def cannot(err: OSError) -> None:
        place = Path(err.filename or folder)
        closed.append((_inside(place, folder), f"cannot be listed: {err.strerror or err}"))

    there = None if out is None else os.path.realpath(str(out))
    for root, folders, files in os.walk(str(folder), onerror=cannot):
        if root != str(folder) and (ANSWERS in files or os.path.realpath(root) == there):
            answered.append(_inside(Path(root), folder))
            folders[:] = []
            continue
        for name in files:
            if name.lower().endswith(tuple(suffixes)):
                path = _inside(Path(root, name), folder)
                (hidden if any(part.startswith(".") for part in path.parts) else images).append(path)
    return Listing(tuple(sorted(images)), tuple(sorted(hidden)), tuple(sorted(answered)), tuple(sorted(closed)))


def _inside(path: Path, folder: Path) -> PurePosixPath:
    return PurePosixPath(path.relative_to(folder).as_posix())


def output_stems(names: Sequence[str], ends: Iterable[str]) -> Iterator[str]:
    """For every name where what is written of it goes, without an end: `sub/a` of `sub/a.jpg`.

    Where two would meet it is `sub/a.jpg`, and where these would, too, `sub/a.jpg-2`. Case does not matter, as on
    some disks it does not. A name that leads out of the folder is cut to its last part.

    Args:
        names: relative, with /.
        ends: of the files that may be written.
    """
    paths = [_within(name) for name in names]
    ends = tuple(ends)
    often = Counter(str(path.with_suffix("")).lower() for path in paths)
    taken = {str(parent).lower() for path in paths for parent in path.parents}
    for path in paths:
        stem = path.with_suffix("")
        tries = [] if often[str(stem).lower()] > 1 else [str(stem)]
        tries += [str(path), *(f"{path}-{number}" for number in range(2, len(paths) + 2 + len(taken)))]
        found = next(way for way in tries if not any(f"{way}{end}".lower() in taken for end in ends))
        taken.update(f"{found}{end}".lower() for end in ends)
        yield found


def _within(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    return PurePosixPath(path.name) if path.is_absolute() or ".." in path.parts else path
