"""What the numbers or colours in masks mean: classes with names and colours, and what does not matter.

symbol   meaning                                                   shape
numbers  number of each class in masks that hold numbers           (K,)
colours  colour of each class, in masks of colours or for pictures (K, 3)

How a file names them stands in palette_file.py. Without one every number that training masks hold is a class, and 255
does not matter; a file that names 255 makes it a class like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hwnas.data.colours import colours_apart
from hwnas.errors import DataError, ImageError
from hwnas.imaging.letterbox import IGNORE
from hwnas.imaging.picture import stored_image

Pixels = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

UNKNOWN = 254  # a number that no class has
MOST_CLASSES = 254  # 0..253: two numbers have another meaning
_NUMBERS = ("L", "P", "1", "I", "I;16")
_WAY_OUT = "a mask holds one class number a pixel (mode L or P), or the colours that classes.txt gives to its classes"
# Number, name, colour of the classes that Cityscapes judges (Cordts et al., CVPR 2016), in the order of its train ids.
_CITYSCAPES = (
    (7, "road", 128, 64, 128), (8, "sidewalk", 244, 35, 232), (11, "building", 70, 70, 70), (12, "wall", 102, 102, 156),
    (13, "fence", 190, 153, 153), (17, "pole", 153, 153, 153), (19, "traffic light", 250, 170, 30),
    (20, "traffic sign", 220, 220, 0), (21, "vegetation", 107, 142, 35), (22, "terrain", 152, 251, 152),
    (23, "sky", 70, 130, 180), (24, "person", 220, 20, 60), (25, "rider", 255, 0, 0), (26, "car", 0, 0, 142),
    (27, "truck", 0, 0, 70), (28, "bus", 0, 60, 100), (31, "train", 0, 80, 100), (32, "motorcycle", 0, 0, 230),
    (33, "bicycle", 119, 11, 32),
)


@dataclass(frozen=True)
class Palette:
    """Classes in order.

    Attributes:
        classes: names.
        colours: uint8 (K, 3).
        numbers: number of each class in the masks; empty where masks hold colours alone.
        ignored: numbers that do not matter.
        coloured: whether the colours are those of the masks, not made up for pictures.
        ignored_colours: colours that do not matter.
    """

    classes: tuple[str, ...]
    colours: Pixels
    numbers: tuple[int, ...]
    ignored: tuple[int, ...]
    coloured: bool = False
    ignored_colours: tuple[Colour, ...] = ()

    @property
    def table(self) -> Pixels:
        """What a number in a mask becomes: uint8 (256,); `UNKNOWN` for one that is not listed.

        255 does not matter, unless a class has it.
        """
        found = np.full(256, UNKNOWN, np.uint8)
        found[[*self.ignored, IGNORE]] = IGNORE
        found[list(self.numbers)] = np.arange(len(self.numbers))
        return found

    def classes_in(self, path: Path) -> Pixels:
        """The class of every pixel of a mask: uint8 (H, W), 255 where it does not matter.

        Raises:
            DataError: a mask that cannot be read, numbers or colours of no class.
        """
        mode, values = _stored(path, as_colours=not self.numbers)
        if values.ndim == 2:
            return self._of_numbers(path, values)
        if not self.coloured:
            raise DataError(f"{path} is in mode {mode}; {_WAY_OUT}")
        return self._of_colours(path, values)

    def _of_numbers(self, path: Path, values: Pixels) -> Pixels:
        found: Pixels = self.table[values]
        if (found == UNKNOWN).any():
            wrong = np.unique(values[found == UNKNOWN])
            raise DataError(f"{path} holds the numbers {', '.join(map(str, wrong[:5]))}, which are no class; known: "
                            f"{', '.join(map(str, self.numbers[:40]))}; add them to classes.txt")
        return found

    def _of_colours(self, path: Path, values: Pixels) -> Pixels:
        known = _packed(np.array([*self.colours.tolist(), *self.ignored_colours], np.uint8))
        order = np.argsort(known)
        wanted = _packed(values)
        place = np.minimum(np.searchsorted(known[order], wanted), len(known) - 1)
        right = known[order][place] == wanted
        if not right.all():
            wrong = np.unique(values[~right], axis=0)
            more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
            shown = ", ".join(str(tuple(colour)) for colour in wrong[:5].tolist())
            raise DataError(f"{path} holds the colours {shown}{more}, which are no class; add them to classes.txt, and "
                            "store masks as PNG")
        found: Pixels = np.where(order < len(self.classes), order, IGNORE).astype(np.uint8)[place]
        return found


def _packed(colours: Pixels) -> npt.NDArray[np.int64]:
    packed: npt.NDArray[np.int64] = np.asarray(colours, np.int64) @ np.array([65536, 256, 1])
    return packed


def _stored(path: Path, as_colours: bool) -> tuple[str, Pixels]:
    """The mode of a mask, and its numbers (H, W) or colours (H, W, 3)."""
    try:
        image = stored_image(path)
    except ImageError as err:
        raise DataError(f"{err}; export the mask again") from err
    mode = image.mode
    if mode in ("RGB", "RGBA") or (as_colours and mode in ("L", "P", "1")):
        return mode, np.asarray(image.convert("RGB"))
    if mode not in _NUMBERS:
        raise DataError(f"{path} is in mode {mode}; {_WAY_OUT}")
    values = np.asarray(image)
    if values.max(initial=0) > 255 or values.min(initial=0) < 0:
        raise DataError(f"{path} holds the number {values.max() if values.max() > 255 else values.min()}; a mask holds "
                        "0 to 255")
    return mode, values.astype(np.uint8)


def found_ids(masks: Sequence[Path]) -> Palette:
    """The numbers that the masks hold, as classes 'class 0', 'class 1', ...

    Raises:
        DataError: a mask that cannot be read or holds colours, or one number alone beside 255.
    """
    seen = np.zeros(256, bool)
    for mask in masks:
        mode, values = _stored(mask, as_colours=False)
        if values.ndim == 3:
            raise DataError(f"{mask} is in mode {mode}; {_WAY_OUT}: write one with a line 'name r g b' a class")
        seen[np.unique(values)] = True
    numbers = [int(n) for n in np.flatnonzero(seen) if n != IGNORE]
    if len(numbers) < 2 and seen[IGNORE]:
        told = f"{numbers[0]} and 255" if numbers else "255 alone"
        raise DataError(f"{masks[0].parent}: masks hold {told}, and 255 does not matter unless classes.txt names it: "
                        f"write one, like '{(*numbers, 0)[0]} background' and '255 lesion'")
    if len(numbers) > MOST_CLASSES:
        raise DataError(f"{masks[0].parent}: masks hold {len(numbers)} numbers; at most {MOST_CLASSES} classes are "
                        "told apart: name some 'ignore' in a classes.txt")
    return Palette(tuple(f"class {n}" for n in numbers), colours_for(len(numbers)), tuple(numbers), ())


def cityscapes(train_ids: bool) -> Palette:
    """The 19 classes that Cityscapes judges; every other number does not matter."""
    numbers = tuple(range(19)) if train_ids else tuple(row[0] for row in _CITYSCAPES)
    ignored = tuple(n for n in range(256) if n not in numbers)
    return Palette(tuple(row[1] for row in _CITYSCAPES), np.array([row[2:] for row in _CITYSCAPES], np.uint8), numbers,
                   ignored)


def colours_for(count: int) -> Pixels:
    """Colours far apart: uint8 (count, 3)."""
    return colours_apart(count, 0.8, (1.0, 0.7))
