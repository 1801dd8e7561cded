"""scikit-learn's handwritten digits (Alpaydin & Kaynak, 1998): 1,797 grey images of 8x8, with the library."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hwnas.data.pixels import check_imgsz, resized
from hwnas.data.samples import INSTALL, Samples
from hwnas.errors import MissingDependency
from hwnas.progress import Progress

_IMGSZ = 16


def read(name: str) -> Samples:
    """The digits, unsplit; 16x16 px unless asked otherwise.

    Raises:
        MissingDependency: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as err:
        raise MissingDependency("scikit-learn", 'the data set "digits"', INSTALL) from err
    bunch = load_digits()
    # Pixels count set dots in 4x4 cells: 0..16.
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[..., None]

    def pixels(indices: npt.NDArray[np.int64], imgsz: int | None, progress: Progress) -> npt.NDArray[np.uint8]:
        out = resized(images[indices], check_imgsz(imgsz or _IMGSZ, name))
        progress("decode images", len(indices), len(indices))
        return out

    labels = np.ascontiguousarray(bunch.target, np.int64)
    return Samples(name, name, labels, None, tuple(str(k) for k in range(10)), "", pixels)
