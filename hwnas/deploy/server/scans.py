"""Pictures that are small to send and long to decode, told by a look at their bytes before anything is decoded."""

from __future__ import annotations

from hwnas.deploy.server.limits import Refusal

SCANS = 64  # of a JPEG; encoders write 1 or about 10, and each costs a pass over all pixels
CHUNKS = 20_000  # of a PNG, at 12 bytes each; encoders write one for each 8 to 64 KiB, and each is read in Python
_JPEG, _PNG = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"
_SCAN = b"\xff\xda"


def check_structure(data: bytes) -> None:
    """Look at what an image is made of.

    Raises:
        Refusal: 400, more parts than an image needs.
    """
    if data.startswith(_JPEG) and data.count(_SCAN) > SCANS:
        raise Refusal(400, f"a JPEG may have at most {SCANS} scans; this one has {data.count(_SCAN)}: save it anew")
    if data.startswith(_PNG) and _chunks_of_png(data) > CHUNKS:
        raise Refusal(400, f"a PNG may have at most {CHUNKS} chunks; this one has more: save it anew")


def _chunks_of_png(data: bytes) -> int:
    """How many there are, at most `CHUNKS` + 1 are counted."""
    place, count = len(_PNG), 0
    while place < len(data) and count <= CHUNKS:
        place += 12 + int.from_bytes(data[place : place + 4], "big")
        count += 1
    return count
