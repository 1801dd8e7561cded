"""Whether labels were drawn on images as stored or as EXIF turns them: decided once for a whole set.

symbol  meaning
stored  height and width of the pixels in the file
upright height and width once they are turned as EXIF says
told    height and width that the labels give, or the size of the mask

Only where stored and upright differ does a size tell. A turn by half, a mirror and a square look the same both ways:
such images follow the others of their set, and are upright where none tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hwnas.data.notes import Notes
from hwnas.data.threads import threads
from hwnas.errors import HwnasError
from hwnas.imaging.opening import Header, read_header
from hwnas.progress import Progress

Size = tuple[int, int]

_CHUNK = 256


def headers(paths: Sequence[Path], progress: Progress) -> list[Header | None]:
    """Of every image; None where it cannot be read, which is told when it is decoded."""
    def some(start: int) -> list[Header | None]:
        return [_header(path) for path in paths[start : start + _CHUNK]]

    found: list[Header | None] = []
    for part in threads().map(some, range(0, len(paths), _CHUNK)):
        found += part
        progress("read headers", len(found), len(paths))
    return found


def _header(path: Path) -> Header | None:
    try:
        return read_header(path)
    except HwnasError:
        return None


def turned(names: Sequence[str], found: Sequence[Header | None], told: Sequence[Size | None], notes: Notes
           ) -> list[bool]:
    """For every image whether it is read upright.

    Args:
        names: for the notes.
        found: their headers.
        told: their sizes as the labels have them; None where they do not say.
        notes: told how many images have a turn, and how many could not be decided by their size.
    """
    votes = [_vote(header, size) for header, size in zip(found, told, strict=True)]
    stored, upright = votes.count(False), votes.count(True)
    usual = upright >= stored
    unsure = [i for i, header in enumerate(found) if header and header.orientation != 1 and votes[i] is None]
    if stored and upright:
        notes.left_out("images whose labels follow the stored pixels, though others of this set follow EXIF's turn",
                       names[votes.index(False)], stored)
    elif stored:
        notes.left_out("images with a turn in EXIF read as stored, as the sizes of their labels say",
                       names[votes.index(False)], stored)
    if unsure:
        how = "upright" if usual else "as stored"
        why = "as the others are" if stored or upright else "as nothing says otherwise"
        notes.left_out(f"images with a turn in EXIF that their size does not tell read {how}, {why}", names[unsure[0]],
                       len(unsure))
    return [usual if vote is None else vote for vote in votes]


def _vote(header: Header | None, told: Size | None) -> bool | None:
    if header is None or told is None or header.size == header.upright:
        return None
    return True if told == header.upright else False if told == header.size else None
