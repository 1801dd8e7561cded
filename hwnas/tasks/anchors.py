"""Where a detection head looks: the points of an anchor-free head, the anchors of an SSD head.

Glossary
    map        (height, width) of one output of the head, in cells
    s          scale of the anchors of a map, as a share of the shorter side of the input
    A          anchors a cell: five ratios of side s, and a square of side sqrt(s * s of the next map)
    P          cells, or anchors, of all maps: maps in order, cells row-major, the anchors of a cell inner

Source: W. Liu et al., SSD: Single Shot MultiBox Detector, ECCV 2016, equation 4 and section 2.2.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Size = tuple[int, int]

RATIOS = (1.0, 2.0, 1 / 2, 3.0, 1 / 3)  # width to height
SMALLEST, LARGEST = 0.2, 0.95


def grid_points(maps: Sequence[Size], strides: Sequence[int]) -> Array:
    """Centres (x, y) of all cells, px of the input: float32 (P, 2)."""
    return np.concatenate([_centres(size) * stride for size, stride in zip(maps, strides, strict=True)])


def grid_strides(maps: Sequence[Size], strides: Sequence[int]) -> Array:
    """The stride of the map of every cell, px: float32 (P,)."""
    return np.repeat(np.asarray(strides, np.float32), [h * w for h, w in maps])


def grid_anchors(size: Size, maps: Sequence[Size]) -> Array:
    """Anchors as x0, y0, x1, y1 in px of the input, some of them beyond its border: float32 (P, 4).

    Args:
        size: (height, width) of the input, px.
        maps: outputs of the head, finest first; the scales grow linearly over them.
    """
    scales = [*np.linspace(SMALLEST, LARGEST, len(maps)), 1.0]
    found = []
    for (height, width), scale, following in zip(maps, scales, scales[1:], strict=False):
        pitch = np.array([size[1] / width, size[0] / height], np.float32)
        centres = (_centres((height, width)) * pitch)[:, None]
        halves = _sides(scale, following) * np.float32(min(size) / 2)
        found.append(np.concatenate([centres - halves, centres + halves], axis=-1).reshape(-1, 4))
    return np.concatenate(found)


def _centres(size: Size) -> Array:
    """(x + 0.5, y + 0.5) of every cell, row-major: (h * w, 2)."""
    y, x = np.mgrid[: size[0], : size[1]]
    return np.stack([x, y], axis=-1).reshape(-1, 2).astype(np.float32) + np.float32(0.5)


def _sides(scale: float, following: float) -> Array:
    """Width and height of the anchors of a cell, shares of the shorter side: (A, 2)."""
    extra = float(np.sqrt(scale * following))
    sides = [(scale * ratio**0.5, scale / ratio**0.5) for ratio in RATIOS]
    return np.array([*sides, (extra, extra)], np.float32)
