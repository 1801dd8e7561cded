"""From a path to a segmentation data set."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from hwnas.data.decode import decode_each, labelled_picture
from hwnas.data.detection.parts import Frame
from hwnas.data.segmentation.folders import Listed, Pair, listed
from hwnas.data.segmentation.palette import UNKNOWN, mask_pixels
from hwnas.data.segmentation.parts import SegmentationData, SegmentationPart
from hwnas.data.split import divided
from hwnas.errors import DataError, ImageError
from hwnas.imaging.letterbox import Letterbox
from hwnas.imaging.opening import read_header
from hwnas.progress import Progress, silent

LONGEST, MULTIPLE, LOOKED_AT = 512, 32, 50


def load_segmentation(source: str | Path, *, size: tuple[int, int] | None = None, val_fraction: float = 0.2,
                      seed: int = 0, limit: int | None = None, progress: Progress = silent) -> SegmentationData:
    """Load images with masks into memory.

    Args:
        source: a folder in one of the layouts of folders.py.
        size: (height, width) of the network's input; images are letterboxed to it. None: the most common size, both
            sides rounded down to a multiple of 32, the longer at most 512.
        val_fraction: share of the images that validates where the source has no validation part of its own.
        seed: for the split and for `limit`.
        limit: use at most this many images, both parts together, in the proportions of the source.
        progress: told while images are decoded.

    Raises:
        DataError: anything wrong with the data; says which file and what to do.
    """
    found = listed(Path(source).expanduser())
    held = [pair.held_out for pair in found.pairs]
    held_out = None if None in held else np.array(held, bool)
    train, val = divided(len(held), held_out, val_fraction, limit, seed, found.source)
    chosen = np.concatenate([train, val])
    target = size or common_size(found.pairs)
    part = _decoded(found, [found.pairs[i] for i in chosen], target, progress)
    how = found.split or f"random split, {val_fraction:g} of the images validate, seed {seed}"
    if len(chosen) < len(held):
        how += f"; limited to {limit} of {len(held)} images, seed {seed}"
    order = np.arange(len(chosen))
    return SegmentationData(found.name, part.take(order[: len(train)]), part.take(order[len(train) :]),
                            found.palette.classes, found.palette.colours, target, found.source, how)


def common_size(pairs: tuple[Pair, ...]) -> tuple[int, int]:
    """The input size where none was asked for, from the headers of up to 50 images.

    Raises:
        DataError: an image that cannot be read.
    """
    sizes = Counter[tuple[int, int]]()
    for pair in pairs[:: max(1, len(pairs) // LOOKED_AT)]:
        try:
            sizes[read_header(pair.image).size] += 1
        except ImageError as err:
            raise DataError(f"{err}; replace or remove it") from err
    height, width = sizes.most_common(1)[0][0]
    scale = min(1.0, LONGEST / max(height, width))
    return tuple(max(MULTIPLE, int(side * scale) // MULTIPLE * MULTIPLE) for side in (height, width))  # type: ignore[return-value]


def _decoded(found: Listed, pairs: list[Pair], size: tuple[int, int], progress: Progress) -> SegmentationPart:
    images = np.empty((len(pairs), *size, 3), np.uint8)
    masks = np.empty((len(pairs), *size), np.uint8)
    frames: list[Frame | None] = [None] * len(pairs)
    table = found.palette.table

    def one(i: int) -> None:
        numbers = mask_pixels(pairs[i].mask)
        picture = labelled_picture(pairs[i].image, numbers.shape)
        height, width = picture.size
        if numbers.shape != (height, width):
            raise DataError(f"{pairs[i].mask} is {numbers.shape[1]}x{numbers.shape[0]} px, its image {width}x{height}; "
                            "make them the same size")
        classes = table[numbers]
        if (classes == UNKNOWN).any():
            wrong = np.unique(numbers[classes == UNKNOWN])
            raise DataError(f"{pairs[i].mask} holds the numbers {', '.join(map(str, wrong[:5]))}, which are no class; "
                            "known: " + ", ".join(map(str, found.palette.numbers)) + "; add them to classes.txt")
        box = Letterbox.fit(height, width, size)
        images[i], masks[i] = picture.letterboxed(box), box.mask(classes)
        frames[i] = Frame(pairs[i].image.name, pairs[i].image, height, width)

    decode_each(len(pairs), one, lambda i: pairs[i].image.name, progress, found.source)
    return SegmentationPart(images, masks, tuple(frame for frame in frames if frame is not None))
