"""Mean and standard deviation of pixels, exact and without a float copy of the images."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_CHUNK = 1024


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
