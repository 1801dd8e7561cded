"""From an image to the input of a network and back, with numpy and Pillow; the same pixels as `hwnas predict` makes.

symbol  meaning                                                 shape
size    height and width of the input, px                       (2,)
boxes   x0, y0, x1, y1 in pixels, of the input or the original  (n, 4)
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.errors import InputError, MissingDependency

if TYPE_CHECKING:
    from hwnas.deploy.runner.bundle import Array

NEAREST, BILINEAR = 0, 2  # in Pillow's numbers, which are older than its names for them
GREY = 114


def pillow(module: str = "Image") -> Any:
    """A module of Pillow.

    Raises:
        MissingDependency: it is not installed.
    """
    try:
        return importlib.import_module(f"PIL.{module}")
    except ImportError as err:
        raise MissingDependency("Pillow", "reading images", "pip install pillow, or give a .npy of the input's size"
                                ) from err


def read_image(path: Path) -> Any:
    """A Pillow image, upright.

    Raises:
        InputError: the file is missing or no image.
        MissingDependency: Pillow is not installed.
    """
    image_module, ops = pillow(), pillow("ImageOps")
    try:
        with image_module.open(str(path)) as image:
            image.load()
            return ops.exif_transpose(image) or image  # before Pillow 6.1 it gave None
    except Exception as err:  # decoders raise nearly every type on damaged bytes
        raise InputError(f"{path} cannot be read as an image: {err}") from err


def read_array(path: Path, size: tuple[int, int], channels: int) -> Array:
    """A .npy of uint8 (H, W, C) or (H, W) that has the size of the input already.

    Raises:
        InputError: another size or type, or no array.
    """
    try:
        found = np.load(str(path), allow_pickle=False)
    except Exception as err:  # numpy raises nearly every type on damaged bytes
        raise InputError(f"{path} cannot be read as an array: {err}") from err
    found = found[..., None] if found.ndim == 2 else found
    if found.dtype != np.uint8 or found.shape != (*size, channels):
        raise InputError(f"{path} must hold uint8 {(*size, channels)}, not {found.dtype} {found.shape}: "
                         "resize it before, or give an image file")
    return np.ascontiguousarray(found)


def cropped(image: Any, size: tuple[int, int], channels: int) -> Array:
    """Shorter side to the input's, centre crop of the longer: uint8 (*size, channels)."""
    image = image.convert("L" if channels == 1 else "RGB")
    side = size[0]
    width, height = image.size
    if not width == height == side:
        short = min(width, height)
        left, top = (width - short) / 2, (height - short) / 2
        image = image.resize((side, side), BILINEAR, box=(left, top, left + short, top + short))
    return np.asarray(image).reshape(side, side, channels)


def to_input(images: Array) -> Array:
    """uint8 (N, H, W, C) -> float32 (N, C, H, W) in 0..1."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2), dtype=np.float32) / np.float32(255)


class Letterbox:
    """How an image of height x width lies in an input of another shape: aspect kept, the rest grey."""

    def __init__(self, height: int, width: int, size: tuple[int, int]) -> None:
        self.height, self.width, self.size = height, width, size
        scale = min(size[0] / height, size[1] / width)
        self.inner = (min(size[0], max(1, round(height * scale))), min(size[1], max(1, round(width * scale))))
        self.top, self.left = (size[0] - self.inner[0]) // 2, (size[1] - self.inner[1]) // 2

    def image(self, image: Any) -> Array:
        """A Pillow image in the input: uint8 (*size, 3)."""
        (h, w), image = self.inner, image.convert("RGB")
        canvas = np.full((*self.size, 3), GREY, np.uint8)
        resized = image if image.size == (w, h) else image.resize((w, h), BILINEAR)
        canvas[self.top : self.top + h, self.left : self.left + w] = np.asarray(resized)
        return canvas

    def boxes(self, boxes: Array) -> Array:
        """Boxes of the input in pixels of the original, clipped to it."""
        y, x = self.inner[0] / self.height, self.inner[1] / self.width
        shift = np.array([self.left, self.top, self.left, self.top], np.float32)
        found = (boxes.reshape(-1, 4) - shift) / np.array([x, y, x, y], np.float32)
        clipped: Array = np.clip(found, 0, np.array([self.width, self.height] * 2, np.float32)).astype(np.float32)
        return clipped

    def mask(self, mask: Array) -> Array:
        """A mask of the input, uint8 size, for the original: uint8 (height, width)."""
        h, w = self.inner
        cut = np.ascontiguousarray(mask[self.top : self.top + h, self.left : self.left + w])
        if (h, w) == (self.height, self.width):
            return cut
        return np.asarray(pillow().fromarray(cut).resize((self.width, self.height), NEAREST))
