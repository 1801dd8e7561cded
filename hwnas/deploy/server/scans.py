"""Pictures that are small to send and long to read, told by a walk over their parts before anything is decoded.

Pillow reads the parts of a PNG, and those of a JPEG before its pixels, in Python, some microseconds each, and goes on
byte by byte where there are none; libjpeg goes over all pixels for every scan.
"""

from __future__ import annotations

from hwnas.deploy.server.limits import Refusal

SCANS = 32  # of a JPEG; encoders write 1 or about 10
PARTS = 20_000  # of a PNG, at 12 bytes or more; encoders write one for each 8 to 64 KiB
HEADERS = 2_000  # of a JPEG before its pixels; a profile or a preview takes some dozens
_JPEG, _PNG = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"
_SCAN, _ALONE = 0xDA, (0x00, 0x01, *range(0xD0, 0xD9), 0xFF)


def check_structure(data: bytes) -> None:
    """Look at what an image is made of.

    Raises:
        Refusal: 400, more parts than an image needs.
    """
    if data.startswith(_JPEG):
        _check("a JPEG", "scans", data.count(bytes((0xFF, _SCAN))), SCANS)
        _check("a JPEG", "parts before its pixels", _headers_of_jpeg(data), HEADERS)
    elif data.startswith(_PNG):
        _check("a PNG", "parts", _parts_of_png(data), PARTS)


def _check(what: str, parts: str, count: int, most: int) -> None:
    if count > most:
        raise Refusal(400, f"{what} may have at most {most} {parts}; this one has more: save it anew")


def _headers_of_jpeg(data: bytes) -> int:
    """Markers, and bytes that belong to none, before the first scan; at most `HEADERS` + 1 are counted."""
    place, count = 0, 0
    while place + 1 < len(data) and count <= HEADERS:
        count += 1
        marker = data[place + 1]
        if data[place] != 0xFF or marker == 0xFF:
            place += 1
        elif marker in _ALONE:
            place += 2
        elif marker == _SCAN:
            break
        else:
            place += 2 + max(2, int.from_bytes(data[place + 2 : place + 4], "big"))
    return count


def _parts_of_png(data: bytes) -> int:
    """Chunks; at most `PARTS` + 1 are counted."""
    place, count = len(_PNG), 0
    while place < len(data) and count <= PARTS:
        place += 12 + int.from_bytes(data[place : place + 4], "big")
        count += 1
    return count
