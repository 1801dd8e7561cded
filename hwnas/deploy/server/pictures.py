"""Bytes of a client to an image: its header is judged before anything is decoded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hwnas.deploy.server.limits import Refusal
from hwnas.errors import ImageError
from hwnas.imaging.picture import Picture

FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
_KNOWN = "PNG, JPEG, WebP or BMP"


def decoded(data: bytes, most_pixels: int) -> Picture:
    """An image whose header was read; its pixels are decoded when they are needed, inside `refusing`.

    Args:
        most_pixels: that its header may announce.

    Raises:
        Refusal: 415 no image, 413 too many pixels, 400 damaged.
    """
    if not data:
        raise Refusal(400, f"the body is empty: send the bytes of a {_KNOWN}, or a form with a file")
    with refusing(most_pixels):
        return Picture(data, formats=FORMATS, most_pixels=most_pixels)


@contextmanager
def refusing(most_pixels: int) -> Iterator[None]:
    """An image that cannot be read becomes a Refusal, as of `decoded`."""
    try:
        yield
    except ImageError as err:
        if err.kind == "unknown":
            raise Refusal(415, f"the body must be a {_KNOWN}, and is none of them: convert it before") from err
        if err.kind == "large":
            raise Refusal(413, f"an image may have at most {most_pixels / 1e6:g} megapixels; {err.reason}: send a "
                               "smaller one, or start the server with a higher --max-megapixels") from err
        raise Refusal(400, f"the image cannot be decoded: {err.reason}: send a whole {_KNOWN}") from err
