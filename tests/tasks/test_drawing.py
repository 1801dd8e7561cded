"""Pictures, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from hwnas.errors import InputError
from hwnas.tasks import IGNORE, Detections, colours, draw_boxes, draw_mask

NAMES = ("red cell", "platelet", "white cell")


def one(box: tuple[float, ...], label: int = 0, score: float = 0.87) -> Detections:
    return Detections(np.array([box], np.float32), np.array([score], np.float32), np.array([label], np.int64))


def is_colour(picture: np.ndarray, label: int) -> np.ndarray:
    return (picture == colours(len(NAMES))[label]).all(axis=-1)


def grey(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 120, np.uint8)


def test_colours_are_distinct_and_stable() -> None:
    twenty = colours(20).astype(int)
    apart = np.sqrt(((twenty[:, None] - twenty) ** 2).sum(axis=-1)) + 1000 * np.eye(20)
    assert apart.min() > 20
    assert len(np.unique(colours(80), axis=0)) == 80
    np.testing.assert_array_equal(colours(80)[:20], twenty)
    assert colours(0).shape == (0, 3)


def test_a_box_is_its_border() -> None:
    image = grey(200, 300)
    kept = image.copy()
    picture = draw_boxes(image, one((100, 80, 180, 160), label=2), NAMES)
    np.testing.assert_array_equal(image, kept)
    assert picture.dtype == np.uint8
    assert picture.shape == image.shape
    coloured = is_colour(picture, 2)
    assert coloured[80:161, [100, 101, 179, 180]].all()
    assert coloured[[80, 81, 159, 160], 100:181].all()
    np.testing.assert_array_equal(picture[82:159, 102:179], image[82:159, 102:179])
    np.testing.assert_array_equal(picture[162:], image[162:])


@pytest.mark.parametrize(("height", "width", "least"), [(240, 320, 11), (320, 320, 11), (2160, 3840, 50)])
def test_names_are_legible_at_every_size(height: int, width: int, least: int) -> None:
    top, left = height // 2, width // 4
    picture = draw_boxes(grey(height, width), one((left, top, left * 3, height - 20)), NAMES)
    above = is_colour(picture, 0)[:top]
    ground = np.flatnonzero(above[:, left])  # the margin before the text
    assert len(ground) >= least
    assert ground[-1] == top - 1
    label = picture[ground[0] : top, left : left + np.flatnonzero(above[ground[0]]).size]
    ink = (label.max(axis=-1) < 60).mean() + (label.min(axis=-1) > 230).mean()
    assert 0.05 < ink < 0.6
    assert len(ground) < height / 10


def test_names_stay_inside_the_picture() -> None:
    corner = draw_boxes(grey(120, 200), one((150, 0, 199, 60)), NAMES)
    coloured = is_colour(corner, 0)
    assert coloured[1:8, 100:150].any()  # moved to the left of the box
    assert coloured[:14].sum() > 300  # inside, below the picture's top
    below = draw_boxes(grey(120, 200), one((20, 400, 90, 500)), NAMES)
    assert is_colour(below, 0)[100:].any()


def test_the_best_is_on_top() -> None:
    both = Detections(np.array([[50, 50, 150, 150]] * 2, np.float32), np.array([0.9, 0.3], np.float32),
                      np.array([1, 0], np.int64))
    picture = draw_boxes(grey(200, 200), both, NAMES)
    assert is_colour(picture, 1)[50:151, 50].all()
    assert not is_colour(picture, 0)[52:151].any()


def test_no_detections_is_the_image() -> None:
    nothing = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
    np.testing.assert_array_equal(draw_boxes(grey(9, 9), nothing, NAMES), grey(9, 9))


def test_corners_in_any_order_are_drawn() -> None:
    for corners in ((40, 50, 80, 90), (80, 90, 40, 50)):  # the name may cover the lower end of the left side
        drawn = is_colour(draw_boxes(grey(100, 100), one(corners), NAMES), 0)
        assert drawn[50:75, 40].all()
        assert drawn[50, 40:81].all()


def test_a_mask_is_blended_and_ignored_pixels_stay() -> None:
    image = np.full((2, 3, 3), 100, np.uint8)
    mask = np.array([[0, 1, IGNORE], [1, 0, 1]], np.uint8)
    palette = np.array([[200, 0, 100], [0, 50, 255]], np.uint8)
    half = draw_mask(image, mask, palette)
    assert half[0].tolist() == [[150, 50, 100], [50, 75, 178], [100, 100, 100]]
    full = draw_mask(image, mask, palette, opacity=1)
    np.testing.assert_array_equal(full[1], palette[mask[1]])
    np.testing.assert_array_equal(draw_mask(image, mask, palette, opacity=0), image)
    assert (image == 100).all()


def test_bad_pictures() -> None:
    image, mask, palette = grey(4, 4), np.zeros((4, 4), np.uint8), np.zeros((2, 3), np.uint8)
    for wrong in (image.astype(np.float32), image[..., :2], image[..., 0]):
        with pytest.raises(InputError, match="uint8"):
            draw_mask(wrong, mask, palette)
        with pytest.raises(InputError, match="uint8"):
            draw_boxes(wrong, one((0, 0, 2, 2)), NAMES)
    with pytest.raises(InputError, match="label 3 has no name"):
        draw_boxes(image, one((0, 0, 2, 2), label=3), NAMES)
    with pytest.raises(InputError, match="class 2 has no colour"):
        draw_mask(image, mask + 2, palette)
    with pytest.raises(InputError, match="cannot be drawn"):
        draw_mask(image, mask[:2], palette)
