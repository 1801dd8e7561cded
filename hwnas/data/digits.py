"""scikit-learn's handwritten digits (Alpaydin & Kaynak, 1998): 1,797 grey images of 8x8, with the library.

The file is read by itself: importing `sklearn.datasets` takes two seconds, as long as importing torch.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwnas.data.samples import INSTALL, Samples
from hwnas.data.source import ArraySource, Labelled
from hwnas.errors import MissingDependency

_IMGSZ = 16


def read(name: str) -> Samples:
    """The digits, unsplit; 16x16 px unless asked otherwise.

    Raises:
        MissingDependency: scikit-learn is not installed.
    """
    table = _table()
    # Pixels count set dots in 4x4 cells: 0..16.
    images = np.rint(table[:, :-1].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)[..., None]

    labels, classes = table[:, -1].astype(np.int64), tuple(str(k) for k in range(10))
    source = ArraySource(images, name, Labelled(classes, labels), (_IMGSZ, _IMGSZ))
    return Samples(name, name, labels, None, classes, "", source)


def _table() -> NDArray[np.float64]:
    """The rows of the file, (1797, 65): 64 counts of dots, and the digit."""
    library = find_spec("sklearn")
    if library is None or library.origin is None:
        raise MissingDependency("scikit-learn", 'the data set "digits"', INSTALL)
    path = Path(library.origin).parent / "datasets" / "data" / "digits.csv.gz"
    if path.is_file():
        return np.loadtxt(path, delimiter=",")
    from sklearn.datasets import load_digits  # a version that keeps it elsewhere

    found = load_digits()
    return np.column_stack([found.data, found.target])
