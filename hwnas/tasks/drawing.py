"""Pictures of answers: boxes with their names, masks in colours. Lines and letters grow with the picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from hwnas.data.colours import colours_apart
from hwnas.errors import InputError
from hwnas.imaging.letterbox import IGNORE
from hwnas.tasks.nms import Detections

Images = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]
Corners = tuple[float, float, float, float]

_BRIGHTNESS = (1.0, 0.72, 0.88)
_DARK, _LIGHT = (0, 0, 0), (255, 255, 255)


def colours(count: int) -> Images:
    """Colours that are easily told apart, the same for the same place: uint8 (count, 3)."""
    return colours_apart(count, 0.85, _BRIGHTNESS)


def draw_boxes(image: Images, found: Detections, classes: Sequence[str]) -> Images:
    """A copy of the image with a box, a name and a score in percent for each detection; the best are on top.

    A score of 1 is left out: only the truth has it.

    Args:
        image: uint8 (H, W, 3).
        found: detections in px of this image.
        classes: names in label order.

    Raises:
        InputError: not an image, or a label without a name.
    """
    _check(image)
    if len(found) and found.labels.max() >= len(classes):
        raise InputError(f"label {found.labels.max()} has no name: {len(classes)} classes were given")
    canvas = Image.fromarray(image)
    pen, shades = _Pen(canvas), [(int(r), int(g), int(b)) for r, g, b in colours(len(classes))]
    rows = zip(found.boxes.tolist(), found.scores.tolist(), found.labels.tolist(), strict=True)
    for (x0, y0, x1, y1), score, label in reversed(list(rows)):
        left, top = min(x0, x1), min(y0, y1)
        pen.frame((left, top, max(x0, x1), max(y0, y1)), shades[label])
        pen.name((left, top), classes[label] + (f" {score:.0%}" if score < 1 else ""), shades[label])
    return np.array(canvas)


def draw_mask(image: Images, mask: Images, palette: Images, *, opacity: float = 0.5, ignore: int = IGNORE) -> Images:
    """A copy of the image with each class in its colour; pixels of class `ignore` stay as they are.

    Args:
        image: uint8 (H, W, 3).
        mask: uint8 (H, W), class of every pixel.
        palette: uint8 (K, 3), colour of every class.
        opacity: of the colours, 0 to 1.

    Raises:
        InputError: not an image, a mask of another size, or a class without a colour.
    """
    _check(image)
    if mask.shape != image.shape[:2]:
        raise InputError(f"a mask of {mask.shape} cannot be drawn on an image of {image.shape[:2]}")
    drawn = mask != ignore
    if drawn.any() and mask[drawn].max() >= len(palette):
        raise InputError(f"class {mask[drawn].max()} has no colour: the palette holds {len(palette)}")
    out, below = image.copy(), image[drawn].astype(np.float32)
    out[drawn] = np.rint(below + opacity * (palette[mask[drawn]] - below))
    return out


class _Pen:
    """Draws on a picture, with lines of 1/200 and letters of 1/36 of its shorter side, and never too small to read."""

    def __init__(self, canvas: Image.Image) -> None:
        shorter = min(canvas.size)
        self.draw, self.room = ImageDraw.Draw(canvas), canvas.size
        self.line = max(2, round(shorter / 200))
        self.font = ImageFont.load_default(size=max(11, round(shorter / 36)))

    def frame(self, corners: Corners, colour: Colour) -> None:
        self.draw.rectangle(corners, outline=colour, width=self.line)

    def name(self, corner: tuple[float, float], text: str, colour: Colour) -> None:
        """Text on a ground of the colour: above the corner, or below it at the picture's top; whole if it fits."""
        left, top, right, bottom = self.draw.textbbox((0, 0), text, font=self.font)
        wide, high = right - left + 2 * self.line, bottom - top + 2 * self.line
        x = max(0, min(corner[0], self.room[0] - wide))
        y = corner[1] - high if corner[1] >= high else corner[1]
        y = max(0, min(y, self.room[1] - high))
        self.draw.rectangle((x, y, x + wide, y + high), fill=colour)
        self.draw.text((x + self.line - left, y + self.line - top), text, font=self.font, fill=_ink(colour))


def _ink(ground: Colour) -> Colour:
    """Black or white, whichever is read more easily on the ground (luma of Rec. ITU-R BT.601)."""
    red, green, blue = ground
    return _DARK if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else _LIGHT


def _check(image: Images) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise InputError(f"an image to be drawn on must be uint8 (H, W, 3), not {image.dtype.name} {image.shape}")
