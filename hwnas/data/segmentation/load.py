"""From a path to a segmentation data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hwnas.data.detection.parts import Frame
from hwnas.data.encoded import LetterboxedSource, MaskSource
from hwnas.data.location import source_path
from hwnas.data.memory import allowed, opened
from hwnas.data.notes import told_unseen
from hwnas.data.segmentation.folders import LAYOUTS, Listed, listed
from hwnas.data.segmentation.pairs import Pair
from hwnas.data.segmentation.parts import SegmentationData, SegmentationPart, counts_of
from hwnas.data.split import divided
from hwnas.data.turning import Size, headers, turned
from hwnas.data.views import lazily
from hwnas.errors import DataError, ImageError
from hwnas.imaging.opening import read_header
from hwnas.progress import Progress, silent

LONGEST, MULTIPLE, LOOKED_AT = 512, 32, 50


def load_segmentation(source: str | Path, *, size: tuple[int, int] | None = None, val_fraction: float = 0.2,
                      seed: int = 0, limit: int | None = None, memory: int | None = None,
                      progress: Progress = silent) -> SegmentationData:
    """Load images with masks. Masks are decoded in any case, since only their pixels tell what they hold.

    Args:
        source: a folder in one of the layouts of folders.py.
        size: (height, width) of the network's input; images are letterboxed to it. None: the most common size, both
            sides rounded down to a multiple of 32, the longer at most 512.
        val_fraction: share of the images that validates where the source has no validation part of its own.
        seed: for the split and for `limit`.
        limit: use at most this many images, both parts together, in the proportions of the source.
        memory: bytes that decoded images may take, as of `hwnas.data.load`.
        progress: told while images are decoded.

    Raises:
        DataError: anything wrong with the data; says which file and what to do.
    """
    path, _ = source_path(source, f"a folder in one of these layouts: {LAYOUTS}")
    found = listed(path)
    notes = found.notes
    held = [pair.held_out for pair in found.pairs]
    held_out = None if None in held else np.array(held, bool)
    train, val = divided(len(held), held_out, val_fraction, limit, seed, found.source)
    chosen = [found.pairs[i] for i in np.concatenate([train, val])]
    target = size or common_size(found.pairs)
    told = [header.size if header else None for header in headers([pair.mask for pair in chosen], silent)]
    images = headers([pair.image for pair in chosen], progress)
    upright = turned([pair.image.name for pair in chosen], images, told, notes)
    sizes = [(header.upright if up else header.size) if header else None
             for header, up in zip(images, upright, strict=True)]
    _check_sizes(chosen, sizes, told)
    part = _part(found, chosen, upright, sizes, target, memory, progress)
    how = found.split or f"random split, {val_fraction:g} of the images validate, seed {seed}"
    if len(chosen) < len(held):
        how += f"; limited to {limit} of {len(held)} images, seed {seed}"
    order = np.arange(len(chosen))
    data = SegmentationData(found.name, part.take(order[: len(train)]), part.take(order[len(train) :]),
                            found.palette.classes, found.palette.colours, target, found.source, how, notes.told())
    return data.with_notes(told_unseen(data.classes, data.shares(data.train), data.shares(data.val), "pixel"))


def common_size(pairs: tuple[Pair, ...]) -> tuple[int, int]:
    """The input size where none was asked for, from the headers of up to 50 masks, which are as large as their images.

    Raises:
        DataError: a mask that cannot be read.
    """
    sizes = Counter[tuple[int, int]]()
    for pair in pairs[:: max(1, len(pairs) // LOOKED_AT)]:
        try:
            sizes[read_header(pair.mask).size] += 1
        except ImageError as err:
            raise DataError(f"{err}; replace or remove it") from err
    height, width = sizes.most_common(1)[0][0]
    scale = min(1.0, LONGEST / max(height, width))
    return tuple(max(MULTIPLE, int(side * scale) // MULTIPLE * MULTIPLE) for side in (height, width))  # type: ignore[return-value]


def _check_sizes(pairs: Sequence[Pair], images: Sequence[Size | None], masks: Sequence[Size | None]) -> None:
    """Masks are as large as their images; what cannot be read is told with all the others when it is decoded."""
    for pair, image, mask in zip(pairs, images, masks, strict=True):
        if image and mask and image != mask:
            raise DataError(f"{pair.mask} is {mask[1]}x{mask[0]} px, its image {image[1]}x{image[0]}; make them the "
                            "same size")


def _part(found: Listed, pairs: Sequence[Pair], upright: Sequence[bool], sizes: Sequence[Size | None], size: Size,
          memory: int | None, progress: Progress) -> SegmentationPart:
    palette, names = found.palette, [pair.image.name for pair in pairs]
    meaning = f"{palette.classes} {palette.colours.tolist()} {palette.numbers} {palette.ignored}"
    masks = MaskSource([pair.mask for pair in pairs], found.source, size, palette.classes_in, meaning)
    images = LetterboxedSource([pair.image for pair in pairs], names, found.source, size, upright)
    within = allowed() if memory is None else memory
    pixels, truth = opened(images, size, within * 3 // 4, progress), opened(masks, size, within // 4)
    frames = [Frame(pair.image.name, pair.image, *(told or (1, 1))) for pair, told in zip(pairs, sizes, strict=True)]
    part = SegmentationPart(lazily(pixels), lazily(truth), tuple(frames))
    part.__dict__["counts"] = counts_of(truth, progress)
    return part
