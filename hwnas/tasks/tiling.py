"""Segmentation of images larger than the network's input: overlapping tiles, blended.

Glossary
    tile      (h, w), the network's input, px
    start     first px of a tile along an axis; tiles are spread evenly and all lie inside the image
    window    1 inside a tile, falling in a straight line to 0 over what it shares with its neighbour
    weight    window of a tile over the sum of the windows of all tiles at that px: weights of a px sum to 1

The window is separable and so is the grid of tiles, so the weights are too: a vector for each start of each axis.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from hwnas.errors import InputError, UsageError
from hwnas.imaging.letterbox import GREY

Array = npt.NDArray[np.float32]
Images = npt.NDArray[np.uint8]
Net = Callable[[Images], Array]



def tiled_logits(net: Net, image: Images, tile: tuple[int, int], *, overlap: float = 0.25, batch: int = 4) -> Array:
    """Logits of an image of any size; of an image that is one tile exactly, the net's own.

    Args:
        net: uint8 (n, h, w, 3) -> float32 logits (n, K, h, w).
        image: uint8 (H, W, 3); padded with grey at the bottom and right where it is smaller than a tile.
        tile: (h, w).
        overlap: least share of a tile that its neighbour covers as well, 0 to 0.9.
        batch: tiles at a time.

    Returns:
        float32 (K, H, W), C-contiguous; the memory needed is about this and a batch of tiles.

    Raises:
        UsageError: an overlap, batch or tile out of range.
        InputError: the image is no uint8 (H, W, 3), or the net's answer has another size than its tile.
    """
    _check_request(image, tile, overlap, batch)
    padded = _padded(image, tile)
    rows, columns = (axis_tiles(side, t, overlap) for side, t in zip(padded.shape[:2], tile, strict=True))
    places = [(row, column) for row in rows for column in columns]
    out = np.zeros((0, 0, 0), np.float32)
    for first in range(0, len(places), batch):
        group = places[first : first + batch]
        tiles = np.stack([padded[y : y + tile[0], x : x + tile[1]] for (y, _), (x, _) in group])
        logits = _checked(net(tiles), len(group), tile)
        if not out.size:
            out = np.zeros((logits.shape[1], *padded.shape[:2]), np.float32)
        for answer, ((y, down), (x, across)) in zip(logits, group, strict=True):
            out[:, y : y + tile[0], x : x + tile[1]] += answer * (down[:, None] * across)
    return np.ascontiguousarray(out[:, : image.shape[0], : image.shape[1]])


def axis_tiles(length: int, tile: int, overlap: float) -> list[tuple[int, Array]]:
    """Starts of the tiles along an axis of `length` >= `tile` px, each with its weights, float32 (tile,)."""
    step = max(1, tile - math.ceil(overlap * tile))
    count = 1 + math.ceil((length - tile) / step)
    starts = [round(i * (length - tile) / max(count - 1, 1)) for i in range(count)]
    shared = max((a + tile - b for a, b in itertools.pairwise(starts)), default=0)
    place = np.arange(tile) + 0.5
    window = np.minimum(1, np.minimum(place, tile - place) / max(shared, 1))
    total = np.zeros(length)
    for start in starts:
        total[start : start + tile] += window
    return [(start, (window / total[start : start + tile]).astype(np.float32)) for start in starts]


def _check_request(image: Images, tile: tuple[int, int], overlap: float, batch: int) -> None:
    if not 0 <= overlap <= 0.9 or batch < 1 or min(tile) < 1:
        raise UsageError(f"overlap must be in 0..0.9, batch and tile 1 or more, not {overlap}, {batch} and {tile}")
    if image.dtype != np.uint8 or image.ndim != 3 or 0 in image.shape:
        raise InputError(f"an image to be tiled must be uint8 (H, W, 3), not {image.dtype.name} {image.shape}")


def _padded(image: Images, tile: tuple[int, int]) -> Images:
    down, across = (max(0, t - side) for t, side in zip(tile, image.shape[:2], strict=True))
    if not down and not across:
        return image
    return np.pad(image, ((0, down), (0, across), (0, 0)), constant_values=GREY)


def _checked(logits: Array, count: int, tile: tuple[int, int]) -> Array:
    if logits.ndim != 4 or len(logits) != count or logits.shape[2:] != tile:
        raise InputError(f"a network of tiles {tile[0]}x{tile[1]} must give logits ({count}, K, {tile[0]}, {tile[1]}), "
                         f"not {logits.shape}: give the size that the network was made for")
    return logits
