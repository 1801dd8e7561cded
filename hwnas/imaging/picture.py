"""A stored image, and the array that a network eats of it: the one way for training, predicting, bundles and servers.

A JPEG can be decoded at a half, a quarter or an eighth of its size for a part of the work. How far is a function of
its size, of the network's input and of how it is fitted, so it is the same wherever an image comes by.

symbol   meaning                                              shape
S        side of a square input, px
C        1 grey, 3 RGB
reduced  1, 2, 4 or 8: sides are decoded at 1 / reduced
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.errors import ImageError
from hwnas.imaging.fitting import square
from hwnas.imaging.opening import (
    FORMATS,
    MOST_PIXELS,
    Header,
    begun,
    header_of,
    line_of,
    opened,
    orientation_of,
    pillow,
    read_image_bytes,
    telling,
)
from hwnas.imaging.plain import plain, raw_mode, turned

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from hwnas.imaging.letterbox import Letterbox

    Pixels = NDArray[np.uint8]

_SCALES = (8, 4, 2)
_REDUCIBLE = ("JPEG", "MPO")
_READ_ON = ("JPEG", "PNG")  # formats whose header leaves the decoder where a new one would be


class Picture:
    """An encoded image whose header was read; pixels are decoded when they are asked for.

    Args:
        data: of the file.
        name: for messages.
        upright: turn it as EXIF says; False leaves it as stored, for labels that were made on stored pixels.
        formats: that are accepted, some of `opening.FORMATS`.
        most_pixels: that its header may announce.

    Attributes:
        header: what it says of itself.

    Raises:
        ImageError: no image, too many pixels, or damaged. So do the methods, where only the pixels are damaged.
        MissingDependency: Pillow is not installed.
    """

    def __init__(self, data: bytes, name: str = "the image", *, upright: bool = True,
                 formats: tuple[str, ...] = FORMATS, most_pixels: int = MOST_PIXELS) -> None:
        self._data, self.name, self._upright = data, name, upright
        self._formats, self._most_pixels = formats, most_pixels
        with telling(name, formats, most_pixels):
            image = begun(io.BytesIO(data), name, formats, most_pixels)
            self.header: Header = header_of(image)
        self._begun = [image] if self.header.format in _READ_ON and image.tile else []

    @classmethod
    def read(cls, path: Path, *, upright: bool = True) -> Picture:
        """Of a file.

        Raises:
            ImageError: it cannot be read.
        """
        return cls(read_image_bytes(path), str(path), upright=upright)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, px; upright, unless it is left as stored."""
        return self.header.upright if self._upright else self.header.size

    @property
    def grey(self) -> bool:
        """Whether it holds no colour, by its mode and not by its pixels."""
        return self.header.grey

    def image(self) -> Any:
        """The whole image: a Pillow image in mode L or RGB."""
        return self._decoded(1)

    def pixels(self) -> Pixels:
        """The whole image in RGB: uint8 (H, W, 3)."""
        return np.asarray(self.image().convert("RGB"))

    def square(self, side: int, channels: int | None = None) -> Pixels:
        """Shorter side to `side`, centre crop of the longer: uint8 (S, S, C).

        Args:
            channels: 1 or 3; None keeps grey grey.
        """
        reduced = self._reduction(side / min(self.size))
        image = self._decoded(reduced)
        if channels == 1 and image.mode != "L":
            image = image.convert("L")
        found = np.asarray(square(image, side, self.size, reduced)).reshape(side, side, -1)
        return found if channels in (None, found.shape[2]) else np.repeat(found, 3, 2)

    def letterboxed(self, box: Letterbox) -> Pixels:
        """In an input of another shape, grey around: uint8 (*box.size, 3)."""
        reduced = self._reduction(box.scale)
        return box.image(self._decoded(reduced), reduced)

    def _reduction(self, scale: float) -> int:
        """How far the sides may be halved where the image is needed at `scale` of its size: never under that."""
        if self.header.format not in _REDUCIBLE:
            return 1
        turned = self._upright and self.header.orientation > 1
        # Decoders round sides up, and what they add lies at the right and below; turned it would lie elsewhere.
        whole = [by for by in _SCALES if not turned or not any(side % by for side in self.size)]
        return next((by for by in whole if by * scale <= 1), 1)

    def _decoded(self, reduced: int) -> Any:
        with telling(self.name, self._formats, self._most_pixels), self._opened() as image:
            if reduced > 1:
                image.draft(None, tuple(side // reduced for side in image.size))
            raw = raw_mode(image)
            image.load()
            return plain(turned(image, self.header.orientation, self._upright), raw)

    def _opened(self) -> Any:
        """The image whose header was read, the first time: a header is a third of what a small JPEG takes."""
        try:
            return self._begun.pop()
        except IndexError:
            return begun(io.BytesIO(self._data), self.name, self._formats, self._most_pixels)


class Decoded(Picture):
    """Pixels that are decoded already, as the frames of a video are.

    Args:
        image: a Pillow image of any mode, or uint8 (H, W, 3); upright.
    """

    def __init__(self, image: Any, name: str = "the image") -> None:
        self.name, self._upright = name, True
        found = pillow().fromarray(image) if isinstance(image, np.ndarray) else image
        self._image = _plain(found, name)
        self.header = Header(found.width, found.height, 1, found.mode, "")

    def _decoded(self, reduced: int) -> Any:
        return self._image


def _plain(image: Any, name: str) -> Any:
    try:
        return plain(image)
    except ValueError as err:
        raise ImageError(name, line_of(err)) from err


def stored_image(path: Path) -> Any:
    """The pixels of a file as they are stored, in the file's own mode, for masks: a Pillow image, loaded.

    Raises:
        ImageError: it cannot be read.
    """
    with opened(io.BytesIO(read_image_bytes(path)), str(path)) as image:
        orientation = orientation_of(image)
        image.load()
        return turned(image, orientation, upright=False)
