"""A stored image is opened here and nowhere else: regular files, formats of a list, bounded, one line of error.

Pillow knows formats that run programs (EPS) or fetch files; those of FORMATS hold pixels and nothing else. Of a file
with several frames or pages the first is read.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.documents import open_regular, read_bytes
from hwnas.errors import ImageError, MissingDependency

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "PPM")
"""Pillow's names of what is read; JPEG stands for MPO too, PPM for PBM and PGM."""
SUFFIXES = (".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".bmp", ".dib", ".gif", ".webp", ".tif", ".tiff",
            ".pbm", ".pgm", ".ppm", ".pnm")
"""Ends of the names of files that hold such images, in lower case."""
GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N")
"""Pillow's modes that hold grey."""
MOST_PIXELS = 89_478_485  # a quarter of a GiB in RGB; where Pillow itself begins to warn
MOST_BYTES = 1 << 30
_PLUGINS = {"PNG": "Png", "JPEG": "Jpeg", "WEBP": "WebP", "GIF": "Gif", "TIFF": "Tiff", "BMP": "Bmp", "PPM": "Ppm"}
_ORIENTATION = 0x0112
_PNG, _TELLING, _MOST_CHUNKS = b"\x89PNG\r\n\x1a\n", (b"eXIf", b"tEXt", b"zTXt", b"iTXt"), 1 << 16
_OLDEST = 8  # of Pillow: the first that takes a list of formats


@dataclass(frozen=True)
class Header:
    """What an image says of itself before its pixels are decoded.

    Args:
        width, height: as stored, px.
        orientation: of EXIF, 1 to 8; 1 where it says nothing.
        mode, format: Pillow's.
    """

    width: int
    height: int
    orientation: int
    mode: str
    format: str

    @property
    def size(self) -> tuple[int, int]:
        """Height and width as stored."""
        return self.height, self.width

    @property
    def upright(self) -> tuple[int, int]:
        """Height and width once it is turned as EXIF says."""
        return (self.width, self.height) if self.orientation > 4 else (self.height, self.width)

    @property
    def grey(self) -> bool:
        """Whether it holds no colour, by its mode and not by its pixels."""
        return self.mode in GREY


def pillow(module: str = "Image") -> Any:
    """A module of Pillow.

    Raises:
        MissingDependency: it is not installed, or too old.
    """
    try:
        found = sys.modules.get(f"PIL.{module}") or importlib.import_module(f"PIL.{module}")  # asked for every image
    except ImportError as err:
        raise MissingDependency("Pillow", "reading images", "pip install pillow, or give a .npy of the input's size"
                                ) from err
    if module == "Image" and int(found.__version__.split(".")[0]) < _OLDEST:
        raise MissingDependency(f"Pillow {_OLDEST} or newer", "reading images",
                                f"this is {found.__version__}; pip install --upgrade pillow")
    return found


def read_header(source: Path | bytes, name: str = "") -> Header:
    """The header of an image file, or of one in memory.

    Args:
        name: for messages; default the path.

    Raises:
        ImageError: it cannot be read, or has too many pixels.
        MissingDependency: Pillow is not installed.
    """
    name = name or ("the image" if isinstance(source, bytes) else str(source))
    stream = io.BytesIO(source) if isinstance(source, bytes) else open_regular(source, ImageError)
    with stream, opened(stream, name) as image:
        return header_of(image)


def header_of(image: Any) -> Header:
    """Of a Pillow image that was opened and not yet loaded."""
    orientation = orientation_of(image)
    width, height = image.size
    if image.format == "TIFF" and orientation > 4 and _turned_early(image):
        width, height = height, width
    return Header(width, height, orientation, image.mode, image.format)


def _turned_early(image: Any) -> bool:
    """Whether this Pillow gives a TIFF the size that it has upright; it does so since 9.5, and turns it on load."""
    tags = image.tag_v2
    return tuple(image.size) == (tags.get(257), tags.get(256))


def orientation_of(image: Any) -> int:
    """1 to 8; 1 where EXIF says nothing that can be understood: then it is shown as stored, as viewers do."""
    try:
        # Pillow decodes a PNG to look for EXIF behind its pixels.
        ask = pillow().Image.getexif if image.format == "PNG" and not _told_late(image) else type(image).getexif
        found = ask(image).get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF raises nearly every type, and says nothing about the pixels
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def _told_late(image: Any) -> bool:
    """Whether a PNG that was opened says something about itself behind its pixels, by the names of its chunks."""
    stream = image.fp
    if stream is None:
        return False  # loaded, so all of it is known
    place, seen = stream.tell(), False
    try:
        stream.seek(len(_PNG))
        for _ in range(_MOST_CHUNKS):
            head = stream.read(8)
            if len(head) < 8 or head[4:] == b"IEND":
                return False
            if seen and head[4:] in _TELLING:
                return True
            seen = seen or head[4:] == b"IDAT"
            stream.seek(int.from_bytes(head[:4], "big") + 4, io.SEEK_CUR)
        return True
    finally:
        stream.seek(place)


def read_image_bytes(path: Path) -> bytes:
    """The content of an image file.

    Raises:
        ImageError: as `documents.read_bytes`.
    """
    return read_bytes(path, MOST_BYTES, ImageError)


@contextlib.contextmanager
def opened(stream: Any, name: str, formats: tuple[str, ...] = FORMATS, most_pixels: int = MOST_PIXELS) -> Iterator[Any]:
    """A Pillow image whose header was read; what decoders raise in the block becomes an ImageError, too.

    Args:
        stream: a binary file.
        name: for messages.
        formats: some of FORMATS.
        most_pixels: that its header may announce.
    """
    with telling(name, formats, most_pixels), begun(stream, name, formats, most_pixels) as image:
        yield image


def begun(stream: Any, name: str, formats: tuple[str, ...] = FORMATS, most_pixels: int = MOST_PIXELS) -> Any:
    """`opened` without a block, for bytes in memory: to be called, and used, inside of `telling`."""
    image_module = pillow()
    for plugin in formats:
        pillow(f"{_PLUGINS[plugin]}ImagePlugin")
    image = image_module.open(stream, formats=formats)
    width, height = image.size
    if width * height > most_pixels:
        image.close()
        raise _too_many(name, f"{width}x{height} are {width * height / 1e6:.1f}", most_pixels)
    if not width * height:
        image.close()
        raise ImageError(name, f"it has {width}x{height} pixels")
    return image


@contextlib.contextmanager
def telling(name: str, formats: tuple[str, ...] = FORMATS, most_pixels: int = MOST_PIXELS) -> Iterator[None]:
    """What decoders raise in the block becomes an ImageError."""
    try:
        with quiet():
            yield
    except (ImageError, MissingDependency):
        raise
    except Exception as err:  # decoders raise nearly every type on damaged bytes
        raise _told(err, name, formats, most_pixels) from err


def _told(err: Exception, name: str, formats: tuple[str, ...], most_pixels: int) -> ImageError:
    image_module = pillow()
    if isinstance(err, image_module.UnidentifiedImageError):
        return ImageError(name, f"it is no {', '.join(formats[:-1])} or {formats[-1]}", "unknown")
    if isinstance(err, (image_module.DecompressionBombError, image_module.DecompressionBombWarning)):
        return _too_many(name, line_of(err), most_pixels)
    return ImageError(name, line_of(err))


def _too_many(name: str, what: str, most_pixels: int) -> ImageError:
    return ImageError(name, f"too many pixels: {what}; at most {most_pixels / 1e6:.3g} million are read", "large")


def line_of(err: Exception) -> str:
    """What an exception says, in one line."""
    return " ".join(str(err).split()).rstrip(".")[:300] or type(err).__name__


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Pillow's warnings concern metadata, or a number of pixels that `opened` judges: they are not for people.

    Filters are those of the process: the first thread in sets them and the last one out puts back what was there.
    """
    with _QUIET.lock:
        if not _QUIET.inside:
            _QUIET.before = warnings.catch_warnings()
            _QUIET.before.__enter__()
            warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
            warnings.filterwarnings("ignore", category=pillow().DecompressionBombWarning)
        _QUIET.inside += 1
    try:
        yield
    finally:
        with _QUIET.lock:
            _QUIET.inside -= 1
            if not _QUIET.inside:
                _QUIET.before.__exit__(None, None, None)


class _Quiet:
    """How many blocks of `quiet` are open, and what the first of them found."""

    def __init__(self) -> None:
        self.lock, self.inside = threading.Lock(), 0
        self.before: Any = None


_QUIET = _Quiet()
