"""How a table reaches the disk: one writer at a time, and an addition is there whole before anyone is told so.

An addition is one write at the end of the file and one fsync under a lock file; a process that is killed in the
middle leaves at most a torn last line, which no reader sees and the next writer cuts off. A whole table is written
beside and renamed, and so is one whose first line has to say a later schema. The lock belongs to the system (flock), so
a killed process never keeps it; readers need none.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hwnas.documents import MOST_BYTES
from hwnas.errors import InputError, TableError
from hwnas.files import append_bytes, read_lines, write_bytes

LOCK_SECONDS = 30
_POLL_SECONDS = 0.005  # an addition takes a few milliseconds


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Only one process writes at a time; not to be entered twice for one path.

    Raises:
        TableError: another process held the lock for `LOCK_SECONDS`.
        InputError: the folder is not writable.
    """
    import filelock  # brings asyncio; tables are read without

    lock = filelock.FileLock(path.with_name(f".{path.name}.lock"), timeout=LOCK_SECONDS,
                             poll_interval=_POLL_SECONDS)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout as err:
        raise TableError(f"{path} is being written by another process for {LOCK_SECONDS} s: try again later") from err
    except OSError as err:
        raise InputError(f"cannot write {path}: {err.strerror or err}") from err
    try:
        yield
    finally:
        lock.release()


def append(path: Path, values: Iterable[Any]) -> None:
    """Append JSON lines in one write and flush them to the disk; first cuts off a torn last line. Lock before.

    Raises:
        InputError: the file cannot be written, or a value is no JSON (NaN); then the file is as it was.
    """
    block = _lines(path, values)
    if block:
        append_bytes(path, block)


def append_to(path: Path, values: Sequence[Any], schema: int) -> None:
    """Append JSON lines that need a later schema than a table may have: its first line is made to say so. Lock before.

    Raises:
        InputError: as of `append`, or the first line cannot be read.
    """
    lines = read_lines(path, MOST_BYTES) if path.is_file() else []
    if lines and lines[0].get("hwnas_table", schema) < schema:
        write_whole(path, [{**lines[0], "hwnas_table": schema}, *lines[1:], *values])
    else:
        append(path, values)


def write_whole(path: Path, values: Iterable[Any]) -> None:
    """Replace a whole file by JSON lines. Lock before.

    Raises:
        InputError: the file cannot be written, or a value is no JSON (NaN); then the file is as it was.
    """
    write_bytes(path, _lines(path, values))


def _lines(path: Path, values: Iterable[Any]) -> bytes:
    try:
        return b"".join((json.dumps(value, allow_nan=False) + "\n").encode() for value in values)
    except ValueError as err:
        raise InputError(f"cannot append to {path}: {err}") from err
