"""What a bundle is given beside image files: arrays of the input's own size; and the input itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hwnas.documents import open_regular
from hwnas.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from hwnas.deploy.runner.schema import Array


def read_array(path: Path, size: tuple[int, int], channels: int) -> Array:
    """A .npy of uint8 (H, W, C) or (H, W) that has the size of the input already.

    Raises:
        InputError: another size or type, or no array.
    """
    with open_regular(path) as file:
        try:
            found = np.load(file, allow_pickle=False)
        except Exception as err:  # numpy raises nearly every type on damaged bytes
            raise InputError(f"{path} cannot be read as an array: {' '.join(str(err).split())[:200]}") from err
    if not isinstance(found, np.ndarray):  # an .npz under another name
        raise InputError(f"{path} is no single array: give a .npy of the input's size")
    found = found[..., None] if found.ndim == 2 else found
    if found.dtype != np.uint8 or found.shape != (*size, channels):
        raise InputError(f"{path} must hold uint8 {(*size, channels)}, not {found.dtype} {found.shape}: "
                         "resize it before, or give an image file")
    return np.ascontiguousarray(found)
