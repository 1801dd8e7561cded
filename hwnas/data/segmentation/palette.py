"""What the numbers in masks mean: classes with names and colours, and numbers that do not matter.

A palette file lies beside the data, `classes.txt`: a line a class, `id name r g b`, the colour may be left out; the
name `ignore` (or void, unlabelled) marks numbers that do not matter. Without one every number that training masks hold
is a class, and 255 does not matter.
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

IGNORED = ("ignore", "void", "unlabelled", "unlabeled")
UNKNOWN = 254  # a number that no class has
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
        numbers: number of each class in the masks.
        ignored: numbers that do not matter.
    """

    classes: tuple[str, ...]
    colours: Pixels
    numbers: tuple[int, ...]
    ignored: tuple[int, ...]

    @property
    def table(self) -> Pixels:
        """What a number in a mask becomes: uint8 (256,); `UNKNOWN` for one that is not listed."""
        found = np.full(256, UNKNOWN, np.uint8)
        found[list(self.numbers)] = np.arange(len(self.numbers))
        found[[*self.ignored, IGNORE]] = IGNORE
        return found


def read_palette(folder: Path) -> Palette | None:
    """The palette of a data set, or None where it has no classes.txt.

    Raises:
        DataError: a line that cannot be read, or a number that is there twice.
    """
    file = folder / "classes.txt"
    if not file.is_file():
        return None
    try:
        lines = file.read_text("utf-8").splitlines()
    except UnicodeDecodeError as err:
        raise DataError(f"{file} is not UTF-8 text ({err.reason} at byte {err.start}); store it as UTF-8") from err
    rows = [(number, line.split()) for number, line in enumerate(lines, 1)
            if line.strip() and not line.lstrip().startswith("#")]
    found = [_row(words, f"{file}: line {number}") for number, words in rows]
    numbers = [number for number, *_ in found]
    if len(set(numbers)) < len(numbers):
        raise DataError(f"{file}: a number is there twice; every class needs one of its own")
    kept = [row for row in found if row[1].lower() not in IGNORED]
    names = [row[1] for row in kept]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{file}: two classes are called {twice!r}; rename one")
    plain = colours_for(len(kept))
    shades = [row[2] or tuple(plain[i].tolist()) for i, row in enumerate(kept)]
    return Palette(tuple(row[1] for row in kept), np.array(shades, np.uint8).reshape(-1, 3),
                   tuple(row[0] for row in kept), tuple(row[0] for row in found if row[1].lower() in IGNORED))


def _row(words: Sequence[str], where: str) -> tuple[int, str, tuple[int, ...] | None]:
    try:
        number, colour = int(words[0]), None
        name = list(words[1:])
        if len(name) > 3 and all(word.isdigit() for word in name[-3:]):
            name, colour = name[:-3], tuple(int(word) for word in name[-3:])
        if not name or not 0 <= number <= 255 or (colour and max(colour) > 255):
            raise ValueError
    except (ValueError, IndexError) as err:
        raise DataError(f"{where} must be 'id name' or 'id name r g b' with numbers of 0 to 255, not "
                        f"{' '.join(words)[:60]!r}") from err
    return number, " ".join(name), colour


def found_ids(masks: Sequence[Path]) -> Palette:
    """The numbers that the masks hold, as classes 'class 0', 'class 1', ...

    Raises:
        DataError: a mask that cannot be read.
    """
    seen = np.zeros(256, bool)
    for mask in masks:
        seen[np.unique(mask_pixels(mask))] = True
    numbers = [int(n) for n in np.flatnonzero(seen) if n != IGNORE]
    return Palette(tuple(f"class {n}" for n in numbers), colours_for(len(numbers)), tuple(numbers), ())


def cityscapes(train_ids: bool) -> Palette:
    """The 19 classes that Cityscapes judges; every other number does not matter."""
    numbers = tuple(range(19)) if train_ids else tuple(row[0] for row in _CITYSCAPES)
    ignored = tuple(n for n in range(256) if n not in numbers)
    return Palette(tuple(row[1] for row in _CITYSCAPES), np.array([row[2:] for row in _CITYSCAPES], np.uint8), numbers,
                   ignored)


def mask_pixels(path: Path) -> Pixels:
    """The class numbers in a PNG of mode L, P, 1 or I: uint8 (H, W).

    Raises:
        DataError: colours instead of numbers, numbers above 255, or no image.
    """
    try:
        image = stored_image(path)
    except ImageError as err:
        raise DataError(f"{err}; export the mask again") from err
    mode, values = image.mode, np.asarray(image)
    if mode not in ("L", "P", "1", "I", "I;16"):
        raise DataError(f"{path} is in mode {mode}; a mask holds one class number a pixel (mode L or P), no colours")
    if values.max(initial=0) > 255:
        raise DataError(f"{path} holds the number {values.max()}; a mask holds 0 to 255")
    return np.asarray(values, np.uint8)


def colours_for(count: int) -> Pixels:
    """Colours far apart: uint8 (count, 3)."""
    return colours_apart(count, 0.8, (1.0, 0.7))
