"""Where an image lies in an input of another shape."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.errors import UsageError
from hwnas.imaging.letterbox import GREY, IGNORE, Letterbox

SIDES = st.integers(1, 700)


@given(SIDES, SIDES, st.integers(8, 300), st.integers(8, 300), st.integers(0, 2**32 - 1))
def test_boxes_go_there_and_back(height: int, width: int, h: int, w: int, seed: int) -> None:
    box = Letterbox.fit(height, width, (h, w))
    corners = np.random.default_rng(seed).random((5, 4))
    boxes = (np.sort(corners.reshape(5, 2, 2), axis=1) * [width, height]).reshape(5, 4).astype(np.float32)
    there = box.to_input(boxes)
    assert (there[:, [0, 1]] >= [box.left - 0.01, box.top - 0.01]).all()
    assert (there[:, [2, 3]] <= [box.left + box.inner[1] + 0.01, box.top + box.inner[0] + 0.01]).all()
    np.testing.assert_allclose(box.to_original(there), boxes, atol=2e-3 * max(height, width))


@given(SIDES, SIDES, st.integers(8, 200), st.integers(8, 200))
def test_an_image_fills_the_input_on_one_side_and_is_centred(height: int, width: int, h: int, w: int) -> None:
    box = Letterbox.fit(height, width, (h, w))
    out = box.image(np.zeros((height, width, 3), np.uint8))
    assert out.shape == (h, w, 3)
    assert h in box.inner[:1] or w in box.inner[1:]
    inside = np.zeros((h, w), bool)
    inside[box.top : box.top + box.inner[0], box.left : box.left + box.inner[1]] = True
    assert (out[~inside] == GREY).all()
    assert (out[inside] == 0).all()
    assert abs((h - box.inner[0] - box.top) - box.top) <= 1


def test_a_painted_box_is_where_it_is_said_to_be() -> None:
    image = np.zeros((200, 300, 3), np.uint8)
    image[40:80, 60:150] = 255
    box = Letterbox.fit(200, 300, (96, 96))
    ys, xs = np.nonzero(box.image(image)[..., 0] == 255)
    found = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
    np.testing.assert_allclose(box.to_input(np.array([[60, 40, 150, 80]], np.float32))[0], found, atol=1.5)


def test_masks_keep_their_numbers_and_come_back() -> None:
    mask = np.random.default_rng(0).integers(0, 5, (60, 90)).repeat(4, 0).repeat(4, 1).astype(np.uint8)
    box = Letterbox.fit(*mask.shape, (240, 400))
    there = box.mask(mask)
    assert set(np.unique(there)) <= {*range(5), IGNORE}
    assert (there[:, : box.left] == IGNORE).all()
    assert (box.mask_to_original(there) == mask).mean() > 0.99


def test_same_size_changes_nothing() -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    assert np.array_equal(Letterbox.fit(64, 96, (64, 96)).image(image), image)


def test_empty_images_are_refused() -> None:
    with pytest.raises(UsageError, match="0x5"):
        Letterbox.fit(0, 5, (8, 8))
