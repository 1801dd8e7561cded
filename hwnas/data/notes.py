"""What a reader left out or decided by itself: counted, with the first example of each kind, for the user to read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from hwnas.documents import brief
from hwnas.errors import DataError

REPORTED = 5
WRONG = 0.5  # share of the boxes or images from which on a file is wrong as a whole
_MOST = 200  # characters of an example


@dataclass
class Notes:
    """One for each data set that is read; a reader adds, `told` says it all."""

    _counts: dict[str, int] = field(default_factory=dict)
    _first: dict[str, str] = field(default_factory=dict)

    def left_out(self, what: str, first: str, count: int = 1) -> None:
        """Count things of one kind.

        Args:
            what: the kind in the plural and what became of it, like 'boxes without area left out'.
            first: which one; kept of the first only.
        """
        if count > 0:
            self._counts[what] = self._counts.get(what, 0) + count
            self._first.setdefault(what, first)

    def say(self, sentence: str) -> None:
        """A decision that is told as it stands."""
        self._counts.setdefault(sentence, 0)

    def told(self) -> tuple[str, ...]:
        """A line a kind, in the order in which they were met."""
        return tuple(f"{what}: {count:,} (first: {plain(self._first[what])})" if count else what
                     for what, count in self._counts.items())


def leave_out(gone: Sequence[str], total: int, what: str, notes: Notes, source: str, way_out: str) -> None:
    """Count what cannot be used.

    Raises:
        DataError: it is half of the `total` or more; names the first five.
    """
    if gone and len(gone) >= WRONG * total:
        more = f" and {len(gone) - REPORTED} more" if len(gone) > REPORTED else ""
        raise DataError(f"{source}: {len(gone)} of {total} {what}: {', '.join(map(plain, gone[:REPORTED]))}{more}; "
                        f"{way_out}")
    if gone:
        notes.left_out(f"{what}, left out", gone[0], len(gone))


def plain(text: str, most: int = _MOST) -> str:
    """A text from outside in one printable line of at most `most` characters."""
    return text if text.isprintable() and len(text) <= most else brief(text, most)


def told_unseen(classes: Sequence[str], train: Iterable[float], val: Iterable[float], what: str) -> tuple[str, ...]:
    """A line a part on the classes that it lacks, up to five by name; none where both have all.

    Args:
        train, val: how much each part has of every class.
        what: of which, e.g. 'box'.
    """
    found = []
    for part, amounts in (("training", train), ("validation", val)):
        names = [name for name, amount in zip(classes, amounts, strict=True) if not amount]
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        if names:
            found.append(f"classes without a {part} {what}: {', '.join(map(plain, names[:5]))}{more}")
    return tuple(found)


def joined(notes: tuple[str, ...]) -> str:
    """The end of a summary's line."""
    return "".join(f"; {note}" for note in notes)
