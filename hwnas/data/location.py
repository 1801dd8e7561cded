"""The path of a data set, as a user gives it."""

from __future__ import annotations

from pathlib import Path

from hwnas.data.notes import plain
from hwnas.documents import brief
from hwnas.errors import DataError, UsageError


def source_path(source: str | Path, way_out: str) -> tuple[Path, bool]:
    """The path with its home folder, and whether anything is there.

    Args:
        way_out: what may be passed, for messages.

    Raises:
        UsageError: no text.
        DataError: a text that cannot be a path: too long, a zero byte, the home of nobody.
    """
    if not str(source):
        raise UsageError(f"no data set given; pass {way_out}")
    try:
        path = Path(source).expanduser()
        path.stat()
    except FileNotFoundError:
        return path, False
    except (OSError, RuntimeError, ValueError) as err:
        reason = getattr(err, "strerror", None) or plain(str(err))
        raise DataError(f"not a path: {brief(str(source), 80)} ({reason}); check it") from err
    return path, True
