"""Decoded images on disk, so that the second pass over a large data set decodes nothing.

Two files a set and size: `KEY.pixels` with a row an image, and `KEY.index` with a stamp a row that says of which stored
image, as it was then, the row is. A row is written before its stamp, so whatever ends the process leaves no row that
looks whole and is not; an image that was changed has another stamp and is decoded anew. Several processes may use one
cache: they write the same bytes.

symbol  meaning                                   shape
N, n    images of the source, that are asked for
row     pixels of an image                        H * W * C bytes
stamp   of a stored image; zeros for none         16 bytes
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hwnas.data.encoded import EncodedSource
from hwnas.data.source import Indices, Labelled, Pixels, Size, Source
from hwnas.data.threads import threads
from hwnas.errors import InputError
from hwnas.imaging.opening import pillow
from hwnas.progress import Progress, silent

STAMP = 16  # bytes
PIXELS, INDEX = ".pixels", ".index"
SHARE = 0.25  # of the free disk, that a set at a size may take where nothing else is said
_SCHEMA = 1  # of rows; another one is another file
_SOME = 32  # rows that one thread reads


class CachedSource(Source):
    """An encoded source whose decoded images are kept in a folder.

    Args:
        source: what is decoded.
        folder: of the cache; made if it is not there.
        most_bytes: of pixels of a size; images beyond it are decoded every time. None takes a quarter of what was free
            on the disk when the first of them was kept.

    Raises:
        InputError: the folder cannot be written.
    """

    def __init__(self, source: EncodedSource, folder: Path, most_bytes: int | None = None) -> None:
        self.source, self.folder = source, folder
        self.where = source.where
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as err:
            raise InputError(f"{folder} cannot keep decoded images ({err.strerror}): name another folder") from err
        self._most, self._stores = most_bytes, dict[tuple[int, ...], _Store]()

    def __len__(self) -> int:
        return len(self.source)

    @property
    def labelled(self) -> Labelled:  # type: ignore[override]
        return self.source.labelled

    @property
    def size(self) -> Size:
        return self.source.size

    def channels(self, indices: Indices, progress: Progress = silent) -> int:
        return self.source.channels(indices, progress)

    def shape(self, size: Size, channels: int) -> tuple[int, ...]:
        return self.source.shape(size, channels)

    def tell(self, index: int) -> str:
        return self.source.tell(index)

    def digests(self, indices: Indices) -> list[bytes]:
        return self.source.digests(indices)

    def marks(self, indices: Indices) -> list[bytes]:
        return self.source.marks(indices)

    def read(self, indices: Indices, size: Size, channels: int | None = None, progress: Progress = silent) -> Pixels:
        if channels is None:  # what they are is not known before they are decoded
            return self.source.read(indices, size, None, progress)
        shape = self.source.shape(size, channels)
        store = self._store(shape)
        stamps = self.source.stamps(indices)
        out = np.empty((len(indices), *shape), np.uint8)
        absent = store.read(indices, stamps, out)
        if len(absent):
            fresh = self.source.read(indices[absent], size, channels, progress)
            out[absent] = fresh
            store.write(indices[absent], stamps[absent], fresh)
        return out

    def _store(self, shape: tuple[int, ...]) -> _Store:
        if shape not in self._stores:
            told = {"schema": _SCHEMA, "where": str(Path(self.where).absolute()), "images": len(self), "shape": shape,
                    "kind": type(self.source).__name__, "pillow": pillow().__version__}
            stem = self.folder / hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
            most = self._most if self._most is not None else int(SHARE * (_free(self.folder) + _taken(stem)))
            rows = min(len(self), most // math.prod(shape))
            self._stores[shape] = _Store(stem, rows, len(self), math.prod(shape))
        return self._stores[shape]


class _Store:
    """The two files of one set at one size.

    Args:
        stem: their path without the suffix.
        rows: that may be written, the first ones.
        images: N.
        width: bytes of a row.
    """

    def __init__(self, stem: Path, rows: int, images: int, width: int) -> None:
        self._rows, self._width = rows, width
        self._pixels, self._index = (_opened(stem.with_suffix(end), size) for end, size in
                                     ((PIXELS, rows * width), (INDEX, images * STAMP)))

    def __del__(self) -> None:
        for name in ("_pixels", "_index"):
            with suppress(OSError, AttributeError):
                os.close(getattr(self, name))

    def read(self, indices: Indices, stamps: npt.NDArray[np.uint8], out: Pixels) -> npt.NDArray[np.int64]:
        """Put what is there into its places of `out` (n, ...); the places of what is not."""
        flat = out.reshape(len(out), -1)
        found = np.zeros(len(indices), bool)

        def some(start: int) -> None:
            for i in range(start, min(start + _SOME, len(indices))):
                row = int(indices[i])
                if row < self._rows and os.pread(self._index, STAMP, row * STAMP) == stamps[i].tobytes():
                    found[i] = os.preadv(self._pixels, [flat[i].data], row * self._width) == self._width

        for _ in threads().map(some, range(0, len(indices), _SOME)):
            pass
        return np.flatnonzero(~found)

    def write(self, indices: Indices, stamps: npt.NDArray[np.uint8], fresh: Pixels) -> None:
        """Keep decoded images; where the disk is full, none of them."""
        flat = np.ascontiguousarray(fresh).reshape(len(fresh), -1)
        with suppress(OSError):
            for i, row in enumerate(indices.tolist()):
                if row < self._rows and os.pwrite(self._pixels, flat[i].data, row * self._width) == self._width:
                    os.pwrite(self._index, stamps[i].tobytes(), row * STAMP)


def _free(folder: Path) -> int:
    """Bytes of the disk that no file has."""
    return shutil.disk_usage(folder).free


def _taken(stem: Path) -> int:
    """Bytes of the disk that a set at a size has already, so that what it may take does not shrink as it fills."""
    taken = 0
    for end in (PIXELS, INDEX):
        with suppress(OSError):
            taken += stem.with_suffix(end).stat().st_blocks * 512
    return taken


def _opened(path: Path, size: int) -> int:
    """A file descriptor of a file that is at least so long, without holding what was not written."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        if os.fstat(file).st_size < size:
            os.truncate(file, size)
    except OSError as err:
        raise InputError(f"{path} cannot keep decoded images ({err.strerror}): name another folder") from err
    return file
