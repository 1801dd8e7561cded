"""Where images come from: known by their headers, decoded when their pixels are asked for.

| kind                         | holds                                                                    |
|------------------------------|--------------------------------------------------------------------------|
| `ArraySource`                | pixels: digits, a .npz, arrays of the caller                             |
| `EncodedSource` (encoded.py) | files or bytes of a table; opened one by one, decoded through `imaging`  |
| `Subset`                     | indices into another source: a part, a fold, a `--limit`; copies nothing |

symbol  meaning
N       images of the source
n       images that are asked for
H, W    sides of the input that they are fitted to, px
C       channels, 1 (grey) or 3 (RGB)
K       classes
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hwnas.data.pixels import resized
from hwnas.errors import UsageError
from hwnas.progress import Progress, silent

Pixels = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.integer[Any]]
Labels = npt.NDArray[np.int64]
Size = tuple[int, int]


@dataclass(frozen=True)
class Labelled:
    """What the images of a source show, as far as no pixel has to be read for it.

    Attributes:
        classes: K names.
        labels: (N,) the class of every image, or for every image the classes of its boxes.
    """

    classes: tuple[str, ...] = ()
    labels: Labels | Sequence[Labels] = ()

    def counts(self, indices: Indices) -> tuple[int, ...]:
        """Images, or boxes, of every class among some images; nothing where only the pixels of masks tell."""
        if not len(self.labels):
            return ()
        chosen = self.of(indices).labels
        found = chosen if isinstance(chosen, np.ndarray) else np.concatenate(chosen)
        return tuple(np.bincount(found, minlength=len(self.classes)).tolist())

    def of(self, indices: Indices) -> Labelled:
        """What some of the images show."""
        labels = self.labels
        chosen = labels[indices] if isinstance(labels, np.ndarray) else [labels[int(i)] for i in indices if labels]
        return Labelled(self.classes, chosen)


@dataclass(frozen=True)
class Info:
    """What is known of a source without decoding it.

    Attributes:
        images: N.
        size: (H, W) that it is read at where nobody asks for another.
        channels: C; 3 if any image has colour, by its mode.
        classes: K names.
        counts: images or boxes of every class, as `Labelled.counts`.
    """

    images: int
    size: Size
    channels: int
    classes: tuple[str, ...]
    counts: tuple[int, ...]


class Source(ABC):
    """Images in the order of their indices.

    Attributes:
        where: what was loaded, for messages.
        labelled: what they show.
    """

    where: str
    labelled: Labelled

    @abstractmethod
    def __len__(self) -> int:
        """N."""

    @property
    @abstractmethod
    def size(self) -> Size:
        """(H, W) that it is read at where nobody asks for another."""

    @abstractmethod
    def channels(self, indices: Indices, progress: Progress = silent) -> int:
        """1 if all of some images are grey, else 3; from their headers.

        Raises:
            DataError: images whose header cannot be read, with the first five and how many.
        """

    @abstractmethod
    def read(self, indices: Indices, size: Size, channels: int | None = None, progress: Progress = silent) -> Pixels:
        """The pixels of some images, upright, fitted to `size`: uint8 (n, H, W, C), in the order of `indices`.

        Args:
            channels: C; None for what these images need.
            progress: told 'decode images' where they are decoded.

        Raises:
            DataError: images that cannot be decoded, with the first five and how many.
        """

    def one(self, index: int, size: Size, channels: int) -> Pixels:
        """`read` of one image, (H, W, C), in this thread; what is wrong with it is raised as it is."""
        found: Pixels = self.read(np.array([index]), size, channels)[0]
        return found

    @abstractmethod
    def digests(self, indices: Indices) -> list[bytes]:
        """For each of some images the SHA-256 of what is stored; every byte is read, no pixel decoded."""

    def marks(self, indices: Indices) -> list[bytes]:
        """For each of some images what tells it from others without reading it, the same on every machine.

        Here as `digests`; where names and sizes are known, these.

        Raises:
            DataError: an image that is empty or gone.
        """
        return self.digests(indices)

    def shape(self, size: Size, channels: int) -> tuple[int, ...]:
        """Of one image as `read` gives it."""
        return *size, channels

    @property
    def base(self) -> Source:
        """The source that has the images; itself, but for a subset."""
        return self

    def tell(self, index: int) -> str:
        """What an image is called in messages."""
        return f"image {index}"

    @property
    def info(self) -> Info:
        """What is known without decoding; headers are read, once.

        Raises:
            DataError: a header that cannot be read.
        """
        every = np.arange(len(self))
        return Info(len(self), self.size, self.channels(every), self.labelled.classes, self.labelled.counts(every))

    @property
    def fingerprint(self) -> str:
        """First 16 hex digits of the SHA-256 of the manifest: what is stored of every image, in order."""
        return hashlib.sha256(b"".join(self.digests(np.arange(len(self))))).hexdigest()[:16]

    def subset(self, indices: Indices) -> Subset:
        """Some of the images, in the order given; copies none."""
        return Subset(self, np.asarray(indices, np.int64))


class ArraySource(Source):
    """Pixels that are in memory.

    Args:
        images: uint8 (N, H, W, C), or masks (N, H, W); kept, not copied.
        size: (H, W) to be read at where nobody asks; None for the largest square of the images.
    """

    def __init__(self, images: Pixels, where: str = "arrays", labelled: Labelled | None = None,
                 size: Size | None = None) -> None:
        self.images, self.where, self.labelled = images, where, labelled or Labelled()
        self._size = size or (min(images.shape[1:3]), min(images.shape[1:3]))

    def __len__(self) -> int:
        return len(self.images)

    @property
    def size(self) -> Size:
        return self._size

    def channels(self, indices: Indices, progress: Progress = silent) -> int:
        return int(self.images.shape[3]) if self.images.ndim == 4 else 1

    def shape(self, size: Size, channels: int) -> tuple[int, ...]:
        return super().shape(size, channels)[: self.images.ndim - 1]

    def read(self, indices: Indices, size: Size, channels: int | None = None, progress: Progress = silent) -> Pixels:
        """As `Source.read`; other sizes than their own are square, the middle of each image.

        Raises:
            UsageError: a size that is neither.
        """
        found = self.images[indices]
        if size != self.images.shape[1:3]:
            if size[0] != size[1] or self.images.ndim != 4:
                raise UsageError(f"{self.where}: arrays of {self.images.shape[1:3]} are read as they are, or square, "
                                 f"not at {size}: give images of that size")
            found = resized(found, size[0])
        progress("decode images", len(found), len(found))
        return np.repeat(found, 3, 3) if channels == 3 and found.shape[-1] == 1 and found.ndim == 4 else found

    def digests(self, indices: Indices) -> list[bytes]:
        return [hashlib.sha256(np.ascontiguousarray(self.images[int(i)]).data).digest() for i in indices]


class Subset(Source):
    """Some images of another source."""

    def __init__(self, source: Source, indices: Labels) -> None:
        self.indices: Labels = source.indices[indices] if isinstance(source, Subset) else indices
        self.source: Source = source.base
        self.where = source.where

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def labelled(self) -> Labelled:  # type: ignore[override]
        return self.source.labelled.of(self.indices)

    @property
    def base(self) -> Source:
        return self.source

    @property
    def size(self) -> Size:
        return self.source.size

    def channels(self, indices: Indices, progress: Progress = silent) -> int:
        return self.source.channels(self.indices[indices], progress)

    def shape(self, size: Size, channels: int) -> tuple[int, ...]:
        return self.source.shape(size, channels)

    def tell(self, index: int) -> str:
        return self.source.tell(int(self.indices[index]))

    def read(self, indices: Indices, size: Size, channels: int | None = None, progress: Progress = silent) -> Pixels:
        return self.source.read(self.indices[indices], size, channels, progress)

    def one(self, index: int, size: Size, channels: int) -> Pixels:
        return self.source.one(int(self.indices[index]), size, channels)

    def digests(self, indices: Indices) -> list[bytes]:
        return self.source.digests(self.indices[indices])

    def marks(self, indices: Indices) -> list[bytes]:
        return self.source.marks(self.indices[indices])
