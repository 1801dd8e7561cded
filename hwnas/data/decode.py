"""Encoded images (files, or bytes from a table) to one array, in threads: Pillow decodes outside Python's lock.

symbol  meaning
S       side of the square that is wanted, px
N       images
"""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from hwnas.data.pixels import fit
from hwnas.errors import DataError
from hwnas.progress import Progress

Fetch = Callable[[int], tuple[str, Path | bytes | None]]
"""Index of an image -> its name in messages, and where it is or what it is (None: missing)."""

_GREY = {"1", "L", "LA", "I", "I;16", "I;16L", "I;16B", "I;16N"}
_CHUNK, _SAMPLE, _REPORTED = 64, 500, 5


def common_size(fetch: Fetch, total: int, *, exact: bool) -> int:
    """The side to use where none was asked for, from the headers of up to 500 images spread evenly over all.

    The most common shorter side, rounded up to a multiple of 16 and at most 128 px. With `exact`, images that
    are all square and all alike keep their own size.
    """
    sizes = Counter[tuple[int, int]]()
    with _strict():
        for index in np.unique(np.linspace(0, total - 1, min(total, _SAMPLE)).astype(np.int64)):
            # A broken header is reported with all the others when everything is decoded.
            with contextlib.suppress(Exception), _opened(fetch(int(index))[1]) as image:
                sizes[image.size] += 1
    if exact and len(sizes) == 1 and len(set(next(iter(sizes)))) == 1:
        return next(iter(sizes))[0]
    shorter = Counter[int]()
    for size, count in sizes.items():
        shorter[min(size)] += count
    side = max(shorter, key=lambda s: (shorter[s], s), default=16)
    return min(-(-side // 16) * 16, 128)


def decode_all(
    fetch: Fetch, indices: npt.NDArray[np.int64], imgsz: int, progress: Progress, source: str
) -> npt.NDArray[np.uint8]:
    """Decode, turn upright, flatten and fit every image; uint8 (N, S, S, C).

    C is 1 if every image is grey and 3 if any has colour (by its mode, not by its pixels).

    Raises:
        DataError: images that cannot be decoded, with the first five and how many; not enough memory.
    """
    try:
        out = np.empty((len(indices), imgsz, imgsz, 3), np.uint8)
    except MemoryError as err:
        size = len(indices) * imgsz * imgsz * 3 / 2**30
        rule = f"{len(indices)} images of {imgsz} px take {size:.1f} GiB"
        raise DataError(f"{source}: {rule}, more than there is; lower imgsz or limit") from err
    colour = np.zeros(len(indices), bool)
    broken: list[str] = []

    def work(start: int) -> list[str]:
        stop = min(start + _CHUNK, len(indices))
        return [f for i in range(start, stop) if (f := _decode_into(fetch, int(indices[i]), out[i], colour[i : i + 1]))]

    Image.preinit()
    pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
    try:
        with _strict():
            for number, failures in enumerate(pool.map(work, range(0, len(indices), _CHUNK)), 1):
                broken += failures
                progress("decode images", min(number * _CHUNK, len(indices)), len(indices))
    finally:
        pool.shutdown(cancel_futures=True)
    _report(broken, len(indices), source)
    return out if colour.any() else np.ascontiguousarray(out[..., :1])


def decode_each(
    total: int, work: Callable[[int], None], name: Callable[[int], str], progress: Progress, source: str
) -> None:
    """Call work(i) for every image in threads.

    Args:
        work: decodes one image; what it raises is told with the image's name.
        name: of an image, for messages.

    Raises:
        DataError: images that cannot be read, with the first five and how many.
    """

    def one(start: int) -> list[str]:
        return [fault for i in range(start, min(start + _CHUNK // 4, total)) if (fault := _fault(work, i, name))]

    Image.preinit()
    broken: list[str] = []
    pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
    try:
        with _strict():
            for number, failures in enumerate(pool.map(one, range(0, total, _CHUNK // 4)), 1):
                broken += failures
                progress("decode images", min(number * _CHUNK // 4, total), total)
    finally:
        pool.shutdown(cancel_futures=True)
    _report(broken, total, source)


def _fault(work: Callable[[int], None], index: int, name: Callable[[int], str]) -> str:
    try:
        work(index)
    except DataError as err:  # says where and what to do by itself
        return str(err)
    except Exception as err:  # decoders raise nearly every type on damaged bytes
        return f"{name(index)} ({_reason(err)})"
    return ""


def upright_rgb(path: Path, size: tuple[int, int] | None = None) -> Image.Image:
    """An image file in RGB, turned upright by its EXIF tag unless it has the `size` (height, width) as stored.

    Labels of boxes and masks are mostly made on the pixels as stored, and say so by the size that they give.
    """
    with Image.open(path) as opened:
        opened.load()
        stored = size is not None and opened.size[::-1] == size
        return _flat(opened if stored else _upright(opened)).convert("RGB")


def _report(broken: list[str], total: int, source: str) -> None:
    if broken:
        more = f" and {len(broken) - _REPORTED} more" if len(broken) > _REPORTED else ""
        raise DataError(
            f"{source}: {len(broken)} of {total} images cannot be read: {'; '.join(broken[:_REPORTED])}{more}. "
            "Replace or remove them"
        )


def _decode_into(fetch: Fetch, index: int, out: npt.NDArray[np.uint8], colour: npt.NDArray[np.bool_]) -> str | None:
    name = f"image {index}"
    try:
        name, content = fetch(index)
        with _opened(content) as opened:
            # JPEG can be decoded at half, a quarter or an eighth: never under twice the size wanted.
            opened.draft(None, (2 * len(out), 2 * len(out)))
            image = fit(_flat(_upright(opened)), len(out))
    except Exception as err:  # decoders raise nearly every type on damaged bytes
        return f"{name} ({_reason(err)})"
    colour[0] = image.mode == "RGB"
    pixels = np.asarray(image)
    out[...] = pixels if image.mode == "RGB" else pixels[..., None]
    return None


def _reason(err: Exception) -> str:
    if isinstance(err, UnidentifiedImageError):
        return "not an image"
    if isinstance(err, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"too many pixels: {err}"
    return " ".join(str(err).split()) or type(err).__name__


def _opened(content: Path | bytes | None) -> Image.Image:
    if content is None:
        raise ValueError("no bytes")
    return Image.open(io.BytesIO(content) if isinstance(content, bytes) else content)


def _upright(image: Image.Image) -> Image.Image:
    image.load()
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF says nothing about the pixels: shown as stored, as viewers do
        return image


def _flat(image: Image.Image) -> Image.Image:
    """Mode L or RGB; transparency is laid over white, 16 bits keep the upper eight."""
    if image.mode == "F":
        raise ValueError("floating-point pixels; store 8 or 16 bits")
    mode = "L" if image.mode in _GREY else "RGB"
    if image.mode.startswith("I"):
        return _eight_bits(image)
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image if image.mode == mode else image.convert(mode)


def _eight_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("more than 16 bits per pixel; store 8 or 16")
    return Image.fromarray((values >> 8).astype(np.uint8))


@contextlib.contextmanager
def _strict() -> Iterator[None]:
    """Too many pixels is an error; Pillow's other warnings concern metadata. Damaged pixels raise by themselves."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield
