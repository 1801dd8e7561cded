"""How an image becomes the input of a network: the one way for judging, predicting, bundles and servers.

A file of a network says nothing of it, so its user does. A wrong mean or a wrong crop costs points in silence (8.4 of
top-1 on one ImageNet network), so nothing is guessed: the contract is asked for, and held against the user's labels
where there are any. hwnas's own networks have one as well, with the mean 0 and the deviation 255: the rest is inside.

    mean: [127, 127, 127]        # of pixels 0..255, a number a channel, or one for all
    std: [128, 128, 128]
    colour: rgb                  # rgb, bgr, grey
    layout: nchw                 # nchw, nhwc
    fit: crop                    # crop (the square in the middle), letterbox (whole, grey around), stretch
    crop: 0.875                  # side of that square over the shorter side of the image

Travels in bundles: Python 3.8 and numpy.

symbol  meaning                              shape
x       input of the network, float32        (N, C, H, W) or (N, H, W, C)
pixels  of images, uint8, RGB or grey        (N, H, W, C)
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.documents import Record
from hwnas.errors import InputError
from hwnas.imaging.fitting import resized
from hwnas.imaging.letterbox import Letterbox

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hwnas.imaging.picture import Picture

    Floats = NDArray[np.float32]
    Pixels = NDArray[np.uint8]

LAYOUTS = ("nchw", "nhwc")
COLOURS = ("rgb", "bgr", "grey")
FITS = ("crop", "letterbox", "stretch")
KEYS = ("mean", "std", "colour", "layout", "fit", "crop")
MOST, LEAST = 1e6, 1e-6  # of a mean or a deviation; of a deviation


@dataclass(frozen=True)
class InputContract:
    """How an image becomes the input of a network: x = (pixel - mean) / std, pixels 0..255.

    Args:
        mean, std: a number a channel, in the order of the network's channels.
        colour: which channels, and in which order.
        layout: order of the axes.
        fit: how an image of another shape comes to the size of the input.
        crop: of fit `crop`: side of the square that is cut out of the middle, over the image's shorter side.

    Raises:
        InputError: numbers that contradict each other.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    colour: str = "rgb"
    layout: str = "nchw"
    fit: str = "crop"
    crop: float = 1.0

    def __post_init__(self) -> None:
        for name, value, known in (("colour", self.colour, COLOURS), ("layout", self.layout, LAYOUTS),
                                   ("fit", self.fit, FITS)):
            if value not in known:
                raise InputError(f"{name} must be one of {', '.join(known)}, not {value!r}")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, self.channels):
                raise InputError(f"{name} needs one number or {self.channels}, one a channel of {self.colour}; got "
                                 f"{len(values)}")
            worst = next((v for v in values if not abs(v) <= MOST), None)
            if worst is not None:
                raise InputError(f"{name} must be a number of at most {MOST:g}, not {worst:g}: it is of pixels 0..255")
        if min(self.std) < LEAST:
            raise InputError(f"std must be above 0 and at least {LEAST:g}, not {min(self.std):g}: it divides "
                             "the pixels")
        if not 0 < self.crop <= 1:
            raise InputError(f"crop must be above 0 and at most 1, not {self.crop:g}")
        raw = set(self.mean) == {0} and set(self.std) == {1}  # of a network that scales its pixels itself
        if max(self.std) < 2 and max(map(abs, self.mean)) < 2 and not raw:  # of pixels 0..1, as torchvision has them
            raise InputError(f"mean {self.mean[0]:g} and std {self.std[0]:g} are of pixels in 0..1; here pixels are "
                             f"0..255: give mean {255 * self.mean[0]:.6g} and std {255 * self.std[0]:.6g}")

    @property
    def channels(self) -> int:
        """How many the network takes."""
        return 1 if self.colour == "grey" else 3

    @classmethod
    def of(cls, values: Mapping[str, Any], where: str = "the input contract") -> InputContract:
        """From keys of the YAML, others are left alone; a number for a list of one.

        Raises:
            InputError: a key is missing, of another type or out of range; names `where`.
        """
        told = Record(values, where)

        def numbers(key: str) -> tuple[float, ...]:
            if isinstance(told.get(key), list):
                return tuple(told.items(key, told.number_of, 1, 4))
            return (told.number(key),)

        colour, layout, fit = (told.text(key, known[0], known) for key, known in (
            ("colour", COLOURS), ("layout", LAYOUTS), ("fit", FITS)))
        return cls(numbers("mean"), numbers("std"), colour, layout, fit, told.number("crop", default=1.0))

    @classmethod
    def inside(cls, channels: int, fit: str) -> InputContract:
        """Of a network that normalises by itself and is given pixels in 0..1, as those that hwnas makes."""
        return cls((0.0,), (255.0,), "grey" if channels == 1 else "rgb", "nchw", fit)

    def to_json(self) -> dict[str, Any]:
        """The keys of the YAML."""
        return asdict(self) | {"mean": list(self.mean), "std": list(self.std)}

    def size_of(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """(H, W) of an input of a shape.

        Raises:
            InputError: the shape is none of an image with these channels.
        """
        order = {"nchw": (1, 2, 3), "nhwc": (3, 1, 2)}[self.layout]
        if len(shape) != 4:
            raise InputError(f"the input has {len(shape)} dimensions {shape}, an image in {self.layout} has 4")
        channels, height, width = (shape[i] for i in order)
        if channels != self.channels:
            other = next((k for k in LAYOUTS if shape[{"nchw": 1, "nhwc": 3}[k]] == self.channels), None)
            way_out = f"give --layout {other}" if other else f"give --colour {'grey' if channels == 1 else 'rgb'}"
            raise InputError(f"the input {shape} has {channels} channels in {self.layout}, and {self.colour} has "
                             f"{self.channels}: {way_out}")
        return height, width

    def fitted(self, picture: Picture, size: tuple[int, int]) -> Pixels:
        """The pixels of an image that the network eats: uint8 (H, W, C).

        Args:
            size: (H, W) of the input.

        Raises:
            ImageError: its pixels are damaged.
        """
        if self.fit == "crop":
            return self._cropped(picture, size)
        if self.fit == "letterbox":
            found = picture.letterboxed(Letterbox.fit(*picture.size, size))
        else:
            image = picture.image()
            found = np.asarray(resized(image, size[::-1], (0, 0, *image.size)).convert("RGB"))
        return found if self.channels != 1 else grey_of(found)

    def _cropped(self, picture: Picture, size: tuple[int, int]) -> Pixels:
        """The middle of the image; of another shape than a square, cut out of the square."""
        whole = picture.square(round(max(size) / self.crop), self.channels)
        top, left = ((whole.shape[0] - edge) // 2 for edge in size)
        return whole[top:top + size[0], left:left + size[1]]

    def apply(self, pixels: Pixels) -> Floats:
        """Pixels of the input's size as the network wants them."""
        if self.colour == "grey" and pixels.shape[3] == 3:
            pixels = grey_of(pixels)
        if self.colour != "grey" and pixels.shape[3] == 1:
            pixels = np.repeat(pixels, 3, 3)
        if self.colour == "bgr":
            pixels = pixels[..., ::-1]
        # Turned while they are bytes: of large images that is the better part of the work.
        found = np.ascontiguousarray(pixels if self.layout == "nhwc" else pixels.transpose(0, 3, 1, 2), np.float32)
        axes = (1, 1, 1, -1) if self.layout == "nhwc" else (1, -1, 1, 1)
        if any(self.mean):
            found = found - np.array(self.mean, np.float32).reshape(axes)
        return found / np.array(self.std, np.float32).reshape(axes)


def grey_of(pixels: Pixels) -> Pixels:
    """RGB (..., 3) as grey (..., 1), weighed as by ITU-R BT.601."""
    weighed = pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    return np.rint(weighed).astype(np.uint8)[..., None]
