"""Resizing, and the square in the middle.

symbol  meaning                                                        shape
S       side of the square that is wanted, px
part    left, top, right, bottom of what is resized, px, may be broken  (4,)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.imaging.opening import pillow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

NEAREST, BILINEAR = 0, 2  # in Pillow's numbers, which are older than its names for them


def resized(image: Any, size: tuple[int, int], part: tuple[float, float, float, float]) -> Any:
    """A part of a Pillow image at (width, height) = size: bilinear, antialiased where it shrinks."""
    if image.size == size and part == (0, 0, *size):
        return image
    return image.resize(size, BILINEAR, box=part)


def square(image: Any, side: int, stored: tuple[int, int] | None = None, reduced: int = 1) -> Any:
    """Shorter side to `side`, centre crop of the longer.

    Args:
        image: a Pillow image.
        stored: (height, width) of the whole image; default that of `image`.
        reduced: the image was decoded at 1 / `reduced` of its size, sides rounded up.
    """
    height, width = stored or image.size[::-1]
    short = min(width, height)
    left, top = (width - short) / 2, (height - short) / 2
    # One resize of the centre square: the same pixels as resizing all and cropping, for less work.
    left, top, right, bottom = (edge / reduced for edge in (left, top, left + short, top + short))
    return resized(image, (side, side), (left, top, right, bottom))


def square_pixels(pixels: Pixels, side: int) -> Pixels:
    """`square` of uint8 (H, W, 1 or 3): uint8 (S, S, as many)."""
    image = pillow().fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    return np.asarray(square(image, side)).reshape(side, side, pixels.shape[2])


def to_input(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What a network eats: uint8 (N, H, W, C) -> float32 (N, C, H, W) in 0..1."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2), dtype=np.float32) / np.float32(255)
