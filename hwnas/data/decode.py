"""Encoded images (files, or bytes from a table) to one array, in threads: Pillow decodes outside Python's lock.

symbol  meaning
S       side of the square that is wanted, px
N       images
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hwnas.data.threads import pool
from hwnas.errors import DataError, ImageError
from hwnas.imaging.opening import quiet, read_header, read_image_bytes
from hwnas.imaging.picture import Picture
from hwnas.progress import Progress

Fetch = Callable[[int], tuple[str, Path | bytes | None]]
"""Index of an image -> its name in messages, and where it is or what it is (None: missing)."""

_CHUNK, _SAMPLE, _REPORTED = 64, 500, 5


def common_size(fetch: Fetch, total: int, *, exact: bool) -> int:
    """The side to use where none was asked for, from the headers of up to 500 images spread evenly over all.

    The most common shorter side, rounded up to a multiple of 16 and at most 128 px. With `exact`, images that
    are all square and all alike keep their own size.
    """
    sizes = Counter[tuple[int, int]]()
    for index in np.unique(np.linspace(0, total - 1, min(total, _SAMPLE)).astype(np.int64)):
        # A broken header is reported with all the others when everything is decoded.
        with contextlib.suppress(ImageError):
            sizes[read_header(_there(fetch(int(index))[1])).size] += 1
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

    threads = pool()
    try:
        with quiet():
            for number, failures in enumerate(threads.map(work, range(0, len(indices), _CHUNK)), 1):
                broken += failures
                progress("decode images", min(number * _CHUNK, len(indices)), len(indices))
    finally:
        threads.shutdown(cancel_futures=True)
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

    broken: list[str] = []
    threads = pool()
    try:
        with quiet():
            for number, failures in enumerate(threads.map(one, range(0, total, _CHUNK // 4)), 1):
                broken += failures
                progress("decode images", min(number * _CHUNK // 4, total), total)
    finally:
        threads.shutdown(cancel_futures=True)
    _report(broken, total, source)


def _fault(work: Callable[[int], None], index: int, name: Callable[[int], str]) -> str:
    try:
        work(index)
    except DataError as err:  # says where and what to do by itself
        return str(err)
    except Exception as err:  # decoders raise nearly every type on damaged bytes
        return f"{name(index)} ({_reason(err)})"
    return ""


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
        found = _there(content)
        picture = Picture(found if isinstance(found, bytes) else read_image_bytes(found), name)
        out[...] = picture.square(len(out))
    except Exception as err:  # a source raises what it likes
        return f"{name} ({_reason(err)})"
    colour[0] = not picture.grey
    return None


def _reason(err: Exception) -> str:
    if isinstance(err, ImageError):
        return err.reason
    return " ".join(str(err).split()) or type(err).__name__


def _there(content: Path | bytes | None) -> Path | bytes:
    if content is None:
        raise ImageError("no bytes")
    return content
