"""Images of a source at a size, to be used like an array: decoded when they are indexed, unless they are kept.

symbol  meaning                                                shape
N       images of the view
kept    decoded images of the whole source, or None            (M, H, W, C)
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from threading import Lock
from typing import Any, cast, overload

import numpy as np
import numpy.typing as npt

from hwnas.data.decode import work_each
from hwnas.data.source import ArraySource, Indices, Pixels, Size, Source
from hwnas.data.subsample import spread
from hwnas.imaging.opening import pillow
from hwnas.progress import Progress, silent

_CHUNK = 64  # images whose levels are counted at a time
_PIECE = 256  # images that are decoded at a time where all are wanted in turn


class ImageView:
    """Some images of a source: uint8 (N, H, W, C), or masks (N, H, W).

    A number gives one image, a slice a view that decodes nothing, indices an array; `np.asarray` all of them.

    Args:
        source: where they come from.
        indices: which, in order.
        kept: all images of the source, decoded; shared with other views.
        shape: of one image; that of `kept` where there is one.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, source: Source, indices: Indices, kept: Pixels | None, shape: tuple[int, ...] = ()) -> None:
        self.source, self.indices, self._kept = source, np.asarray(indices, np.int64), kept
        self._shape = kept.shape[1:] if kept is not None else shape

    @classmethod
    def of(cls, images: Pixels | ImageView, where: str = "arrays") -> ImageView:
        """Of an array, which is kept and not copied; a view stays what it is."""
        if isinstance(images, ImageView):
            return images
        return cls(ArraySource(images, where), np.arange(len(images)), images)

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.indices), *self._shape

    @property
    def kept(self) -> bool:
        """Whether the images are decoded, so that reading them costs a copy at most."""
        return self._kept is not None

    @property
    def stored(self) -> bool:
        """Whether the source has them encoded."""
        return not isinstance(self.source.base, ArraySource)

    def __len__(self) -> int:
        return len(self.indices)

    @overload
    def __getitem__(self, key: slice) -> ImageView: ...

    @overload
    def __getitem__(self, key: Any) -> Pixels: ...

    def __getitem__(self, key: Any) -> ImageView | Pixels:
        if isinstance(key, slice):
            return self.take(np.arange(len(self))[key])
        if isinstance(key, tuple):
            found: Pixels = np.asarray(self)[key]
            return found
        return self._read(self.indices[key])

    def __iter__(self) -> Iterator[Pixels]:
        for part in self.pieces():
            yield from part

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        found: npt.NDArray[Any] = self._whole if dtype is None else self._whole.astype(dtype)
        return found.copy() if copy else found

    def take(self, chosen: Indices) -> ImageView:
        """Some of these images, in the order given; decodes and copies nothing."""
        return ImageView(self.source, self.indices[chosen], self._kept, self._shape)

    def stand_in(self) -> ImageView:
        """As many images of noise, for what needs no more than their number and their size."""
        return ImageView(_Noise(self._shape), np.zeros(len(self), np.int64), None, self._shape)

    def pieces(self, count: int = _PIECE) -> Iterator[Pixels]:
        """All images in turn, at most `count` at a time."""
        for start in range(0, len(self), count):
            yield np.asarray(self[start : start + count])

    def digests(self) -> list[bytes]:
        """Of what is stored, an image each."""
        return self.source.digests(self.indices)

    def sampled_digests(self) -> list[bytes]:
        """Name and size of every image, and of a sample (`subsample.py`) what is stored as well."""
        return [*self.source.marks(self.indices), *self.source.digests(self.indices[spread(len(self))])]

    def levels(self, progress: Progress = silent) -> tuple[npt.NDArray[np.int64], list[str]]:
        """How many pixels have each of the 256 levels, (C, 256), and a line for every image that cannot be read."""
        if isinstance(self.source, _Noise):
            return _levels(self.source.images) * len(self), []
        counts = np.zeros((self._shape[-1], 256), np.int64)
        if self._kept is not None:
            for part in self.pieces(_CHUNK):
                counts += _levels(part)
            return counts, []
        lock = Lock()

        def one(i: int) -> None:
            found = _levels(self.source.one(int(self.indices[i]), self.hw, self._channels))
            with lock:
                counts[...] += found

        broken = work_each(len(self), one, lambda i: self.source.tell(int(self.indices[i])), progress, "check images")
        return counts, broken

    @property
    def hw(self) -> Size:
        """(H, W)."""
        return self._shape[0], self._shape[1]

    @property
    def _channels(self) -> int:
        return self._shape[2] if len(self._shape) > 2 else 1

    @cached_property
    def _whole(self) -> Pixels:
        return self._read(self.indices)

    def _read(self, chosen: Any) -> Pixels:
        if self._kept is not None:
            if np.ndim(chosen) and len(chosen) and (np.diff(chosen) == 1).all():  # a part of it, without a copy
                return self._kept[chosen[0] : chosen[0] + len(chosen)]
            return cast(Pixels, self._kept[chosen])
        found = self.source.read(np.atleast_1d(chosen), self.hw, self._channels)
        return found if np.ndim(chosen) else cast(Pixels, found[0])


class _Noise(ArraySource):
    """One image of noise, as often as it is wanted."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(np.random.default_rng(0).integers(0, 256, (1, *shape), np.uint8))

    def read(self, indices: Indices, size: Size, channels: int | None = None, progress: Progress = silent) -> Pixels:
        return np.repeat(self.images, len(indices), axis=0)


def _levels(images: Pixels) -> npt.NDArray[np.int64]:
    """(C, 256) of uint8 (..., W, C), C 1 or 3: exact, and by Pillow without copies of eight bytes a pixel."""
    wide, channels = images.shape[-2:]
    rows = np.ascontiguousarray(images).reshape(-1, wide, channels)
    found = pillow().fromarray(rows[..., 0] if channels == 1 else rows).histogram()
    return np.array(found, np.int64).reshape(channels, 256)


class Decoded:
    """A field of a data set that is given an array or a view and gives the array, decoded as a whole when asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, owner: Any, kind: type) -> Any:
        return self if owner is None else np.asarray(owner.__dict__[self._name])

    def __set__(self, owner: Any, value: Any) -> None:
        owner.__dict__[self._name] = value


def lazily(view: ImageView) -> Pixels:
    """A view for a field that is `Decoded`, which to a type checker is the array that it gives."""
    return cast(Pixels, view)


AnyImages = Pixels | ImageView
"""uint8 images as what trains and judges takes them: a slice of either may be given to `np.asarray`."""
