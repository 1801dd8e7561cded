"""One way from a stored image to the array that a network eats. Python 3.8, numpy and Pillow: it travels in bundles."""

from __future__ import annotations

from hwnas.imaging.contract import InputContract
from hwnas.imaging.letterbox import Letterbox
from hwnas.imaging.opening import Header, read_header
from hwnas.imaging.picture import Decoded, Picture, stored_image

__all__ = ["Decoded", "Header", "InputContract", "Letterbox", "Picture", "read_header", "stored_image"]
