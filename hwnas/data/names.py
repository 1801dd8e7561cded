"""Names of classes from outside: printable, one line, bounded, different; one check for every reader."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hwnas.documents import brief
from hwnas.errors import DataError

LONGEST, MOST_CLASSES = 250, 50_000  # ImageNet has a name of 121 characters; a file system takes 255


def checked_names(names: Sequence[object], where: str) -> tuple[str, ...]:
    """The names without blanks around them.

    Raises:
        DataError: none, too many, one that is empty, too long, or holds what cannot be printed; two that are the same.
    """
    check_count(len(names), where)
    found = tuple(_checked(name, where) for name in names)
    if len(set(found)) < len(found):
        twice = Counter(found).most_common(1)[0][0]
        raise DataError(f"{where}: two classes are called {brief(twice)}; rename one")
    return found


def check_count(classes: int, where: str) -> None:
    """Refuse no classes, and more than can be told apart."""
    if not classes:
        raise DataError(f"{where}: no class is named; name two or more")
    if classes > MOST_CLASSES:
        raise DataError(f"{where}: {classes:,} classes; at most {MOST_CLASSES:,} are told apart: leave some out")


def _checked(name: object, where: str) -> str:
    if not isinstance(name, str):
        raise DataError(f"{where}: the name of a class is text, not {brief(name)}; put it in quotes")
    text = name.strip()
    if not text:
        raise DataError(f"{where}: a class has an empty name; name it")
    if len(text) > LONGEST or not text.isprintable():
        rule = f"at most {LONGEST} printable characters in one line"
        raise DataError(f"{where}: the name of a class is {rule}, not {brief(text)}; rename it")
    return text
