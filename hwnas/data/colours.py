"""Colours for classes: of palettes that files lack, and of drawings."""

from __future__ import annotations

import colorsys

import numpy as np
import numpy.typing as npt

_GOLDEN = 0.618034  # a turn of hue that keeps neighbours far apart, however many there are


def colours_apart(count: int, saturation: float, brightness: tuple[float, ...]) -> npt.NDArray[np.uint8]:
    """Colours that are easily told apart, the same for the same place: uint8 (count, 3); `brightness` goes round."""
    turns = [colorsys.hsv_to_rgb(i * _GOLDEN % 1, saturation, brightness[i % len(brightness)]) for i in range(count)]
    found: npt.NDArray[np.uint8] = np.rint(np.array(turns).reshape(-1, 3) * 255).astype(np.uint8)
    return found
