"""The user's images as a trained network is given them: some to fit and to calibrate with, others to judge with.

Data of hwnas's formats keep their parts: training images fit, validation images judge. So do two folders of images that
are called by parts, DIR/train/* and DIR/val/*. A folder that holds images alone is split by seed; nobody need have
labels.

symbol  meaning                                    shape
n       images of one part
x       inputs, float32                            (n, C, H, W) or (n, H, W, C)
labels  class of every image, -1 without labels    (n,)
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.data.encoded import EncodedSource
from hwnas.data.partnames import TRAIN, VAL, parts_among
from hwnas.data.source import ArraySource, Indices, Pixels, Size, Source, Subset
from hwnas.errors import DataError, UsageError
from hwnas.imaging.contract import InputContract
from hwnas.imaging.listing import list_images
from hwnas.imaging.picture import Picture

Floats = NDArray[np.float32]

FEWEST = 8  # images in all: with fewer no part could be judged
MOST_HELD = 2**29  # bytes of decoded images of one part
JUDGED = 0.4  # share of unlabelled images that judge


@dataclass(frozen=True)
class Examples:
    """Images of one part.

    Args:
        source: where their pixels come from.
        indices: which of it.
        labels: int64, -1 where there are none.
        contract: how they become inputs.
        size: (H, W) of the input.
    """

    source: Source
    indices: Indices
    labels: NDArray[np.int64]
    contract: InputContract
    size: Size

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def labelled(self) -> bool:
        """Whether every image has a class."""
        return bool(len(self.labels)) and int(self.labels.min()) >= 0

    def pixels(self, places: Sequence[int] | NDArray[Any] | slice) -> Pixels:
        """Of some of the images, of the input's size: uint8 (n, H, W, C)."""
        return self.source.read(self.indices[places], self.size, self.contract.channels)

    def inputs(self, places: Sequence[int] | NDArray[Any] | slice) -> Floats:
        """Inputs of some of the images."""
        return self.contract.apply(self.pixels(places))

    def batches(self, batch: int) -> Iterator[Floats]:
        """All inputs in order, `batch` at a time; the last may be fewer."""
        for start in range(0, len(self), batch):
            yield self.inputs(slice(start, start + batch))

    def held(self, most: int = MOST_HELD) -> Examples:
        """The same, decoded once and kept where that takes at most so many bytes; what is asked for often is."""
        wanted = len(self) * self.size[0] * self.size[1] * self.contract.channels
        if wanted > most or isinstance(self.source, ArraySource):
            return self
        pixels = self.source.read(self.indices, self.size, self.contract.channels)
        return replace(self, source=ArraySource(pixels, self.source.where, size=self.size),
                       indices=np.arange(len(self)))

    def take(self, count: int, seed: int = 0) -> Examples:
        """At most so many of them, drawn by seed, in their order."""
        if count >= len(self):
            return self
        places = np.sort(np.random.default_rng(seed).permutation(len(self))[:count])
        return Examples(self.source, self.indices[places], self.labels[places], self.contract, self.size)


class FittedSource(EncodedSource):
    """Encoded images, fitted as a contract says.

    Args:
        inner: names and bytes.
        contract: how.
        size: (H, W) of the input.
    """

    def __init__(self, inner: EncodedSource, contract: InputContract, size: Size) -> None:
        super().__init__(inner.fetch, len(inner), inner.where, inner.labelled)
        self._contract, self._size = contract, size

    @property
    def size(self) -> Size:
        return self._size

    def fitted(self, index: int, picture: Picture, size: Size, channels: int | None) -> Pixels:
        return self._contract.fitted(picture, size)


def unlabelled(folder: Path, contract: InputContract, size: Size, seed: int = 0,
               limit: int | None = None) -> tuple[Examples, Examples]:
    """Images of a folder that has no classes: those that fit, and those that judge.

    Raises:
        DataError: no images, or fewer than eight; of two folders, fewer than four in one.
    """
    names = [str(path) for path in list_images(folder).images]
    most = len(names) if limit is None else min(limit, len(names))
    if most < FEWEST:
        raise DataError(f"{folder}: {most} images; to fit and to judge {FEWEST} are the least, a few hundred are what "
                        "it takes: give more")
    order, held = np.random.default_rng(seed).permutation(len(names)), _held_out(names)
    if held is None:
        judged = max(FEWEST // 2, round(JUDGED * most))
        fitting, judging = order[judged:most], order[:judged]
    else:
        fitting, judging = order[~held[order]], order[held[order]]
        if min(len(fitting), len(judging)) < FEWEST // 2:
            raise DataError(f"{folder}: {len(fitting)} images to fit and {len(judging)} to judge; {FEWEST // 2} of "
                            "each are the least, a few hundred are what it takes: give more")
        judged = min(max(FEWEST // 2, round(most * len(judging) / len(names))), most - FEWEST // 2)
        fitting, judging = fitting[:most - judged], judging[:judged]
    base = EncodedSource(lambda i: (names[i], str(folder) + os.sep + names[i]), len(names), str(folder))
    source, none = FittedSource(base, contract, size), np.full(len(names), -1, np.int64)
    fit, judge = (Examples(source, part, none[part], contract, size) for part in (np.sort(fitting), np.sort(judging)))
    return fit, judge


def _held_out(names: Sequence[str]) -> NDArray[np.bool_] | None:
    """Which images lie in the folder of those that judge; None where there are no two folders, one a part."""
    above = [PurePath(name).parts[0] if len(PurePath(name).parts) == 2 else "" for name in names]
    if "" in above or len(set(above)) != 2:
        return None
    part = parts_among(set(above))
    return np.array([part[name] == VAL for name in above]) if {*part.values()} == {TRAIN, VAL} else None


def labelled(source: str, contract: InputContract, size: Size, seed: int = 0,
             limit: int | None = None) -> tuple[Examples, Examples, tuple[str, ...]]:
    """Training and validation images of a data set of classes, and the names of the classes in order.

    Raises:
        DataError, UsageError: as `hwnas.data.load`.
    """
    from hwnas.data.load import load

    data = load(source, imgsz=max(size), seed=seed, limit=limit, memory=0)
    found = []
    for view, labels in ((data.train.pixels, data.train.labels), (data.val.pixels, data.val.labels)):
        base, places = view.source.base, view.indices
        if isinstance(view.source, Subset):
            places = view.source.indices[places]
        if isinstance(base, EncodedSource):
            found.append(Examples(FittedSource(base, contract, size), places, labels, contract, size))
        else:
            found.append(Examples(base, places, labels, contract, size))
    return found[0], found[1], data.classes


def examples_of(source: str, contract: InputContract, size: Size, seed: int = 0,
                limit: int | None = None) -> tuple[Examples, Examples, tuple[str, ...]]:
    """What `--data` names: a data set of classes, or a folder of images without any.

    Raises:
        DataError, UsageError: neither of the two; says what is missing.
    """
    if not source:
        raise UsageError("give images: --data FOLDER")
    path = Path(source)
    found = [str(image) for image in list_images(path).images] if path.is_dir() else []
    if found and (all(len(PurePath(name).parts) == 1 for name in found) or _held_out(found) is not None):
        return (*unlabelled(path, contract, size, seed, limit), ())
    return labelled(source, contract, size, seed, limit)
