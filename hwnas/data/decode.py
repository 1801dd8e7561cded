"""Work on every image of a set in threads, since Pillow decodes outside Python's lock; what fails is named and counted.

A reader says `Fetch`: where an image is, or its bytes. `work_each` does anything with each; nothing is kept here.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from hwnas.data.threads import threads
from hwnas.errors import DataError, ImageError
from hwnas.imaging.opening import quiet, read_header
from hwnas.progress import Progress

Fetch = Callable[[int], tuple[str, str | Path | bytes | None]]
"""Index of an image -> its name in messages, and the path of its file or its bytes (None: missing)."""

_CHUNK, _SAMPLE, _REPORTED = 16, 500, 5


def common_size(fetch: Fetch, total: int, *, exact: bool) -> int:
    """The side to use where none was asked for, from the headers of up to 500 images spread evenly over all.

    The most common shorter side, rounded up to a multiple of 16 and at most 128 px. With `exact`, images that
    are all square and all alike keep their own size.
    """
    sizes = Counter[tuple[int, int]]()
    for index in np.unique(np.linspace(0, total - 1, min(total, _SAMPLE)).astype(np.int64)):
        # A broken header is reported with all the others.
        with contextlib.suppress(ImageError):
            sizes[read_header(there(fetch(int(index))[1])).size] += 1
    if exact and len(sizes) == 1 and len(set(next(iter(sizes)))) == 1:
        return next(iter(sizes))[0]
    shorter = Counter[int]()
    for size, count in sizes.items():
        shorter[min(size)] += count
    side = max(shorter, key=lambda s: (shorter[s], s), default=16)
    return min(-(-side // 16) * 16, 128)


def work_each(total: int, work: Callable[[int], None], name: Callable[[int], str], progress: Progress,
              what: str = "decode images") -> list[str]:
    """Call work(i) for every i in 0..total-1 in threads; what went wrong, a line each, in order.

    Args:
        work: on one image; what it raises is told with the image's name.
        name: of an image.
        what: is done, for `progress`.
    """
    def some(start: int) -> list[str]:
        return [fault for i in range(start, min(start + _CHUNK, total)) if (fault := _fault(work, i, name))]

    if total == 1:  # as threads ask that have one image each
        alone = some(0)
        progress(what, 1, 1)
        return alone
    broken: list[str] = []
    with quiet():
        for number, failures in enumerate(threads().map(some, range(0, total, _CHUNK)), 1):
            broken += failures
            progress(what, min(number * _CHUNK, total), total)
    return broken


def refuse_broken(broken: Sequence[str], total: int, source: str) -> None:
    """Raise DataError with the first five images that cannot be read, and how many there are, if there are any."""
    if broken:
        more = f" and {len(broken) - _REPORTED} more" if len(broken) > _REPORTED else ""
        raise DataError(
            f"{source}: {len(broken)} of {total} images cannot be read: {'; '.join(broken[:_REPORTED])}{more}. "
            "Replace or remove them"
        )


def there(content: str | Path | bytes | None) -> Path | bytes:
    """What a reader gave.

    Raises:
        ImageError: nothing.
    """
    if content is None:
        raise ImageError("no bytes")
    return Path(content) if isinstance(content, str) else content


def _fault(work: Callable[[int], None], index: int, name: Callable[[int], str]) -> str:
    try:
        work(index)
    except DataError as err:  # says where and what to do by itself
        return str(err)
    except Exception as err:  # decoders raise nearly every type on damaged bytes
        return f"{_named(name, index)} ({_reason(err)})"
    return ""


def _named(name: Callable[[int], str], index: int) -> str:
    try:
        return name(index)
    except Exception:  # a source raises what it likes
        return f"image {index}"


def _reason(err: Exception) -> str:
    if isinstance(err, ImageError):
        return err.reason
    return " ".join(str(err).split()) or type(err).__name__
