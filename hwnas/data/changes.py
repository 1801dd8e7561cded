"""A random change of one image: colours, then scale and shift, then a mirror.

Random numbers are drawn first, image by image, and the pixels are computed afterwards: so a batch may be computed in
several threads and is the same with any number of them.

symbol  meaning
H, W    sides of the image, px; it has them before and after
s       factor of the scale
h, w    sides after scaling, px
y, x    where the scaled image's first row and column come to lie; negative where it is cut
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from hwnas.imaging.letterbox import GREY, IGNORE


@dataclass(frozen=True)
class Place:
    """Where an image comes to lie: scaled about the origin, then shifted.

    A larger image is cut at random, a smaller one placed at random.
    """

    h: int
    w: int
    y: int
    x: int

    @classmethod
    def drawn(cls, rng: np.random.Generator, size: tuple[int, int], scale: tuple[float, float]) -> Place:
        """Of an image of `size` (H, W), with s between the two of `scale`, evenly in log s."""
        height, width = size
        s = float(np.exp(rng.uniform(*np.log(scale))))
        h, w = max(1, round(height * s)), max(1, round(width * s))
        y, x = (int(rng.integers(min(0, room), max(0, room) + 1)) for room in (height - h, width - w))
        return cls(h, w, y, x)

    def put(self, image: Image.Image, how: Image.Resampling, blank: int) -> Image.Image:
        """The image there; what comes in at its border is `blank` in every channel."""
        out = Image.new(image.mode, image.size, (blank,) * 3 if image.mode == "RGB" else blank)
        out.paste(image.resize((self.w, self.h), how), (self.x, self.y))
        return out

    def boxes(self, boxes: npt.NDArray[np.float32], size: tuple[int, int]) -> npt.NDArray[np.float32]:
        """Boxes (n, 4) of an image of `size` (H, W), there; they may reach beyond its border."""
        height, width = size
        factor, shift = np.array([self.w / width, self.h / height] * 2, np.float32), np.array([self.x, self.y] * 2)
        return (boxes * factor + shift.astype(np.float32)).astype(np.float32)


@dataclass(frozen=True)
class Change:
    """What is done to one image.

    Attributes:
        table: new values of the 256 levels of red, of green and of blue; None leaves the colours.
        place: None leaves it where it is.
        mirrored: left and right change places, last.
    """

    table: list[int] | None
    place: Place | None
    mirrored: bool

    @classmethod
    def drawn(cls, rng: np.random.Generator, size: tuple[int, int], *, jitter: float, scale: tuple[float, float],
              flip: bool) -> Change:
        """Of an image of `size` (H, W).

        Args:
            jitter: contrast, brightness and tint change by at most this share.
            scale: smallest and largest factor of the size.
            flip: mirror with probability one half.
        """
        table = _table(rng, jitter) if jitter else None
        place = Place.drawn(rng, size, scale) if scale != (1.0, 1.0) else None
        return cls(table, place, flip and bool(rng.random() < 0.5))

    def image(self, image: Image.Image) -> Image.Image:
        """The changed copy of an RGB image; colours change before anything grey comes in, which a network sees."""
        # Pillow looks bytes up as they are; numpy would make indices of eight bytes of each first.
        return self._moved(image.point(self.table) if self.table else image, Image.Resampling.BILINEAR, GREY)

    def mask(self, mask: Image.Image) -> Image.Image:
        """A mask moved as the image is; its values stay, and what comes in does not matter."""
        return self._moved(mask, Image.Resampling.NEAREST, IGNORE)

    def _moved(self, image: Image.Image, how: Image.Resampling, blank: int) -> Image.Image:
        moved = self.place.put(image, how, blank) if self.place else image
        return moved.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if self.mirrored else moved


def _table(rng: np.random.Generator, share: float) -> list[int]:
    contrast = 1 + rng.uniform(-share, share)
    shift = 255 * rng.uniform(-share, share) / 2
    tint = rng.uniform(-share, share, 3) / 4
    levels = np.arange(256)[:, None]
    table = np.clip((levels - 127.5) * contrast * (1 + tint) + 127.5 + shift, 0, 255).astype(np.uint8)
    found: list[int] = table.T.ravel().tolist()
    return found
