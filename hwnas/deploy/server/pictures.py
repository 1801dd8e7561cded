"""Bytes of a client to an image: its header is judged before anything is decoded."""

from __future__ import annotations

import io

from PIL import Image, ImageOps, UnidentifiedImageError

from hwnas.deploy.server.limits import Refusal

FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
_KNOWN = "PNG, JPEG, WebP or BMP"
_TOO_MANY = (Image.DecompressionBombError, Image.DecompressionBombWarning)


def decoded(data: bytes, most_pixels: int) -> Image.Image:
    """The image, upright.

    Args:
        most_pixels: that its header may announce.

    Raises:
        Refusal: 415 no image, 413 too many pixels, 400 damaged.
    """
    image = _opened(data, most_pixels)
    try:
        image.load()
    except Exception as err:  # decoders raise nearly every type on damaged bytes
        raise Refusal(400, f"the image cannot be decoded: {_line(err)}: send a whole {_KNOWN}") from err
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF says nothing about the pixels: shown as stored, as viewers do
        return image


def _opened(data: bytes, most_pixels: int) -> Image.Image:
    """The header alone; Pillow reads pixels on `load`."""
    if not data:
        raise Refusal(400, f"the body is empty: send the bytes of a {_KNOWN}, or a form with a file")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as err:
        raise Refusal(415, f"the body must be a {_KNOWN}, and is none of them: convert it before") from err
    except _TOO_MANY as err:
        raise _too_many(most_pixels, _line(err)) from err
    except Exception as err:  # as above
        raise Refusal(400, f"the image's header cannot be read: {_line(err)}: send a whole {_KNOWN}") from err
    width, height = image.size
    if width * height > most_pixels:
        raise _too_many(most_pixels, f"this one has {width * height / 1e6:.1f} ({width}x{height})")
    return image


def _too_many(most_pixels: int, what: str) -> Refusal:
    return Refusal(413, f"an image may have at most {most_pixels / 1e6:g} megapixels; {what}: send a smaller one, or "
                        "start the server with a higher --max-megapixels")


def _line(err: Exception) -> str:
    return " ".join(str(err).split()).rstrip(".") or type(err).__name__
