"""The one rule for what stays decoded: a source that takes at most a quarter of the memory that is free does, in whole.

It is decoded once, when it is loaded. A larger one is decoded a batch at a time, whenever its pixels are wanted, or
once where a folder for decoded images is given (`reading.py`). Either way the pixels are the same, so how much memory a
machine has changes no result.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hwnas.data.cache import CachedSource
from hwnas.data.encoded import EncodedSource
from hwnas.data.reading import reading
from hwnas.data.source import ArraySource, Size, Source, Subset
from hwnas.data.views import ImageView
from hwnas.progress import Progress, silent

SHARE = 0.25  # of the memory that is free
_MEMINFO, _CGROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")


def opened(source: Source, size: Size, memory: int | None, progress: Progress = silent) -> ImageView:
    """All images of a source at a size: decoded now if they fit, otherwise their headers are read.

    Args:
        memory: bytes that they may take; None for a quarter of what is free, 0 to decode nothing yet.

    Raises:
        DataError: images that cannot be decoded, or whose headers cannot be read: the first five and how many.
    """
    every, base = np.arange(len(source)), source.base
    if isinstance(base, ArraySource) and base.images.shape[1:3] == size:  # as they lie in memory already
        progress("decode images", len(source), len(source))
        return ImageView(base, source.indices if isinstance(source, Subset) else every, base.images)
    if fits(len(source), source.shape(size, 3), memory):
        return ImageView(source, every, source.read(every, size, None, progress))
    channels = source.channels(every, progress)
    if (folder := reading().cache) is not None and isinstance(base, EncodedSource):
        chosen = source.indices if isinstance(source, Subset) else every
        source = Subset(CachedSource(base, folder), chosen)
    return ImageView(source, every, None, source.shape(size, channels))


def cache_folder() -> Path:
    """Of decoded images, where a user names none: hwnas/images in $XDG_CACHE_HOME or ~/.cache."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "hwnas" / "images"


def fits(images: int, shape: tuple[int, ...], memory: int | None = None) -> bool:
    """Whether so many images of a shape are kept decoded; `memory` as of `opened`."""
    return images * math.prod(shape) <= (allowed() if memory is None else memory)


def allowed() -> int:
    """Bytes that decoded images of one data set may take on this machine now."""
    return int(SHARE * min(_free()))


def _free() -> Iterator[int]:
    """What is free by each that knows: the system, and the container that this runs in."""
    try:
        told = dict(line.split(":", 1) for line in _MEMINFO.read_text().splitlines())
        yield int(told["MemAvailable"].split()[0]) * 1024
    except (OSError, ValueError, KeyError):
        pages = os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 1 << 20
        yield pages * 4096 // 2
    try:
        limit, used = (int((_CGROUP / name).read_text()) for name in ("memory.max", "memory.current"))
        cached = next(int(line.split()[1]) for line in (_CGROUP / "memory.stat").read_text().splitlines()
                      if line.startswith("inactive_file "))
        yield max(0, limit - used + cached)
    except (OSError, ValueError, StopIteration):  # no container, or one without a limit
        return
