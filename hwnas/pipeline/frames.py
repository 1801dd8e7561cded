"""Images one after the other: a file, a folder of them, or the frames of a video."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from hwnas.errors import InputError, MissingDependency, UsageError

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm")
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm")


@dataclass(frozen=True)
class Frame:
    """An image with its name, relative to what was asked for, and how many there are in all."""

    name: str
    image: Image.Image
    total: int


def frames(source: Path) -> Iterator[Frame]:
    """The images at `source`, upright.

    Raises:
        InputError: a file that cannot be read as an image or a video.
        UsageError: nothing there.
        MissingDependency: a video, and OpenCV is not installed.
    """
    if source.is_dir():
        files = sorted(p for p in source.rglob("*") if p.suffix.lower() in IMAGES)
        if not files:
            raise UsageError(f"{source} holds no images ({', '.join(IMAGES)})")
        for file in files:
            yield Frame(file.relative_to(source).as_posix(), _opened(file), len(files))
    elif not source.exists():
        raise UsageError(f"no such file or folder: {source}")
    elif source.suffix.lower() in VIDEOS:
        yield from _video(source)
    else:
        yield Frame(source.name, _opened(source), 1)


def _opened(file: Path) -> Image.Image:
    try:
        with Image.open(file) as image:
            image.load()
            return ImageOps.exif_transpose(image)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, SyntaxError, ValueError) as err:
        raise InputError(f"{file} cannot be read as an image: {err}") from err


def _video(source: Path) -> Iterator[Frame]:
    try:
        import cv2
    except ImportError as err:
        raise MissingDependency("opencv-python-headless", "videos", 'pip install "hwnas[video]"') from err
    film = cv2.VideoCapture(str(source))
    try:
        total, number = max(1, int(film.get(cv2.CAP_PROP_FRAME_COUNT))), 0
        while True:
            there, pixels = film.read()
            if not there:
                break
            number += 1
            image = Image.fromarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))
            yield Frame(f"{source.stem}-{number:06d}.png", image, max(total, number))
        if number == 0:
            raise InputError(f"{source} cannot be read as a video: OpenCV finds no frame in it")
    finally:
        film.release()
