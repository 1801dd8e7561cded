"""What a reader of classes gives before it is split: labels, and a source of the images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwnas.data.source import Source

INSTALL = 'pip install "hwnas[train]"'


@dataclass(frozen=True)
class Samples:
    """A data set that has been listed, not decoded.

    Attributes:
        name: short name of the data set.
        source: the name or path, for messages.
        labels: (N,) int64, checked (see labels.py).
        held_out: (N,) True where the source itself says validation; None if it does not say.
        classes: class names in label order.
        split: how the source says it is split; used where `held_out` is given.
        images: all of them, in the order of the labels.
        notes: what was left out or decided, a line each (see notes.py).
    """

    name: str
    source: str
    labels: npt.NDArray[np.int64]
    held_out: npt.NDArray[np.bool_] | None
    classes: tuple[str, ...]
    split: str
    images: Source
    notes: tuple[str, ...] = ()
