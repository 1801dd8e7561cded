"""Arrays of pixels: checked, brought to uint8, made square.

symbol  meaning                                shape
images  pixels of any number type              (N, H, W) or (N, H, W, C)
S       side of the square that is wanted, px
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hwnas.errors import DataError
from hwnas.imaging.fitting import square_pixels

SMALLEST, LARGEST = 8, 1024


def check_imgsz(imgsz: int, where: str) -> int:
    """`imgsz` itself if it is in 8..1024 px.

    Raises:
        DataError: it is not.
    """
    if not SMALLEST <= imgsz <= LARGEST:
        raise DataError(f"{where}: imgsz must be {SMALLEST}..{LARGEST} px, not {imgsz}; pass another imgsz")
    return imgsz


def as_pixels(raw: npt.NDArray[Any], where: str) -> npt.NDArray[np.uint8]:
    """Pixels of any number type as uint8 (N, H, W, C), C 1 or 3.

    uint8 stays; other integers must be in 0..255; floats must be in 0..1 and are scaled by 255; booleans become 0
    and 255.

    Raises:
        DataError: another shape or type, NaN, values out of range.
    """
    if raw.ndim == 3:
        raw = raw[..., None]
    if raw.ndim != 4 or raw.shape[3] not in (1, 3):
        first = raw.ndim == 4 and raw.shape[1] in (1, 3)
        tip = "; channels come last: store images.transpose(0, 2, 3, 1)" if first else ""
        raise DataError(f"{where}: images must be (N, H, W) or (N, H, W, 1 or 3), not {raw.shape}{tip}")
    if 0 in raw.shape:
        raise DataError(f"{where}: no images in an array of shape {raw.shape}; store at least two per class")
    if raw.dtype.kind == "f":
        return _from_floats(raw, where)
    if raw.dtype.kind == "b":
        return raw.astype(np.uint8) * np.uint8(255)
    if raw.dtype.kind not in "iu":
        raise DataError(f"{where}: images must be numbers, not {raw.dtype.name}; store them as uint8")
    if raw.dtype != np.uint8 and (raw.min() < 0 or raw.max() > 255):
        raise DataError(f"{where}: integer images must be in 0..255, not {raw.min()}..{raw.max()}; rescale to uint8")
    return np.ascontiguousarray(raw, np.uint8)


def _from_floats(raw: npt.NDArray[Any], where: str) -> npt.NDArray[np.uint8]:
    low, high = float(raw.min()), float(raw.max())
    if np.isnan(low):
        raise DataError(f"{where}: images hold NaN; remove those images or store uint8")
    if low < 0 or high > 1:
        raise DataError(f"{where}: float images must be in 0..1, not {low:g}..{high:g}; rescale them or store uint8")
    return np.asarray(np.rint(raw * 255), np.uint8)


def resized(images: npt.NDArray[np.uint8], imgsz: int) -> npt.NDArray[np.uint8]:
    """(N, H, W, C) to (N, S, S, C), the square in the middle; unchanged where the size is right."""
    count, height, width, channels = images.shape
    if height == width == imgsz:
        return images
    out = np.empty((count, imgsz, imgsz, channels), np.uint8)
    for source, target in zip(images, out, strict=True):
        target[...] = square_pixels(source, imgsz)
    return out
