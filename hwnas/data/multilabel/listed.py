"""What readers of labels give before anything is decoded, and what tables say of an image's labels."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hwnas.data.names import checked_names
from hwnas.data.notes import Notes
from hwnas.data.partnames import TEST, TRAIN, VAL, part_of
from hwnas.documents import brief
from hwnas.errors import DataError

IMAGE = ("image", "file", "filename", "file_name", "path", "image_path", "image_id", "id")
LABELS = ("labels", "tags", "classes", "label")
PART = ("split", "part", "subset", "set")
_YES, _NO = {"1", "1.0", "true", "True"}, {"0", "0.0", "false", "False", ""}
_BETWEEN = re.compile(r"\s*[;|,]\s*")


@dataclass(frozen=True)
class Picture:
    """One image: its name, where it is, what it shows, and whether it validates (None: nobody says)."""

    name: str
    content: Path | bytes | None
    labels: tuple[str, ...]
    held_out: bool | None = None


@dataclass(frozen=True)
class Listed:
    """A source that was read and not decoded.

    Attributes:
        classes: in the order of the source; None where it has none, and names are sorted.
    """

    name: str
    source: str
    pictures: tuple[Picture, ...]
    classes: tuple[str, ...] | None
    split: str
    notes: Notes = field(default_factory=Notes)


@dataclass(frozen=True)
class Columns:
    """Which column of a table says what.

    Attributes:
        labels: the one that lists labels; None where every class has a column of 0 and 1.
        classes: those columns.
        part: which says the part; None where none does.
    """

    labels: str | None
    classes: tuple[str, ...]
    part: str | None

    @classmethod
    def among(cls, header: Sequence[str], image: str, where: str) -> Columns:
        """Raises DataError where nothing says what an image shows."""
        part = next((name for name in PART if name in header), None)
        labels = next((name for name in LABELS if name in header), None)
        rest = tuple(name for name in header if name not in (image, part))
        if labels is None and len(rest) < 2:
            raise DataError(f"{where} has the columns {', '.join(map(brief, header[:5]))}: beside {brief(image)} it "
                            f"needs one called {LABELS[0]!r} with names between ';', or a column of 0 and 1 for each "
                            "of two classes or more")
        return cls(labels, () if labels else tuple(checked_names(rest, where)), part)

    def of(self, row: Mapping[str, object], where: str) -> tuple[str, ...]:
        """Labels of a row; raises DataError where a column of a class holds neither 0 nor 1."""
        if self.labels is not None:
            return split_labels(row[self.labels])
        wrong = [name for name in self.classes if str(row[name]).strip() not in _YES | _NO]
        if wrong:
            raise DataError(f"{where}: column {brief(wrong[0])} holds {brief(row[wrong[0]])}, and columns of classes "
                            f"hold 0 or 1: name the column of labels {LABELS[0]!r}, or leave others out")
        return tuple(name for name in self.classes if str(row[name]).strip() in _YES)

    def held_out(self, row: Mapping[str, object], where: str) -> bool | str | None:
        """Whether a row validates; `TEST` where it is of the test part, None where nothing says."""
        if self.part is None:
            return None
        found = part_of(str(row[self.part]).strip())
        if found not in (TRAIN, VAL, TEST):
            raise DataError(f"{where}: {self.part} is {brief(row[self.part])}; write {TRAIN}, {VAL} or {TEST}")
        return found if found == TEST else found == VAL


def split_labels(told: object) -> tuple[str, ...]:
    """'cat; dog', 'cat dog' or ['cat', 'dog'] as names, each once."""
    if told is None:
        return ()
    if not isinstance(told, str):
        return tuple(dict.fromkeys(str(name).strip() for name in told)) if hasattr(told, "__iter__") else (str(told),)
    parts = _BETWEEN.split(told.strip()) if _BETWEEN.search(told.strip()) else told.split()
    return tuple(dict.fromkeys(part for part in parts if part))
