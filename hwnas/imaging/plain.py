"""From any mode that a file may be stored in to 8-bit grey or RGB, upright.

| stored                            | becomes                                                     |
|-----------------------------------|-------------------------------------------------------------|
| 1, L                              | L                                                           |
| I;16 in any byte order, I         | L, the upper 8 of 16 bits (of 12, where a TIFF says so)     |
| LA, La; L, I;16 with a colour key | L over white                                                |
| RGB, P, CMYK, YCbCr, LAB, HSV     | RGB                                                         |
| RGBA, RGBa, PA, P with alpha; RGB with a colour key | RGB over white                            |
| F, I beyond 16 bits               | refused: nobody can say what is black and what is white     |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.imaging.opening import GREY, orientation_of, pillow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

# Pillow's numbers of what turns an image of an EXIF orientation upright; they are older than its names for them.
_UPRIGHT = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
_BACK = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
_STEP = {"1": 255, "L;2": 85, "L;4": 17}  # of a stored grey value, once it is in 8 bits


def raw_mode(image: Any) -> str:
    """How the pixels lie in the file, in Pillow's words; to be asked before it is loaded."""
    if not getattr(image, "tile", None):
        return ""
    found = image.tile[0][3]
    return str(found[0] if isinstance(found, tuple) and found else found or "")


def turned(image: Any, orientation: int, upright: bool) -> Any:
    """A loaded image, upright by its EXIF orientation, or as stored.

    Args:
        orientation: as it was before loading: newer Pillow turns a TIFF when it loads it, and then forgets the tag.
    """
    already = image.format == "TIFF" and orientation_of(image) == 1
    if orientation == 1 or already == upright:
        return image
    return image.transpose((_UPRIGHT if upright else _BACK)[orientation])


def plain(image: Any, raw: str = "") -> Any:
    """A loaded image in mode L or RGB.

    Args:
        raw: its `raw_mode`.

    Raises:
        ValueError: pixels without a known range.
    """
    if image.mode == "F":
        raise ValueError("floating-point pixels; store 8 or 16 bits")
    mode = "L" if image.mode in GREY else "RGB"
    key = image.info.get("transparency")
    if image.mode.startswith("I"):
        return _eight_bits(image, raw, key)
    if image.mode in ("1", "L", "RGB") and key is not None:
        return _keyed(image.convert(mode), raw, key)
    if _has_alpha(image):
        image = _over_white(image)
    return image if image.mode == mode else image.convert(mode)


def _has_alpha(image: Any) -> bool:
    if image.mode == "P":
        return "transparency" in image.info or image.palette.mode.endswith("A")
    return image.mode in _ALPHA


def _over_white(image: Any) -> Any:
    if image.mode == "La":  # Pillow knows no shorter way
        image = image.convert("LA")
    image = image.convert("RGBA")
    if image.getchannel("A").getextrema() == (255, 255):
        return image
    module = pillow()
    return module.alpha_composite(module.new("RGBA", image.size, "white"), image)


def _eight_bits(image: Any, raw: str, key: object) -> Any:
    values = np.array(image)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("more than 16 bits per pixel; store 8 or 16")
    if isinstance(key, int):
        values[values == key] = 65535
    return pillow().fromarray((values >> (4 if raw == "I;12" else 8)).astype(np.uint8))


def _keyed(image: Any, raw: str, key: object) -> Any:
    """White where the image has the one colour that means transparent, which is given in the bits of the file."""
    values = np.array(image)
    wanted = np.array(_in_8_bits(key if isinstance(key, (tuple, list)) else [key], raw), np.int64)
    same = values == wanted if values.ndim == 2 else (values == wanted).all(2)
    values[same] = 255
    return pillow().fromarray(values)


def _in_8_bits(key: Sequence[Any], raw: str) -> list[int]:
    if ";16" in raw:
        return [int(part) >> 8 for part in key]
    return [int(part) * (_STEP.get(raw, 1) if raw != "1" else 1) for part in key]
