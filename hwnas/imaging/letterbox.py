"""An image of any shape in an input of a fixed one: its aspect is kept, what is left over is grey.

symbol  meaning                                              shape
size    height and width of the input, px                    (2,)
scale   input pixels for one of the original
left    first column of the image in the input; top alike
boxes   x0, y0, x1, y1 in pixels, of the input or the original  (n, 4)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.errors import UsageError
from hwnas.imaging.fitting import NEAREST, resized
from hwnas.imaging.opening import pillow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]
    Boxes = NDArray[np.float32]

GREY = 114
IGNORE = 255


@dataclass(frozen=True)
class Letterbox:
    """How an image lies in the input of a network.

    Attributes:
        height, width: of the original, px.
        size: (height, width) of the input, px.
    """

    height: int
    width: int
    size: tuple[int, int]

    @classmethod
    def fit(cls, height: int, width: int, size: tuple[int, int]) -> Letterbox:
        """For an original of height x width.

        Raises:
            UsageError: a side under 1.
        """
        if min(height, width, *size) < 1:
            raise UsageError(f"sides of an image must be 1 or more, not {height}x{width} in {size[0]}x{size[1]}")
        return cls(height, width, size)

    @property
    def scale(self) -> float:
        return min(self.size[0] / self.height, self.size[1] / self.width)

    @property
    def inner(self) -> tuple[int, int]:
        """Height and width of the image in the input, px."""
        return (min(self.size[0], max(1, round(self.height * self.scale))),
                min(self.size[1], max(1, round(self.width * self.scale))))

    @property
    def top(self) -> int:
        return (self.size[0] - self.inner[0]) // 2

    @property
    def left(self) -> int:
        return (self.size[1] - self.inner[1]) // 2

    def image(self, pixels: Any, reduced: int = 1) -> Pixels:
        """An image in the input: uint8 (*size, 3); bilinear, antialiased where it shrinks.

        Args:
            pixels: uint8 (height, width, 3), or a Pillow image in mode L or RGB.
            reduced: the image was decoded at 1 / `reduced` of its size, sides rounded up.
        """
        found = pillow().fromarray(pixels) if isinstance(pixels, np.ndarray) else pixels
        part = (0.0, 0.0, self.width / reduced, self.height / reduced)
        small = np.asarray(resized(found, self.inner[::-1], part))
        return self._placed(small if small.ndim == 3 else small[..., None], np.full((*self.size, 3), GREY, np.uint8))

    def mask(self, pixels: Pixels) -> Pixels:
        """A mask (height, width) of class numbers in the input: uint8 size, nearest, padded with 255."""
        small = pillow().fromarray(pixels).resize(self.inner[::-1], NEAREST)
        return self._placed(np.asarray(small), np.full(self.size, IGNORE, np.uint8))

    def mask_to_original(self, mask: Pixels) -> Pixels:
        """A mask of the input, uint8 size, for the original: uint8 (height, width)."""
        h, w = self.inner
        cut = np.ascontiguousarray(mask[self.top : self.top + h, self.left : self.left + w])
        if (h, w) == (self.height, self.width):
            return cut
        return np.asarray(pillow().fromarray(cut).resize((self.width, self.height), NEAREST))

    def to_input(self, boxes: Boxes) -> Boxes:
        """Boxes of the original in pixels of the input."""
        factor, shift = self._line
        moved: Boxes = (np.asarray(boxes, np.float32).reshape(-1, 4) * factor + shift).astype(np.float32)
        return moved

    def to_original(self, boxes: Boxes) -> Boxes:
        """Boxes of the input in pixels of the original, clipped to it."""
        factor, shift = self._line
        found = (np.asarray(boxes, np.float32).reshape(-1, 4) - shift) / factor
        limits = np.array([self.width, self.height] * 2, np.float32)
        clipped: Boxes = np.clip(found, 0, limits).astype(np.float32)
        return clipped

    @property
    def _line(self) -> tuple[Boxes, Boxes]:
        """Factor and shift of x, y, x, y: of the resized image, whose sides are whole pixels."""
        y, x = self.inner[0] / self.height, self.inner[1] / self.width
        return (np.array([x, y, x, y], np.float32),
                np.array([self.left, self.top, self.left, self.top], np.float32))

    def _placed(self, small: Pixels, canvas: Pixels) -> Pixels:
        h, w = self.inner
        canvas[self.top : self.top + h, self.left : self.left + w] = small
        return canvas
