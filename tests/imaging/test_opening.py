"""Hostile and broken files: one line each, and nothing hangs, runs a program or takes the machine's memory."""

from __future__ import annotations

import io
import os
import random
import shutil
import struct
import subprocess
import sys
import threading
import time
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from hwnas.errors import ImageError
from hwnas.imaging import Picture, read_header, stored_image
from hwnas.imaging.opening import quiet

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
NAMES = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "PPM")


def saved(kind: str, **how: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, kind, **how)
    return buffer.getvalue()


WHOLE = {name: saved(name) for name in NAMES}


def png(width: int, height: int, *extra: tuple[bytes, bytes]) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in PIXELS))
    parts = [(b"IHDR", head), *extra, (b"IDAT", rows), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def exif(content: bytes) -> bytes:
    """A JPEG with this in its EXIF segment."""
    data = b"Exif\0\0" + content
    return WHOLE["JPEG"][:2] + b"\xff\xe1" + struct.pack(">H", len(data) + 2) + data + WHOLE["JPEG"][2:]


BROKEN = {
    "nothing": b"", "one byte": b"\x89", "text": b"no image", "zeros": b"\0" * 5000,
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(/tmp/gone) (w) file\n",
    "PDF": b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\n", "WMF": b"\xd7\xcd\xc6\x9a" + b"\0" * 60, "SVG": b"<svg/>",
    "ICO": b"\0\0\1\0\1\0" + b"\x10\x10\0\0\1\0\x20\0\x28\0\0\0\x16\0\0\0" + b"\0" * 99,
    "FITS": b"SIMPLE  =  T" + b" " * 3000,
    "100 megapixels": png(10_000, 10_000), "400 megapixels": png(20_000, 20_000), "too wide": png(2**31 - 1, 1),
    "no width": png(0, 9), "no height": png(9, 0), "GIF of no size": b"GIF89a\0\0\0\0\0\0\0;",
    "PPM of 10**9 pixels": b"P6 100000 10000 255\n", "PPM of minus one": b"P6 -1 5 255\n" + b"\0" * 99,
    "PPM of long numbers": b"P6 " + b"9" * 5000 + b" 1 255\n", "BMP of 2**31": b"BM" + struct.pack(
        "<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 2**31 - 1, 2**31 - 1, 1, 24, 0, 0, 0, 0, 0, 0),
    "TIFF that leads in a circle": b"II*\0\x08\0\0\0" + struct.pack("<HHHIII", 1, 256, 4, 1, 5, 8),
    "TIFF of 2**32": b"II*\0\x08\0\0\0" + struct.pack("<H", 2) + struct.pack("<HHII", 256, 4, 1, 2**32 - 1)
    + struct.pack("<HHII", 257, 4, 1, 2**32 - 1) + b"\0" * 4,
    "PNG of too little": png(400, 400),
    "PNG text bomb": png(32, 24, *[(b"zTXt", b"a\0\0" + zlib.compress(b"\0" * (1 << 22)))] * 40),
    **{f"half a {name}": WHOLE[name][: len(WHOLE[name]) // 2] for name in NAMES},
}
HARMLESS = {  # says something odd beside its pixels
    "damaged EXIF": exif(b"MM\0*\0\0\0\x08\0\x09\1\x12"), "EXIF of 64 kB": exif(b"II*\0\x08\0\0\0" + b"\xff" * 65_000),
    "EXIF that is none": exif(b"\xff" * 40),
    "orientation 0": exif(b"II*\0\x08\0\0\0\1\0" + struct.pack("<HHII", 274, 3, 1, 0) + b"\0" * 4),
    "orientation 99": exif(b"II*\0\x08\0\0\0\1\0" + struct.pack("<HHII", 274, 3, 1, 99) + b"\0" * 4),
    "orientation in words": exif(b"II*\0\x08\0\0\0\1\0" + struct.pack("<HHI", 274, 2, 4) + b"six\0" + b"\0" * 4),
    "damaged ICC": png(32, 24, (b"iCCP", b"x\0\0" + b"junk")),
    "ICC of nonsense": saved("JPEG", icc_profile=b"\1" * 200),
    "ICC of 1 MB": saved("TIFF", icc_profile=b"\2" * (1 << 20)), "text after the end": WHOLE["JPEG"] + b"%!PS" * 99,
}


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_what_is_no_image_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(BROKEN[name])
    begin = time.process_time()
    with pytest.raises(ImageError) as refused:
        Picture.read(path).pixels()
    assert time.process_time() - begin < 3
    text = str(refused.value)
    assert str(path) in text
    assert "\n" not in text
    assert len(text) < 600
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("name", sorted(HARMLESS))
def test_what_is_said_beside_the_pixels_costs_nothing(name: str) -> None:
    picture = Picture(HARMLESS[name])
    assert picture.header.orientation == 1
    assert picture.pixels().shape == PIXELS.shape


def pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize(("make", "told"), [
    (pipe, "a pipe or a device"), (Path.mkdir, "a folder"), (lambda path: path.symlink_to(path), "symbolic links"),
    (lambda path: path.symlink_to("/dev/zero"), "a pipe or a device"), (lambda path: None, "no such file"),
    (lambda path: path.symlink_to("gone.png"), "no such file"),
])
@pytest.mark.parametrize("read", [Picture.read, read_header, stored_image])
def test_only_files_are_opened(make: Callable[[Path], None], told: str, read: Callable[[Path], object], tmp_path: Path
                               ) -> None:
    make(tmp_path / "x.png")
    with pytest.raises(ImageError, match=told):
        read(tmp_path / "x.png")


def test_no_program_is_started(tmp_path: Path) -> None:
    """Pillow by itself would give a PostScript file to Ghostscript, whatever its name is."""
    if shutil.which("gs") is None:
        program = tmp_path / "gs"
        program.write_text(f"#!/bin/sh\ntouch {tmp_path / 'started'}\n")
        program.chmod(0o755)
    path = tmp_path / "x.png"
    path.write_bytes(BROKEN["PostScript"])
    code = ("import sys; from pathlib import Path; from hwnas.imaging import Picture\n"
            "try: Picture.read(Path(sys.argv[1])).pixels()\nexcept Exception as err: print(err)")
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=240,
                          check=False, env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert "it is no PNG, JPEG, WEBP, GIF, TIFF, BMP or PPM" in done.stdout
    assert not (tmp_path / "started").exists()


@settings(max_examples=100)
@given(st.sampled_from(NAMES), st.integers(0, 2**32 - 1), st.integers(1, 12), st.booleans())
def test_damaged_bytes_raise_nothing_else(name: str, seed: int, count: int, cut: bool) -> None:
    rng, data = random.Random(seed), bytearray(WHOLE[name])
    for _ in range(count):
        data[rng.randrange(min(len(data), 200) if rng.random() < 0.7 else len(data))] = rng.randrange(256)
    if cut:
        del data[rng.randrange(len(data)) :]
    try:
        picture = Picture(bytes(data), most_pixels=1 << 20)
        assert picture.pixels().shape == (*picture.size, 3)
        assert picture.square(8).shape[:2] == (8, 8)
    except ImageError as err:
        assert "\n" not in str(err)  # noqa: PT017 - either way is right


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(*, before: bytes = b"", behind: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6)).save(buffer, "PNG")
    whole = buffer.getvalue()
    start, end = whole.index(b"IDAT") - 4, whole.index(b"IEND") - 4
    return whole[:start] + before + whole[start:end] + behind + whole[end:]


def _exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes().removeprefix(b"Exif\0\0")


@pytest.mark.parametrize(("before", "behind", "orientation", "decodes"), [
    (b"", b"", 1, False), (_chunk(b"eXIf", _exif(6)), b"", 6, False), (b"", _chunk(b"eXIf", _exif(6)), 6, True),
    (_chunk(b"tEXt", b"a\0b"), b"", 1, False), (b"", _chunk(b"tEXt", b"a\0b"), 1, True),
])
def test_the_header_of_a_png_is_read_without_its_pixels(before: bytes, behind: bytes, orientation: int, decodes: bool,
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    loads, load = [], PngImageFile.load
    monkeypatch.setattr(PngImageFile, "load", lambda image: loads.append(image) or load(image))
    data = _png(before=before, behind=behind)
    assert read_header(data).orientation == orientation
    assert bool(loads) == decodes
    upright = Picture(data).image()
    assert upright.size == ((4, 6) if orientation == 6 else (6, 4))
    np.testing.assert_array_equal(np.asarray(Picture(data, upright=False).image()),
                                  np.arange(24, dtype=np.uint8).reshape(4, 6))


def test_a_picture_gives_its_pixels_more_than_once() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "PPM"):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, kind)
        picture = Picture(buffer.getvalue())
        first = picture.square(16)
        np.testing.assert_array_equal(picture.square(16), first)
        whole = Picture(buffer.getvalue())
        np.testing.assert_array_equal(whole.pixels(), picture.pixels())


def test_threads_leave_the_filters_of_warnings_as_they_were() -> None:
    before, inside = list(warnings.filters), threading.Barrier(3)

    def first() -> None:
        with quiet():
            inside.wait()
        inside.wait()

    def last() -> None:
        with quiet():
            inside.wait()
            inside.wait()

    threads = [threading.Thread(target=act) for act in (first, last)]
    for thread in threads:
        thread.start()
    inside.wait()
    inside.wait()
    for thread in threads:
        thread.join()
    assert warnings.filters == before
