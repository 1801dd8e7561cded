"""How many images are looked at before anything is trained: all of a small set, a sample of a large one.

Statistics of pixels, whether images can be read and what they are (the fingerprint) would take minutes for 200,000
photos. A sample is spread evenly over the images, so it is the same on every machine, and of a listing by classes it
has its share of every class.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

HEADERS = 500  # that are read first of a large set, to learn whether images have colour
MOST = 5000  # images of a set up to which all are looked at, and so many of a larger one


def first_headers(count: int) -> npt.NDArray[np.int64]:
    """Images whose headers are read before those of others: all of a small set."""
    return spread(count, HEADERS if is_large(count) else count)


def is_large(count: int) -> bool:
    """Whether of so many images a sample is looked at."""
    return count > MOST


def spread(count: int, most: int | None = None) -> npt.NDArray[np.int64]:
    """Numbers among 0..count-1, ascending: all of them, or `most` of them (None: `MOST`) at equal distances."""
    most = MOST if most is None else most
    if count <= most:
        return np.arange(count)
    return np.arange(most, dtype=np.int64) * count // most
