"""scikit-learn's handwritten digits (Alpaydin & Kaynak, 1998): 1,797 grey images of 8x8, with the library."""

from __future__ import annotations

import numpy as np

from hwnas.data.samples import INSTALL, Samples
from hwnas.data.source import ArraySource, Labelled
from hwnas.errors import MissingDependency

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

    labels, classes = np.ascontiguousarray(bunch.target, np.int64), tuple(str(k) for k in range(10))
    source = ArraySource(images, name, Labelled(classes, labels), (_IMGSZ, _IMGSZ))
    return Samples(name, name, labels, None, classes, "", source)
