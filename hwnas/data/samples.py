"""What a source gives before it is split: labels at once, pixels only for the images that are chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwnas.progress import Progress

INSTALL = 'pip install "hwnas[train]"'


@dataclass(frozen=True)
class Samples:
    """A source that has been listed, not decoded.

    Attributes:
        name: short name of the data set.
        source: the name or path, for messages.
        labels: (N,) int64, checked (see labels.py).
        held_out: (N,) True where the source itself says validation; None if it does not say.
        classes: class names in label order.
        split: how the source says it is split; used where `held_out` is given.
        pixels: (indices (n,), imgsz or None for the source's own size, progress) -> uint8 (n, S, S, C).
        notes: what was left out or decided, a line each (see notes.py).
    """

    name: str
    source: str
    labels: npt.NDArray[np.int64]
    held_out: npt.NDArray[np.bool_] | None
    classes: tuple[str, ...]
    split: str
    pixels: Callable[[npt.NDArray[np.int64], int | None, Progress], npt.NDArray[np.uint8]]
    notes: tuple[str, ...] = ()
