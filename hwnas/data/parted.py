"""What every data set of a training and a validation part has: statistics of its pixels, fingerprints, a check.

symbol  meaning
C       channels
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from hwnas.data.decode import refuse_broken
from hwnas.data.subsample import is_large, spread
from hwnas.data.views import ImageView
from hwnas.progress import Progress, silent

Floats = npt.NDArray[np.float64]
Levels = npt.NDArray[np.int64]

MANIFEST = "m-"  # leads a fingerprint of what is stored; one of decoded pixels, as hwnas 0.1 made it, has no lead
SAMPLED = "s-"  # of what is stored in a sample, and of all names and sizes


class Part(Protocol):
    """Some images with what they show."""

    @property
    def pixels(self) -> ImageView:
        """uint8 (N, H, W, C)."""

    def __len__(self) -> int:
        """N."""


class Parted(ABC):
    """A data set in two parts."""

    source: str

    @property
    @abstractmethod
    def parts(self) -> tuple[Part, Part]:
        """Training and validation."""

    @abstractmethod
    def _arrays(self) -> Iterable[ImageView | npt.NDArray[Any]]:
        """Everything that a fingerprint is of, in order."""

    def _lead(self) -> str:
        """What a fingerprint begins with."""
        return ""

    @abstractmethod
    def stand_in(self) -> Self:
        """The same with noise for images, and nothing to decode: to learn how long work on so many images takes."""

    @property
    def mean(self) -> Floats:
        """(C,) mean of the training pixels, in 0..1.

        They are decoded once; of more than 5,000 images that are stored encoded a sample is (`subsample.py`), whether
        they stay in memory or not.
        """
        return self._moments[0]

    @property
    def std(self) -> Floats:
        """(C,) standard deviation of the training pixels, in 0..1; never under 1/255, so dividing by it is safe."""
        return self._moments[1]

    @cached_property
    def _moments(self) -> tuple[Floats, Floats]:
        looked = _sample(self.parts[0].pixels)
        counts, broken = looked.levels()
        refuse_broken(broken, len(looked), self.source)
        return moments_of(counts)

    def check(self, progress: Progress = silent) -> tuple[str, ...]:
        """Decode every image that is not kept decoded, so that what is wrong is known before a long work begins.

        Of more than 5,000 images a sample is decoded: 5,000 of the training images, and of the validation images as
        many as are their share of 5,000.

        Returns:
            What was not looked at, a sentence; nothing where all was.

        Raises:
            DataError: images that cannot be decoded, with the first five and how many.
        """
        train, val = (part.pixels for part in self.parts)
        every = len(train) + len(val)
        share = max(1, len(spread(every)) * len(val) // every)
        looked = [part for part in (_sample(train), _sample(val, share) if is_large(every) else val) if not part.kept]
        found = [part.levels(progress) for part in looked]
        refuse_broken([line for _, lines in found for line in lines], sum(map(len, looked)), self.source)
        if not train.kept:  # what a first training would decode all images for
            self.__dict__.setdefault("_moments", moments_of(found[0][0]))
        seen = sum(map(len, looked))
        if train.kept or val.kept or seen == every:
            return ()
        return (f"{seen:,} of {every:,} images were decoded to see that they can be; another one that cannot ends the "
                "training that meets it",)

    @cached_property
    def fingerprint(self) -> str:
        """What the data is, in 16 hex digits.

        Of images that are stored encoded it is one of the manifest: SHA-256 of their bytes, in order, with the truth
        about them and the size at which they are read; nothing is decoded. It begins with `m-`. Of more than 5,000 it
        is one of their names and sizes and of the bytes of a sample of either part, and begins with `s-`. Of arrays it
        is one of their pixels.
        """
        if not any(isinstance(array, ImageView) and array.stored for array in self._arrays()):
            return self.decoded_fingerprint
        return self.sampled_fingerprint if is_large(sum(map(len, self.parts))) else self.stored_fingerprint

    @cached_property
    def decoded_fingerprint(self) -> str:
        """The fingerprint of hwnas 0.1: SHA-256 over shapes and decoded pixels and the truth about them."""
        return self._hashed(None)

    @cached_property
    def stored_fingerprint(self) -> str:
        """Over all bytes that are stored."""
        return MANIFEST + self._hashed(ImageView.digests)

    @cached_property
    def sampled_fingerprint(self) -> str:
        """Over names, sizes and the bytes of a sample."""
        return SAMPLED + self._hashed(ImageView.sampled_digests)

    def fingerprint_like(self, other: object) -> str:
        """The fingerprint of the kind that `other` is, to be compared with it."""
        if str(other).startswith(SAMPLED):
            return self.sampled_fingerprint
        return self.stored_fingerprint if str(other).startswith(MANIFEST) else self.decoded_fingerprint

    def _hashed(self, stored: Callable[[ImageView], list[bytes]] | None) -> str:
        digest = hashlib.sha256(self._lead().encode())
        for array in self._arrays():
            digest.update(f"{array.dtype.name}{array.shape}".encode())
            if not isinstance(array, ImageView):
                digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
            elif stored is not None and array.stored:
                digest.update(b"".join(stored(array)))
            else:
                for piece in array.pieces():
                    digest.update(np.ascontiguousarray(piece).reshape(-1).data)
        return digest.hexdigest()[:16]


def _sample(pixels: ImageView, most: int | None = None) -> ImageView:
    """All images, or some of those that are stored encoded."""
    chosen = spread(len(pixels), most)
    return pixels.take(chosen) if pixels.stored and len(chosen) < len(pixels) else pixels


def moments_of(counts: Levels) -> tuple[Floats, Floats]:
    """Mean and standard deviation per channel of pixels of these levels, (C, 256): each (C,), in 0..1.

    The deviation is never under 1/255, so that dividing by it is safe.
    """
    levels = np.arange(256) / 255.0
    weights = counts / counts.sum(axis=1, keepdims=True)
    mean = weights @ levels
    var = (weights * (levels - mean[:, None]) ** 2).sum(axis=1)
    return mean, np.maximum(np.sqrt(var), 1 / 255)
