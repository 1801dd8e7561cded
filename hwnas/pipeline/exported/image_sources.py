"""Images one after the other: a file, a folder of them, or the frames of a video; and frames back to a video."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from hwnas.documents import open_regular
from hwnas.errors import ImageError, InputError, MissingDependency, UsageError
from hwnas.imaging.listing import Listing, list_images
from hwnas.imaging.opening import SUFFIXES
from hwnas.imaging.picture import Decoded, Picture

VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm")
_MP4, _MATROSKA = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide"), b"\x1aE\xdf\xa3"
RATE = 25.0  # frames per second of a video that does not say


@dataclass(frozen=True)
class Frame:
    """An image with its name, relative to what was asked for, and how many there are in all.

    Args:
        image: its pixels are decoded when they are needed.
        rate: frames per second of the video that it is of; 0 for an image.
    """

    name: str
    image: Picture
    total: int
    rate: float = 0.0


@dataclass(frozen=True)
class Unread:
    """A file of a folder that is no image, or no longer a whole one.

    Args:
        name: relative to the folder.
        reason: why.
        total: files in all.
    """

    name: str
    reason: str
    total: int


def frames(source: Path, listing: Listing | None = None) -> Iterator[Frame | Unread]:
    """The images at `source`, upright.

    Args:
        listing: of a folder, where it was listed before.

    Raises:
        InputError: a file that cannot be read as an image or a video; those of a folder are `Unread`.
        UsageError: nothing there.
        MissingDependency: a video, and OpenCV is not installed.
    """
    if source.is_dir():
        yield from _of_folder(source, listing or list_images(source))
    elif not os.path.lexists(source):
        raise UsageError(f"no such file or folder: {source}")
    elif source.suffix.lower() in VIDEOS:
        yield from _video(source)
    else:
        yield Frame(source.name, Picture.read(source), 1)


def _of_folder(source: Path, listing: Listing) -> Iterator[Frame | Unread]:
    total = len(listing.images) + len(listing.closed)
    if not total:
        hint = f"; {listing.left_out()}" if listing.left_out() else ""
        raise UsageError(f"{source} holds no images ({', '.join(SUFFIXES)}){hint}")
    for name, reason in listing.closed:
        yield Unread(str(name), reason, total)
    for path in listing.images:
        try:
            frame = Frame(str(path), Picture.read(source / path), total)
        except ImageError as err:
            yield Unread(str(path), err.reason, total)
        else:
            yield frame


class FilmWriter:
    """Writes frames of one size to an .mp4; a context whose end gives the file its name, or removes it after an error.

    Args:
        path: of the file.
        rate: frames per second.
    """

    def __init__(self, path: Path, rate: float) -> None:
        self.path, self._rate = path, rate
        self._film: Any = None
        self._partial = path.with_name(f".{path.name}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._film is None:
            return
        self._film.release()
        if kind is None:
            self._partial.replace(self.path)
        else:
            self._partial.unlink(missing_ok=True)

    def add(self, picture: npt.NDArray[np.uint8]) -> None:
        """Append an RGB picture, uint8 (H, W, 3).

        Raises:
            InputError: the file cannot be written.
        """
        cv2 = _opencv()
        if self._film is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            size = picture.shape[1], picture.shape[0]
            self._film = cv2.VideoWriter(str(self._partial), cv2.VideoWriter_fourcc(*"mp4v"), self._rate, size)
            if not self._film.isOpened():
                raise InputError(f"{self.path} cannot be written as a video of {size[0]}x{size[1]} px")
        self._film.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))


def _opencv() -> Any:
    try:
        import cv2
    except ImportError as err:
        raise MissingDependency("opencv-python-headless", "reading a video", 'pip install "hwnas[video]"') from err
    return cv2


def _check_video(source: Path) -> None:
    """OpenCV opens playlists, too, which lead to other files and to the network: only containers that hold frames."""
    with open_regular(source) as file:
        start = file.read(16)
    known = start[4:8] in _MP4 or start[:4] == _MATROSKA or (start[:4] == b"RIFF" and start[8:12] == b"AVI ")
    if not known:
        raise InputError(f"{source} cannot be read as a video: it is no MP4, MOV, AVI, Matroska or WebM")


def _video(source: Path) -> Iterator[Frame]:
    cv2 = _opencv()
    _check_video(source)
    film = cv2.VideoCapture(str(source))
    try:
        total, number = max(1, int(film.get(cv2.CAP_PROP_FRAME_COUNT))), 0
        rate = float(film.get(cv2.CAP_PROP_FPS)) or RATE
        while True:
            there, pixels = film.read()
            if not there:
                break
            number += 1
            name = f"{source.stem}-{number:06d}.png"
            yield Frame(name, Decoded(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), name), max(total, number), rate)
        if number == 0:
            raise InputError(f"{source} cannot be read as a video: OpenCV finds no frame in it")
    finally:
        film.release()
