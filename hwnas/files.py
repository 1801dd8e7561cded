"""Files that are whole or absent: written beside and renamed; append-only logs that survive a torn last line."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Any

from hwnas.documents import json_value, read_bytes
from hwnas.errors import InputError

MOST_LOG_BYTES = 1 << 30
PART = ".hwnas-part"  # ends the names of what is being written; a process that is killed leaves it
_ABANDONED_SECONDS = 600.0  # nothing was written to it for so long, and no process holds it
_NAMED = 40  # characters of a file's name that are part of its part's
LINES_S = 1.0  # that a line of a LineLog may wait
_TAIL = 1 << 16  # bytes read at once when looking back for the last whole line
_swept: set[str] = set()  # folders that this process has looked through


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` so that a reader sees the old file or the new one, never half of one.

    Raises:
        InputError: the folder is not writable or the disk is full; what was there stays.
    """
    with replacing(path) as beside:
        beside.write_bytes(data)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; flushed and renamed over `path` if the block succeeds.

    Raises:
        InputError: the folder is not writable or the disk is full; what was there stays.
    """
    beside: Path | None = None
    held: int | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep_once(path.parent)
        held, name = tempfile.mkstemp(prefix=f".{path.name[:_NAMED]}.", suffix=PART, dir=path.parent)
        beside = Path(name)
        if not _hold(held):
            os.close(held)
            held = None
        yield beside
        beside.chmod(0o644)  # mkstemp gives 0600, and so do some writers
        with beside.open("rb+") as file:
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as err:
        raise InputError(f"cannot write {path}: {err.strerror or err}; the file that was there is untouched. "
                         "Free some space, make the folder writable or name another one") from err
    finally:
        if held is not None:
            os.close(held)
        if beside is not None:
            beside.unlink(missing_ok=True)


@contextlib.contextmanager
def appearing(out: Path) -> Iterator[Path]:
    """A folder beside `out` that takes its place if the block succeeds, and is removed if not.

    Args:
        out: not there, or an empty folder.

    Raises:
        InputError: it cannot be written.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        sweep(out.parent)
        beside = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=PART, dir=out.parent))
    except OSError as err:
        raise InputError(f"cannot write {out}: {err.strerror or err}") from err
    try:
        yield beside
        beside.chmod(0o755)
        beside.rename(out)
    except OSError as err:
        raise InputError(f"cannot write {out}: {err.strerror or err}; nothing was left behind") from err
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def sweep(folder: Path) -> list[Path]:
    """Remove what killed processes left half-written in a folder; what was removed.

    Only files and folders that `PART` ends, that nothing was written to for ten minutes and no process holds.
    """
    gone = []
    with contextlib.suppress(OSError):  # not readable, or gone meanwhile: nothing is lost by leaving it
        for path in sorted(folder.glob(f".*{PART}")):
            with contextlib.suppress(OSError):
                if time.time() - path.lstat().st_mtime > _ABANDONED_SECONDS and not _is_held(path):
                    shutil.rmtree(str(path)) if path.is_dir() and not path.is_symlink() else path.unlink()
                    gone.append(path)
    return gone


def _sweep_once(folder: Path) -> None:
    if str(folder) not in _swept:
        _swept.add(str(folder))
        sweep(folder)


def _hold(handle: int) -> bool:
    """Lock an open file for as long as it is open; False where the system cannot."""
    if sys.platform == "win32":
        return False
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_held(path: Path) -> bool:
    """Whether a process holds a file, as `_hold` does."""
    if sys.platform == "win32" or not path.is_file():
        return False
    handle = os.open(str(path), os.O_RDONLY | os.O_NOFOLLOW)
    try:
        return not _hold(handle)
    finally:
        os.close(handle)


def write_json(path: Path, value: Any) -> None:
    """`write_bytes` of indented JSON; NaN and infinity are refused with ValueError."""
    write_bytes(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())


def append_line(path: Path, value: Any) -> None:
    """Append one JSON line and flush it to the disk; first cuts off a torn last line.

    Raises:
        InputError: the folder is not writable or the disk is full.
        ValueError: the value is no JSON (NaN).
    """
    append_bytes(path, (json.dumps(value, allow_nan=False) + "\n").encode())


def append_bytes(path: Path, block: bytes) -> None:
    """Append whole lines in one write and flush them to the disk; first cuts off a torn last line.

    Raises:
        InputError: the folder is not writable or the disk is full; then the file is as it was, without the torn line.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+", buffering=0) as file:
            size = _cut_torn_line(file)
            try:
                view = memoryview(block)
                while view:
                    view = view[file.write(view):]
                os.fsync(file.fileno())
            except OSError:  # a full disk: take back what went in
                file.truncate(size)
                raise
    except OSError as err:
        raise InputError(f"cannot append to {path}: {err.strerror or err}") from err


class LineLog:
    """JSON lines that somebody waits for: whole lines, at the latest a second old on the disk, whatever ends the work.

    A context. What the file held before is replaced by the first lines.

    Args:
        path: of the file; its folder is made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._kept: list[str] = []
        self._begun, self._written_s = False, 0.0

    def add(self, value: Any) -> None:
        """Append a JSON value.

        Raises:
            InputError: the file cannot be written.
        """
        self._kept.append(json.dumps(value) + "\n")
        if time.monotonic() - self._written_s >= LINES_S:
            self.flush()

    def flush(self) -> None:
        """Write what is kept back; makes an empty file where nothing ever was.

        Raises:
            InputError: the file cannot be written.
        """
        block, self._kept = "".join(self._kept).encode(), []
        (append_bytes if self._begun else write_bytes)(self.path, block)
        self._begun, self._written_s = True, time.monotonic()

    def __enter__(self) -> LineLog:
        return self

    def __exit__(self, *_: object) -> None:
        if self._kept:
            self.flush()


def _cut_torn_line(file: FileIO) -> int:
    """Cut off what follows the last newline; the size that is left."""
    size = position = file.seek(0, os.SEEK_END)
    while position:
        begin = max(0, position - _TAIL)
        file.seek(begin)
        newline = file.read(position - begin).rfind(b"\n")
        if newline >= 0:
            position = begin + newline + 1
            break
        position = begin
    if position != size:
        file.truncate(position)
    return position


def read_lines(path: Path, most: int = MOST_LOG_BYTES) -> list[Any]:
    """All JSON values of a JSON Lines file; a torn last line (no newline at its end) is left out.

    Args:
        most: bytes that are read.

    Raises:
        InputError: the file is missing or larger, or a line in the middle is not JSON; names the line.
    """
    text = read_bytes(path, most)
    values = []
    for number, line in enumerate(text[: text.rfind(b"\n") + 1].split(b"\n"), 1):
        if line.strip():
            try:
                values.append(json_value(line, f"{path}, line {number}"))
            except InputError as err:
                raise InputError(f"{err}: repair or delete that line") from err
    return values


def sha256(path: Path) -> str:
    """Hex digest of a file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
