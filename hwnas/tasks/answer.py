"""What a task says of images: a model that answers, its answer to one, and validation images as cases to be shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hwnas.tasks.metric import Array

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class LoadedModel:
    """A model that answers.

    Args:
        run: uint8 (n, H, W, C) -> its outputs, checked.
        classes: names of what it tells.
        size: (H, W) of its input, px.
        channels: 1 or 3.
        facts: what it says of itself.
        layout: of its head.
        threshold: least score of what is told.
        tiled: whether images are looked at in their own size, in tiles of the input.
    """

    run: Callable[[Pixels], list[Array]]
    classes: Sequence[str]
    size: tuple[int, int]
    channels: int
    facts: Mapping[str, Any]
    layout: Any = None
    threshold: float = 0.3
    tiled: bool = False


@dataclass(frozen=True)
class Answer:
    """What a model says of one image.

    Args:
        facts: JSON values.
        draw: makes the picture, uint8 (H, W, 3), which takes longer than many a model; None where there is none.
        mask: uint8 (H, W) of class numbers.
        arrays: name -> output, of a model whose outputs are told as they are.
    """

    facts: dict[str, Any]
    draw: Callable[[], Pixels] | None = None
    mask: Pixels | None = None
    arrays: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Cases:
    """The validation images as cases that can be shown.

    Args:
        scores: of every image, percent; NaN where there is nothing to be right about.
        draw: number of an image -> truth and answer, two pictures uint8 (H, W, 3) of one height.
    """

    scores: Sequence[float]
    draw: Callable[[int], tuple[Pixels, Pixels]]
