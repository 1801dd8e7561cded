"""Images that stay encoded, in files or in the bytes of a table, until their pixels are wanted.

symbol  meaning
S       side of a square input, px
H, W    sides of a letterboxed input, px
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hwnas.data.decode import Fetch, common_size, refuse_broken, there, work_each
from hwnas.data.source import Indices, Labelled, Pixels, Size, Source
from hwnas.data.subsample import first_headers
from hwnas.documents import open_regular
from hwnas.errors import DataError, ImageError
from hwnas.imaging.letterbox import Letterbox
from hwnas.imaging.opening import read_header, read_image_bytes
from hwnas.imaging.picture import Picture
from hwnas.progress import Progress, silent

_PIECE = 1 << 20  # bytes of a file that are hashed at a time
_UNKNOWN = -1


class EncodedSource(Source):
    """Encoded images, fitted as a classifier wants them: the square in the middle, grey where all are grey.

    Args:
        fetch: index -> name in messages, and the path of a file or its bytes.
        count: N.
        where: what was loaded, for messages.
        labelled: what they show.
        exact: whether images that are all square and of one size keep it where nobody asks for another.
    """

    def __init__(self, fetch: Fetch, count: int, where: str, labelled: Labelled | None = None, *,
                 exact: bool = False) -> None:
        self.fetch, self._count, self.where, self.labelled = fetch, count, where, labelled or Labelled()
        self._exact = exact
        self._grey = np.full(count, _UNKNOWN, np.int8)  # by its header
        self._digests = np.zeros((count, hashlib.sha256().digest_size), np.uint8)
        self._hashed = np.zeros(count, bool)

    def __len__(self) -> int:
        return self._count

    @cached_property
    def size(self) -> Size:
        side = common_size(self.fetch, len(self), exact=self._exact)
        return side, side

    def tell(self, index: int) -> str:
        return self.fetch(index)[0]

    def channels(self, indices: Indices, progress: Progress = silent) -> int:
        """As `Source.channels`; of a large set no more headers are read than it takes to find colour."""
        for some in (first_headers(len(indices)), slice(None)):
            self._read_headers(indices[some], progress)
            if not self._grey[indices[some]].all():
                return 3
        return 1

    def read(self, indices: Indices, size: Size, channels: int | None = None, progress: Progress = silent) -> Pixels:
        chosen = [int(i) for i in indices]
        out = self._room(len(chosen), size, channels or 3)
        grey = np.ones(len(chosen), bool)

        def one(i: int) -> None:
            picture = self.picture(chosen[i])
            out[i] = self.fitted(chosen[i], picture, size, channels)
            grey[i] = picture.grey

        broken = work_each(len(chosen), one, lambda i: self.tell(chosen[i]), progress)
        refuse_broken(broken, len(chosen), self.where)
        return np.ascontiguousarray(out[..., :1]) if channels is None and self.may_be_grey and grey.all() else out

    may_be_grey = True

    def one(self, index: int, size: Size, channels: int) -> Pixels:
        return self.fitted(index, self.picture(index), size, channels)

    def fitted(self, index: int, picture: Picture, size: Size, channels: int | None) -> Pixels:
        """One image as it is read: uint8 (S, S, 1 or C)."""
        if size[0] != size[1]:
            raise DataError(f"{self.where}: the square in the middle of an image is read, not {size}; give one side")
        return picture.square(size[0], channels)

    def picture(self, index: int) -> Picture:
        """One image, its header read.

        Raises:
            ImageError: it cannot be read.
        """
        name, content = self.fetch(index)
        found = there(content)
        return Picture(found if isinstance(found, bytes) else read_image_bytes(found), name)

    def digests(self, indices: Indices) -> list[bytes]:
        new = [int(i) for i in indices if not self._hashed[i]]

        def one(i: int) -> None:
            self._digests[new[i]] = np.frombuffer(self.digest(new[i]), np.uint8)
            self._hashed[new[i]] = True

        refuse_broken(work_each(len(new), one, lambda i: self.tell(new[i]), silent), len(new), self.where)
        return [self._digests[i].tobytes() for i in indices]

    def digest(self, index: int) -> bytes:
        """SHA-256 of the bytes of one image."""
        return hashed(there(self.fetch(index)[1]))

    def marks(self, indices: Indices) -> list[bytes]:
        return [self.mark(int(i)) for i in indices]

    def mark(self, index: int) -> bytes:
        """The name of one image, the bytes that it has, and how it is read.

        Raises:
            DataError: it is empty or gone.
        """
        name, content = self.fetch(index)
        try:
            size = os.stat(content).st_size if isinstance(content, str | Path) else len(content or b"")
        except OSError as err:
            raise DataError(f"{self.where}: {name} cannot be read ({err.strerror}); replace or remove it") from err
        if not size:
            raise DataError(f"{self.where}: {name} is empty; replace or remove it")
        return f"{name}\0{size}\0{self.read_as(index)}\n".encode(errors="surrogateescape")

    def stamps(self, indices: Indices) -> npt.NDArray[np.uint8]:
        """For each of some images 16 bytes that change when what is stored does: (n, 16).

        Of a file they are of its path, size and time, so that nothing is read; of bytes, of these.
        """
        found = [self.stamp(int(i)) for i in indices]
        return np.frombuffer(b"".join(found), np.uint8).reshape(len(found), -1)

    def stamp(self, index: int) -> bytes:
        """Of one image; all zeros for none that is there."""
        content = self.fetch(index)[1]
        told: tuple[object, ...] = ()
        if isinstance(content, str | Path):
            with contextlib.suppress(OSError):
                status = os.stat(content)
                told = os.path.abspath(content), status.st_size, status.st_mtime_ns, self.read_as(index)
        elif content is not None:
            told = hashlib.blake2b(content).hexdigest(), self.read_as(index)
        return hashlib.blake2b(repr(told).encode(), digest_size=16).digest() if told else bytes(16)

    def read_as(self, index: int) -> str:
        """What the pixels of an image depend on besides what is stored of it."""
        return ""

    def _read_headers(self, indices: Indices, progress: Progress) -> None:
        new = [int(i) for i in indices if self._grey[i] == _UNKNOWN]

        def one(i: int) -> None:
            name, content = self.fetch(new[i])
            self._grey[new[i]] = read_header(there(content), name).grey

        if new:
            broken = work_each(len(new), one, lambda i: self.tell(new[i]), progress, "read headers")
            refuse_broken(broken, len(indices), self.where)

    def _room(self, count: int, size: Size, channels: int) -> Pixels:
        shape = (count, *self.shape(size, channels))
        try:
            return np.empty(shape, np.uint8)
        except MemoryError as err:
            rule = f"{count} images of {size[0]}x{size[1]} px take {np.prod(shape, dtype=float) / 2**30:.1f} GiB"
            raise DataError(f"{self.where}: {rule}, more than there is; lower imgsz or limit") from err


class LetterboxedSource(EncodedSource):
    """Files as detectors and segmenters want them: whole, in colour, in an input of another shape.

    Args:
        paths: of the images.
        names: in messages.
        upright: for each whether it is turned as EXIF says (see turning.py); None turns all.
        size: (H, W) to be read at where nobody asks for another.
    """

    may_be_grey = False

    def __init__(self, paths: Sequence[Path], names: Sequence[str], where: str, size: Size,
                 upright: Sequence[bool] | None = None, labelled: Labelled | None = None) -> None:
        super().__init__(lambda i: (names[i], paths[i]), len(paths), where, labelled)
        self._size, self._paths = size, paths
        self._upright = [True] * len(paths) if upright is None else list(upright)

    @property
    def size(self) -> Size:
        return self._size

    def channels(self, indices: Indices, progress: Progress = silent) -> int:
        self._read_headers(indices[first_headers(len(indices))], progress)  # so that broken ones are told
        return 3

    def picture(self, index: int) -> Picture:
        return Picture.read(self._paths[index], upright=self._upright[index])

    def fitted(self, index: int, picture: Picture, size: Size, channels: int | None) -> Pixels:
        """One image in the input: uint8 (H, W, 3)."""
        return picture.letterboxed(Letterbox.fit(*picture.size, size))

    def digest(self, index: int) -> bytes:
        return hashlib.sha256(super().digest(index) + bytes([self._upright[index]])).digest()

    def read_as(self, index: int) -> str:
        return "upright" if self._upright[index] else "as stored"


class MaskSource(EncodedSource):
    """Masks in an input of another shape: the class of every pixel, 255 where it does not matter.

    Args:
        paths: of the masks.
        where: what was loaded, for messages.
        size: (H, W) to be read at where nobody asks for another.
        classes_in: path -> class of every pixel, uint8 (height, width).
        meaning: what `classes_in` depends on besides the file, for the fingerprint.
    """

    def __init__(self, paths: Sequence[Path], where: str, size: Size, classes_in: Callable[[Path], Pixels],
                 meaning: str) -> None:
        super().__init__(lambda i: (paths[i].name, paths[i]), len(paths), where)
        self._size, self._paths, self._classes_in, self._meaning = size, paths, classes_in, meaning

    @property
    def size(self) -> Size:
        return self._size

    def channels(self, indices: Indices, progress: Progress = silent) -> int:
        return 1

    def shape(self, size: Size, channels: int) -> tuple[int, ...]:
        return size

    def read(self, indices: Indices, size: Size, channels: int | None = None, progress: Progress = silent) -> Pixels:
        """As `Source.read`: uint8 (n, H, W)."""
        chosen = [int(i) for i in indices]
        out = self._room(len(chosen), size, 1)

        def one(i: int) -> None:
            out[i] = self.one(chosen[i], size, 1)

        refuse_broken(work_each(len(chosen), one, lambda i: self.tell(chosen[i]), progress), len(chosen), self.where)
        return out

    def one(self, index: int, size: Size, channels: int) -> Pixels:
        values = self._classes_in(self._paths[index])
        return Letterbox.fit(values.shape[0], values.shape[1], size).mask(values)

    def digest(self, index: int) -> bytes:
        return hashlib.sha256(super().digest(index) + self._meaning.encode()).digest()

    def read_as(self, index: int) -> str:
        return self._meaning


def hashed(content: Path | bytes) -> bytes:
    """SHA-256 of a file or of bytes, a piece at a time."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).digest()
    found = hashlib.sha256()
    with open_regular(content, ImageError) as stream:
        while piece := stream.read(_PIECE):
            found.update(piece)
    return found.digest()
