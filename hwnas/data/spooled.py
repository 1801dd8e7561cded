"""Encoded images of a table that is larger than memory: copied once into a file that ends with the process.

A table is compressed by the hundred rows, so reading one image of it costs as much as reading all around it; in the
copy it costs one read. The copy is as large as the images are, in the folder for decoded images if there is one
(`reading.py`), else where temporary files are.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Lock

import numpy as np

from hwnas.data.reading import reading
from hwnas.errors import InputError

_NONE = -1  # length of what is not there


class Spooled:
    """Bytes by their number.

    Args:
        values: gives all of them, in order; called when the first one is asked for.
        count: how many there are.
        where: they come from, for messages.
    """

    def __init__(self, values: Callable[[], Iterator[bytes | None]], count: int, where: str) -> None:
        self._values, self._count, self._where, self._lock = values, count, where, Lock()
        self._file: int | None = None
        self._starts, self._lengths = np.zeros(count, np.int64), np.full(count, _NONE, np.int64)
        self._folder = reading().cache

    def __call__(self, number: int) -> bytes | None:
        """Raises InputError where the copy cannot be written."""
        with self._lock:
            if self._file is None:
                self._file = self._written()
        length = int(self._lengths[number])
        return None if length == _NONE else os.pread(self._file, length, int(self._starts[number]))

    def __del__(self) -> None:
        if (file := getattr(self, "_file", None)) is not None:
            with suppress(OSError):
                os.close(file)

    def _written(self) -> int:
        place = 0
        try:
            if self._folder is not None:
                self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self._folder) as file:
                for number, value in enumerate(self._values()):
                    if value is not None:
                        file.write(value)
                        self._starts[number], self._lengths[number] = place, len(value)
                        place += len(value)
                file.flush()
                return os.dup(file.fileno())
        except OSError as err:
            raise InputError(f"{self._where}: its images do not fit into memory, and a copy of them cannot be written "
                             f"({err.strerror}): name a folder with room by --image-cache or TMPDIR") from err
