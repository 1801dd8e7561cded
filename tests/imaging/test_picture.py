"""A JPEG at a reduced scale: how far, the same everywhere, and the pixels where they belong."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hwnas.errors import ImageError
from hwnas.imaging import Decoded, Letterbox, Picture
from hwnas.imaging.fitting import square_pixels, to_input


def gradient(height: int, width: int) -> np.ndarray:
    """Rises to the right in red and down in green, so that a shift shows."""
    y, x = np.mgrid[:height, :width]
    return np.stack([255 * (x + 0.5) / width, 255 * (y + 0.5) / height, 128 + 0 * x], 2).astype(np.uint8)


def jpeg(pixels: np.ndarray, orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=98, subsampling=0, exif=exif)
    return buffer.getvalue()


@pytest.mark.parametrize(("height", "width", "side", "wanted"), [
    (480, 640, 240, 2), (480, 640, 241, 1), (480, 640, 120, 4), (480, 640, 61, 4), (480, 640, 60, 8), (480, 640, 16, 8),
    (479, 640, 240, 1), (100, 3000, 50, 2), (100, 3000, 64, 1),
])
def test_a_square_is_never_decoded_under_its_size(height: int, width: int, side: int, wanted: int) -> None:
    picture = Picture(jpeg(gradient(height, width)))
    assert picture._reduction(side / min(height, width)) == wanted
    assert min(height, width) >= wanted * side or wanted == 1


@pytest.mark.parametrize(("height", "width", "wanted"), [
    (480, 640, 2), (427, 640, 2), (640, 480, 2), (480, 639, 1), (1280, 1280, 4), (2560, 100, 8), (320, 320, 1),
])
def test_a_letterbox_is_reduced_as_its_longer_side_asks(height: int, width: int, wanted: int) -> None:
    picture = Picture(jpeg(gradient(height, width)))
    assert picture._reduction(Letterbox.fit(height, width, (320, 320)).scale) == wanted


@settings(max_examples=60, deadline=None)
@given(st.integers(60, 400), st.integers(60, 400), st.integers(8, 60), st.integers(1, 8))
def test_reduced_pixels_lie_where_whole_ones_do(height: int, width: int, side: int, orientation: int) -> None:
    picture = Picture(jpeg(gradient(height, width), orientation))
    whole = picture.pixels()
    assert np.abs(picture.square(side).astype(int) - square_pixels(whole, side)).max() <= 6
    box = Letterbox.fit(*picture.size, (side, side + 9))
    assert np.abs(picture.letterboxed(box).astype(int) - box.image(whole)).max() <= 6


def test_only_a_jpeg_is_reduced() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    for kind in ("PNG", "WEBP", "TIFF", "BMP"):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, kind, **({"lossless": True} if kind == "WEBP" else {}))
        assert np.array_equal(Picture(buffer.getvalue()).square(32), square_pixels(pixels, 32))
    assert np.array_equal(Decoded(pixels).square(32), square_pixels(pixels, 32))


def test_the_whole_image_is_decoded_after_a_reduced_one() -> None:
    picture = Picture(jpeg(gradient(256, 256)))
    first = picture.pixels()
    picture.square(16)
    assert np.array_equal(picture.pixels(), first)
    assert first.shape == (256, 256, 3)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "La", "PA", "P", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr",
                                  "HSV", "LAB", "I;16", "I;16B", "I;16L", "I"])
def test_decoded_images_of_every_mode(mode: str) -> None:
    deep = mode.startswith("I")
    image = Image.new(mode, (20, 10), 30_000 if deep else 0)
    found = Decoded(image)
    assert found.size == (10, 20)
    assert found.square(8, 3).shape == (8, 8, 3)
    assert found.square(8, 1).shape == (8, 8, 1)
    white = mode in ("LA", "La", "PA", "RGBA", "RGBa", "CMYK")  # all transparent, or no ink
    assert (found.pixels() == (117 if deep else 255 if white else found.pixels()[0, 0])).all()


def test_decoded_images_without_a_range_are_refused() -> None:
    with pytest.raises(ImageError, match="frame 3 cannot be read as an image: floating-point pixels"):
        Decoded(Image.new("F", (4, 4)), "frame 3")


def test_what_a_network_eats() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 5, 7, 3), dtype=np.uint8)
    found = to_input(images)
    assert found.shape == (3, 3, 5, 7)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    assert np.array_equal(found[1, 2], images[1, :, :, 2].astype(np.float32) / np.float32(255))
