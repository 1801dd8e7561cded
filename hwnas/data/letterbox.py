"""An image of any shape in an input of a fixed one: its aspect is kept, what is left over is grey.

symbol  meaning                                              shape
size    height and width of the input, px                    (2,)
scale   input pixels for one of the original
left    first column of the image in the input; top alike
boxes   x0, y0, x1, y1 in pixels, of the input or the original  (n, 4)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from hwnas.errors import UsageError

Pixels = npt.NDArray[np.uint8]
Boxes = npt.NDArray[np.float32]

GREY = 114
IGNORE = 255
_LINEAR, _NEAREST = Image.Resampling.BILINEAR, Image.Resampling.NEAREST


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

    def image(self, pixels: Pixels | Image.Image) -> Pixels:
        """The image (height, width, 3) in the input: uint8 (*size, 3); bilinear, antialiased where it shrinks."""
        found = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
        return self._placed(found.convert("RGB"), _LINEAR, np.full((*self.size, 3), GREY, np.uint8))

    def mask(self, pixels: Pixels) -> Pixels:
        """A mask (height, width) of class numbers in the input: uint8 size, nearest, padded with 255."""
        return self._placed(Image.fromarray(pixels), _NEAREST, np.full(self.size, IGNORE, np.uint8))

    def mask_to_original(self, mask: Pixels) -> Pixels:
        """A mask of the input, uint8 size, for the original: uint8 (height, width)."""
        h, w = self.inner
        cut = np.ascontiguousarray(mask[self.top : self.top + h, self.left : self.left + w])
        return np.asarray(Image.fromarray(cut).resize((self.width, self.height), _NEAREST))

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

    def _placed(self, image: Image.Image, how: Image.Resampling, canvas: Pixels) -> Pixels:
        h, w = self.inner
        resized = image if image.size == (w, h) else image.resize((w, h), how)
        canvas[self.top : self.top + h, self.left : self.left + w] = np.asarray(resized)
        return canvas
