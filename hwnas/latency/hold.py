"""One campaign per table: who measures a table holds it until its last entry is in, and others wait.

Two campaigns at once would time every block twice, each at the speed that the other leaves, and mix two calibrations.
Additions have a lock of their own (`table_file`), so that a table can be read and its holder can write. The lock
belongs to the system (flock): a process that is killed holds nothing. Who holds it is written beside it for those who
wait; that note may outlive a killed process, but it is only read while the lock is taken.
"""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, strftime
from typing import Any

import filelock

from hwnas.documents import brief, read_json
from hwnas.errors import InputError, TableError
from hwnas.files import write_json
from hwnas.progress import Progress, silent

_POLL_SECONDS = 0.25
_NOTE_BYTES = 10_000


@contextlib.contextmanager
def held(path: Path, *, wait: bool = True, seconds: float = 60.0, progress: Progress = silent) -> Iterator[None]:
    """Hold a table for the length of a campaign; not to be entered twice for one path.

    Args:
        path: of the table.
        wait: whether to wait for another process that holds it, as long as that takes; an interrupt ends it.
        seconds: that the campaign may take, for those who wait.
        progress: told who is waited for.

    Raises:
        TableError: another process holds it, and `wait` is false.
        InputError: the folder is not writable.
    """
    lock = filelock.FileLock(path.with_name(f".{path.name}.campaign"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _acquire(lock, path, wait, progress)
    except OSError as err:
        raise InputError(f"cannot write {path}: {err.strerror or err}") from err
    note = _note(path)
    try:
        write_json(note, {"process": os.getpid(), "machine": platform.node(), "since": strftime("%H:%M:%S"),
                          "seconds": seconds})
        yield
    finally:
        with contextlib.suppress(OSError):
            note.unlink(missing_ok=True)
        lock.release()


def _acquire(lock: filelock.BaseFileLock, path: Path, wait: bool, progress: Progress) -> None:
    begin = monotonic()
    while True:
        try:
            lock.acquire(timeout=_POLL_SECONDS if wait else 0)
        except filelock.Timeout as err:
            who, seconds = _holder(path)
            if not wait:
                raise TableError(f"{path} is being measured by {who}: wait for it, or end it") from err
            waited = int(monotonic() - begin)
            progress(f"waiting for {who}, which measures this table", waited, max(seconds, waited + 1))
        else:
            return


def _note(path: Path) -> Path:
    return path.with_name(f".{path.name}.holder")


def _holder(path: Path) -> tuple[str, int]:
    """Who holds a table, and how many seconds its campaign may take; there may be no note yet."""
    try:
        note: Any = read_json(_note(path), _NOTE_BYTES)
        return f"process {int(note['process'])} since {brief(note['since'])[1:-1]}", int(note["seconds"])
    except (InputError, KeyError, TypeError, ValueError, OverflowError):
        return "another process", 0
