"""Tiles give what the whole image would: exactly for one tile, in rounding for a net that looks at single pixels."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.errors import InputError, UsageError
from hwnas.tasks import tiled_logits
from hwnas.tasks.tiling import GREY, axis_tiles


def pixelwise(images: np.ndarray) -> np.ndarray:
    """Two logits that depend on the pixel alone."""
    red, green, blue = np.moveaxis(images.astype(np.float32) / 255, -1, 0)
    return np.stack([red - 2 * green, blue * red + 1], axis=1)


def global_net(images: np.ndarray) -> np.ndarray:
    """Logits that depend on all pixels of the tile and on the place in it."""
    h, w = images.shape[1:3]
    mean = images.mean(axis=(1, 2, 3), dtype=np.float64).reshape(-1, 1, 1, 1)
    place = np.arange(3 * h * w).reshape(1, 3, h, w)
    return (np.sin(place) * 7 + mean / 3).astype(np.float32)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, 3), np.uint8)


SIDES = st.integers(1, 40)
TILES = st.integers(3, 24)
OVERLAPS = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9])


@given(SIDES, SIDES, TILES, TILES, OVERLAPS, st.integers(1, 5))
def test_a_net_of_pixels_gives_the_untiled_answer(height, width, tall, wide, overlap, batch) -> None:
    image = noise(height, width)
    logits = tiled_logits(pixelwise, image, (tall, wide), overlap=overlap, batch=batch)
    assert logits.dtype == np.float32
    assert logits.flags.c_contiguous
    np.testing.assert_allclose(logits, pixelwise(image[None])[0], rtol=1e-5, atol=1e-6)


@given(TILES, TILES, OVERLAPS)
def test_one_tile_is_the_nets_own_answer(height, width, overlap) -> None:
    image = noise(height, width)
    logits = tiled_logits(global_net, image, (height, width), overlap=overlap)
    np.testing.assert_array_equal(logits, global_net(image[None])[0])


@given(st.integers(3, 24), st.integers(0, 80), OVERLAPS)
def test_tiles_cover_the_axis_evenly_and_weights_sum_to_one(tile, more, overlap) -> None:
    length = tile + more
    tiles = axis_tiles(length, tile, overlap)
    starts = [start for start, _ in tiles]
    assert (starts[0], starts[-1]) == (0, length - tile)
    least = min(math.ceil(overlap * tile), tile - 1)
    assert all(a < b <= a + tile - least for a, b in itertools.pairwise(starts))
    total = np.zeros(length)
    for start, weights in tiles:
        assert weights.dtype == np.float32
        assert (weights > 0).all()
        total[start : start + tile] += weights
    np.testing.assert_allclose(total, 1, rtol=1e-6)


def test_seams_are_blended() -> None:
    """Two tiles that answer 0 and 1: a straight slope over what they share."""
    image = np.zeros((4, 12, 3), np.uint8)
    image[:, 11] = 255

    def net(tiles: np.ndarray) -> np.ndarray:
        bright = (tiles.max(axis=(1, 2, 3)) > 0).astype(np.float32)
        return np.broadcast_to(bright.reshape(-1, 1, 1, 1), (len(tiles), 1, 4, 8))

    row = tiled_logits(net, image, (4, 8), overlap=0.5)[0, 0]
    np.testing.assert_allclose(row, [0] * 4 + [1 / 8, 3 / 8, 5 / 8, 7 / 8] + [1] * 4, atol=1e-6)


def test_a_small_image_is_padded_with_grey() -> None:
    seen = []

    def net(tiles: np.ndarray) -> np.ndarray:
        seen.append(tiles)
        return pixelwise(tiles)

    image = noise(3, 9)
    assert tiled_logits(net, image, (5, 6), overlap=0.25).shape == (2, 3, 9)
    tiles = np.concatenate(seen)
    assert tiles.shape == (2, 5, 6, 3)
    assert (tiles[:, 3:] == GREY).all()
    np.testing.assert_array_equal(tiles[0, :3], image[:, :6])
    np.testing.assert_array_equal(tiles[1, :3], image[:, 3:])


def test_bad_requests() -> None:
    image = noise(8, 8)
    for wrong in ({"overlap": 1.0}, {"overlap": -0.1}, {"batch": 0}):
        with pytest.raises(UsageError, match="overlap must be"):
            tiled_logits(pixelwise, image, (4, 4), **wrong)
    with pytest.raises(UsageError, match="tile 1 or more"):
        tiled_logits(pixelwise, image, (0, 4))
    for array in (image.astype(np.float32), image[..., 0], image[:0]):
        with pytest.raises(InputError, match="uint8"):
            tiled_logits(pixelwise, array, (4, 4))
    with pytest.raises(InputError, match=r"must give logits \(4, K, 4, 4\), not \(4, 2, 2, 2\)"):
        tiled_logits(lambda tiles: pixelwise(tiles)[..., ::2, ::2], image, (4, 4), overlap=0)
