"""Brightness, contrast and colour of an image, changed at random."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]


def jittered(image: Pixels, rng: np.random.Generator, share: float) -> Pixels:
    """A copy of uint8 (H, W, 3) whose contrast, brightness and tint change by at most `share`.

    A table of 256 values a channel does it, without a float copy of the image.
    """
    contrast = 1 + rng.uniform(-share, share)
    shift = 255 * rng.uniform(-share, share) / 2
    tint = rng.uniform(-share, share, 3) / 4
    levels = np.arange(256)[:, None]
    table = np.clip((levels - 127.5) * contrast * (1 + tint) + 127.5 + shift, 0, 255).astype(np.uint8)
    # Pillow looks bytes up as they are; numpy would make indices of eight bytes of each first.
    return np.array(Image.fromarray(image).point(table.T.ravel().tolist()))
