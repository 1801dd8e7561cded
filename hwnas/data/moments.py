"""Mean and standard deviation of pixels, exact and without a float copy of the images."""

from __future__ import annotations

from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_CHUNK = 1024


class Part(Protocol):
    """Some images, uint8 (N, H, W, C)."""

    @property
    def images(self) -> npt.NDArray[np.uint8]: ...


class WithMoments:
    """A data set whose training part is `train`: the statistics of its pixels."""

    train: Part

    @cached_property
    def _moments(self) -> tuple[Floats, Floats]:
        return pixel_moments(self.train.images)

    @property
    def mean(self) -> Floats:
        """(C,) mean of the training pixels, in 0..1."""
        return self._moments[0]

    @property
    def std(self) -> Floats:
        """(C,) standard deviation of the training pixels, in 0..1; never under 1/255, so dividing by it is safe."""
        return self._moments[1]


def pixel_moments(images: npt.NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """(mean, standard deviation) per channel of uint8 images (N, H, W, C), each (C,), in 0..1.

    The deviation is never under 1/255, so that dividing by it is safe.
    """
    # A histogram is exact in integers and needs no float copy of the images.
    counts = np.zeros((images.shape[-1], 256), np.int64)
    for start in range(0, len(images), _CHUNK):
        part = images[start : start + _CHUNK]
        for channel in range(len(counts)):
            counts[channel] += np.bincount(part[..., channel].ravel(), minlength=256)
    levels = np.arange(256) / 255.0
    weights = counts / counts.sum(axis=1, keepdims=True)
    mean = weights @ levels
    var = (weights * (levels - mean[:, None]) ** 2).sum(axis=1)
    return mean, np.maximum(np.sqrt(var), 1 / 255)
